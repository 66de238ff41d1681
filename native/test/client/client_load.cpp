// Calls from many threads over one client, for tests against a real host and for measuring:
//   client_load ADDRESS THREADS SECONDS METHOD BODY_BYTES TIMEOUT_MS
// Each call's answer must be its body. Prints one line of JSON; errors are counted by code. SECONDS 0 calls
// until standard input ends, for a test that waits for a sign.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/client.hpp"

using namespace vamos;
using namespace vamos::client;

namespace {

using Clock = std::chrono::steady_clock;

struct Outcome {
  uint64_t answered = 0;
  uint64_t wrong = 0;
  uint64_t longestMs = 0;
  std::map<uint32_t, uint64_t> errors;
  Clock::time_point lastAnswer;
};

std::string bodyOf(size_t thread, uint64_t number, size_t bytes) {
  std::string body = std::to_string(thread) + ":" + std::to_string(number);
  body.resize(std::max(body.size(), bytes), '.');
  return body;
}

void call(Client& client, size_t thread, const std::atomic<bool>& isOver, uint32_t method, size_t bytes,
          uint32_t timeoutMs, Outcome& outcome) {
  const uint32_t stream = client.openStream();
  // At least one, however late the thread comes to run.
  for (uint64_t number = 0; number == 0 || !isOver; number++) {
    const std::string body = bodyOf(thread, number, bytes);
    const auto began = Clock::now();
    const CallPointer call = client.send(stream, {{method, body}}, {.timeoutMs = timeoutMs});
    const bool isGood = client.wait(call);
    const auto now = Clock::now();
    const auto tookMs = std::chrono::duration_cast<std::chrono::milliseconds>(now - began).count();
    outcome.longestMs = std::max(outcome.longestMs, static_cast<uint64_t>(tookMs));
    if (!isGood) {
      outcome.errors[static_cast<uint32_t>(failureOf(call).code)]++;
      continue;
    }
    outcome.answered++;
    outcome.lastAnswer = now;
    if (replyBody(call, 0) != body) outcome.wrong++;
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 7) {
    std::fprintf(stderr,
                 "usage: client_load ADDRESS THREADS SECONDS METHOD BODY_BYTES TIMEOUT_MS [GATHER_US]\n");
    return 2;
  }
  const auto number = [&](int index) {
    return static_cast<uint32_t>(std::strtoul(arguments[index], nullptr, 0));
  };
  Options options;
  options.address = arguments[1];
  options.program = "client_load";
  if (count > 7) options.gatherUs = number(7);
  Client client(options);
  Failure failure;
  if (client.connect(10'000, failure) == 0) {
    std::fprintf(stderr, "%s\n", failure.message.c_str());
    return 1;
  }
  const auto begin = Clock::now();
  const auto duration = std::chrono::milliseconds(static_cast<int64_t>(std::atof(arguments[3]) * 1000));
  std::atomic<bool> isOver = false;
  std::vector<Outcome> outcomes(number(2));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < outcomes.size(); i++) {
    threads.emplace_back(call, std::ref(client), i, std::cref(isOver), number(4), number(5), number(6),
                         std::ref(outcomes[i]));
  }
  if (duration.count() > 0) {
    std::this_thread::sleep_until(begin + duration);
  } else {
    while (std::getchar() != EOF) {
    }
  }
  isOver = true;
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();

  Outcome sum;
  for (const Outcome& outcome : outcomes) {
    sum.answered += outcome.answered;
    sum.wrong += outcome.wrong;
    sum.longestMs = std::max(sum.longestMs, outcome.longestMs);
    sum.lastAnswer = std::max(sum.lastAnswer, outcome.lastAnswer);
    for (const auto& [code, times] : outcome.errors) sum.errors[code] += times;
  }
  std::string errors;
  for (const auto& [code, times] : sum.errors) {
    errors += (errors.empty() ? "" : ",") + ("\"" + std::to_string(code) + "\":") + std::to_string(times);
  }
  const Counters counters = client.counters();
  const double calls = static_cast<double>(std::max<uint64_t>(1, sum.answered));
  std::printf(
      "{\"answered\":%lu,\"wrong\":%lu,\"errors\":{%s},\"longestMs\":%lu,\"lastAnswerMs\":%.0f,"
      "\"callsPerSecond\":%.0f,\"requestsPerFrame\":%.2f,\"systemCallsPerCall\":%.2f,\"reconnects\":%lu,"
      "\"session\":%u}\n",
      sum.answered, sum.wrong, errors.c_str(), sum.longestMs,
      std::chrono::duration<double, std::milli>(sum.lastAnswer - begin).count(),
      static_cast<double>(sum.answered) / seconds,
      static_cast<double>(counters.requests) / static_cast<double>(std::max<uint64_t>(1, counters.frames)),
      static_cast<double>(counters.systemCalls) / calls, counters.reconnects, client.epoch());
  return 0;
}
