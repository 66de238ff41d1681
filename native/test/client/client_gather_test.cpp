#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <algorithm>

#include "test/client/client_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

namespace {

// How often the keeper looks at a session, and how long it may sleep where nobody uses it: what nobody saw to
// would go no sooner.
constexpr milliseconds kLook(100);
constexpr milliseconds kIdleLook(5000);

}  // namespace

TEST_CASE("calls gather while a frame is unanswered, and go together when its answers are there") {
  Place place;
  auto options = place.options();
  options.gatherUs = 10'000'000;
  Client client(options);
  const auto host = place.welcome();
  connect(client);
  std::vector<CallPointer> calls;
  for (int i = 0; i < 5; i++) calls.push_back(client.send(client.openStream(), {{1, std::to_string(i)}}));
  const auto first = host->expectRequests();
  CHECK(first->requests().size() == 1);
  CHECK_FALSE(host->next(milliseconds(100)));
  host->reply(first->requests()[0].id, "0");
  CHECK(client.wait(calls[0]));
  const auto second = host->expectRequests();
  REQUIRE(second->requests().size() == 4);
  for (const wire::Request& request : second->requests()) host->reply(request.id, request.body);
  for (const CallPointer& call : calls) CHECK(client.wait(call));
}

TEST_CASE("a call that gathers goes after a while, whatever is unanswered") {
  Place place;
  auto options = place.options();
  options.gatherUs = 1000;
  Client client(options);
  const auto host = place.welcome();
  connect(client);
  const CallPointer slow = client.send(client.openStream(), {{1, "slow"}});
  const uint32_t slowId = host->expectRequests()->requests()[0].id;
  std::thread reader([&] { CHECK(client.wait(slow)); });
  for (int i = 0; i < 3; i++) {
    const CallPointer other = client.send(client.openStream(), {{1, "other"}});
    std::thread waiter([&] { CHECK(client.wait(other)); });
    const uint32_t id = host->expectRequests()->requests()[0].id;
    host->reply(id, "");
    waiter.join();
  }
  host->reply(slowId, "");
  reader.join();
}

// The rounds take 2 ms each, and 100 ms if what gathers had to wait for the keeper's next look. On a busy
// machine many take longer, but not all.
static void checkRounds(const std::function<void()>& round) {
  constexpr size_t kRounds = 60;
  std::vector<Clock::duration> took;
  while (took.size() < kRounds) {
    const auto began = Clock::now();
    round();
    took.push_back(Clock::now() - began);
  }
  std::ranges::sort(took);
  CHECK(took[kRounds / 4] < kLook / 3);
}

// What is seen to goes in time, unless its threads are kept from their processors for long: then it may do so
// next time.
static void checkSoon(const std::function<void()>& send) {
  bool isSoon = false;
  for (int i = 0; i < 3 && !isSoon; i++) {
    // The keeper reads when nobody has called for a while.
    std::this_thread::sleep_for(3 * kLook);
    const auto began = Clock::now();
    send();
    isSoon = Clock::now() - began < kIdleLook / 2;
  }
  CHECK(isSoon);
}

TEST_CASE("a call that nobody waits for gathers no longer than any, whoever reads") {
  Place place;
  auto options = place.options();
  options.gatherUs = 2000;
  Client client(options);
  auto host = place.accept();
  host->limits.maxFramesInFlight = 10;
  host->welcome();
  connect(client);
  const CallPointer slow = client.send(client.openStream(), {{1, "slow"}});
  const uint32_t slowId = host->expectRequests()->requests()[0].id;
  std::thread reader;
  SUBCASE("a thread that waits for an answer that does not come") {
    reader = std::thread([&] { CHECK(client.wait(slow)); });
    CHECK(eventually([&] { return client.counters().waits == 1; }));
  }
  SUBCASE("nobody") {}
  checkRounds([&] {
    const CallPointer before = client.send(client.openStream(), {{1, "before"}}, {.isAhead = true});
    const CallPointer ahead = client.send(client.openStream(), {{1, "ahead"}}, {.isAhead = true});
    std::vector<uint32_t> ids;
    while (ids.size() < 2) {
      for (const wire::Request& request : host->expectRequests()->requests()) ids.push_back(request.id);
    }
    for (const uint32_t id : ids) host->reply(id, "");
    CHECK(client.wait(before));
    CHECK(client.wait(ahead));
  });
  host->reply(slowId, "");
  if (reader.joinable()) reader.join();
  CHECK(client.wait(slow));
}

TEST_CASE("a call that nobody waits for gathers no longer than any where the keeper reads") {
  Place place;
  auto options = place.options();
  options.gatherUs = 50'000;
  Client client(options);
  const auto host = place.welcome();
  connect(client);
  checkSoon([&] {
    const CallPointer slow = client.send(client.openStream(), {{1, "slow"}});
    const CallPointer ahead = client.send(client.openStream(), {{1, "ahead"}}, {.isAhead = true});
    const uint32_t slowId = host->expectRequests()->requests()[0].id;
    host->reply(host->expectRequests()->requests()[0].id, "");
    host->reply(slowId, "");
    CHECK(client.wait(ahead));
    CHECK(client.wait(slow));
  });
}

TEST_CASE("a call that nobody waits for goes once there is room for its frame, though nobody reads") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  host->limits.maxFramesInFlight = 1;
  host->welcome();
  connect(client);
  checkRounds([&] {
    const CallPointer first = client.send(client.openStream(), {{1, "first"}}, {.isAhead = true});
    const CallPointer ahead = client.send(client.openStream(), {{1, "ahead"}}, {.isAhead = true});
    for (size_t answered = 0; answered < 2;) {
      for (const wire::Request& request : host->expectRequests()->requests()) {
        host->reply(request.id, "");
        answered++;
      }
    }
    CHECK(client.wait(first));
    CHECK(client.wait(ahead));
  });
}

TEST_CASE("a call that nobody waits for goes in time when the thread that would have sent it has given up") {
  Place place;
  auto options = place.options();
  options.gatherUs = 200'000;
  Client client(options);
  auto host = place.accept();
  host->limits.maxFramesInFlight = 10;
  host->welcome();
  connect(client);
  checkSoon([&] {
    const CallPointer slow = client.send(client.openStream(), {{1, "slow"}});
    const CallPointer given = client.send(client.openStream(), {{1, "given up"}});
    const uint64_t waits = client.counters().waits;
    std::thread waiter([&] { CHECK_FALSE(client.wait(given)); });
    CHECK(eventually([&] { return client.counters().waits > waits; }));
    const CallPointer ahead = client.send(client.openStream(), {{1, "ahead"}}, {.isAhead = true});
    client.cancel(given);
    waiter.join();
    // Where the thread comes too late to give up, its call goes by itself.
    for (std::string body; body != "ahead";) {
      for (const wire::Request& request : host->expectRequests()->requests()) {
        body = request.body;
        host->reply(request.id, "");
      }
    }
    CHECK(client.wait(ahead));
    CHECK(client.wait(slow));
  });
}

TEST_CASE("calls that a frame had no room for go in time, each with a thread that waits") {
  Place place;
  auto options = place.options();
  options.gatherUs = 2000;
  Client client(options);
  auto host = place.accept();
  host->limits.maxFramesInFlight = 10;
  host->limits.maxFrameBytes = 1024;
  host->limits.requestWindowBytes = 8192;
  host->welcome();
  connect(client);
  const CallPointer slow = client.send(client.openStream(), {{1, "slow"}});
  const uint32_t slowId = host->expectRequests()->requests()[0].id;
  std::thread reader([&] { CHECK(client.wait(slow)); });
  CHECK(eventually([&] { return client.counters().waits == 1; }));
  checkRounds([&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
      threads.emplace_back([&] {
        CHECK(client.wait(client.send(client.openStream(), {{1, std::string(700, 'x')}})));
      });
    }
    const uint32_t first = host->expectRequests()->requests()[0].id;
    const uint32_t second = host->expectRequests()->requests()[0].id;
    host->reply(first, "");
    host->reply(second, "");
    for (std::thread& thread : threads) thread.join();
  });
  host->reply(slowId, "");
  reader.join();
}
