#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/session_messages.hpp"

// The connector's side of a session for C++ programs with many threads: the counterpart of
// src/rpc/connector/client.ts.
//
// All threads share one channel. Each call is sent by the thread that makes it, with whatever else waits;
// while as many frames are in flight as the host allows, calls gather. A thread that waits for an answer
// reads the channel itself if no other does, so that a lone caller costs no hand-over between threads.
namespace vamos::client {

struct Options {
  std::string address;  // unix:PATH, virtio-serial:NAME, vsock:CID:PORT
  std::string program;  // shown in the host's status, at most maxProgramNameBytes
  std::string token;
  uint32_t connectTimeoutMs = 5000;  // how long a call waits for a session
  uint32_t replyWindowBytes = defaultReplyWindowBytes;
  // While a frame is unanswered calls gather, to go together when its answers have come, or this long after
  // it at the latest. 0: they are sent immediately, while fewer frames are in flight than the host allows.
  uint32_t gatherUs = 0;
  uint32_t maxReconnectDelayMs = defaultMaxReconnectDelayMs;
  uint32_t pingIntervalMs = defaultPingIntervalMs;
};

struct Request {
  uint32_t method = 0;
  std::string body;
};

struct CallOptions {
  uint32_t timeoutMs = 0;  // then DEADLINE_EXCEEDED, and the host is told; 0: no deadline
  uint32_t epoch = 0;      // not 0: fails with SESSION_LOST, unsent, once this session is over
  // No thread waits for the call soon (it asks for the next window of a cursor), and it must be sent all the
  // same when its gathering is over. For other calls the waiting thread ensures that.
  bool isAhead = false;
  // If its session is lost the call fails with OUTCOME_UNKNOWN. After CANCELLED and DEADLINE_EXCEEDED it may
  // have been done, too: LAST_COMMIT on its stream tells. The failure's detail is the session to ask about.
  bool isCommit = false;
};

using Failure = wire::Failure;  // code, message, detail

// A request, or a chain of them, from send() to its answer. Threads other than its owner may only cancel it.
class Call;
using CallPointer = std::shared_ptr<Call>;

struct Counters {
  uint64_t requests = 0;
  uint64_t frames = 0;  // frames of requests
  uint64_t framesReceived = 0;
  uint64_t bytesSent = 0;
  uint64_t bytesReceived = 0;
  uint64_t waits = 0;  // how often a thread waited for an answer
  uint64_t parked = 0;
  uint64_t reconnects = 0;
  uint64_t systemCalls = 0;
};

class Client {
 public:
  // Connects in the background, again and again; calls wait for it as Options say.
  explicit Client(Options options);
  ~Client();  // ends the session with GOODBYE; unanswered calls fail with CANCELLED
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits for a session. Returns its number (1 for the first, one more after each loss), or 0 and why there
  // is none.
  uint32_t connect(uint32_t timeoutMs, Failure& failure);
  // The number of the session that calls sent now will travel in. What was learnt of the host or reserved in
  // an earlier one must be forgotten: this guest's memory may have been rolled back since.
  uint32_t epoch() const;
  // The bytes of the session that the next connection is in. They change with renewSession, or when the host
  // says that this guest's memory was rolled back.
  std::string session() const;
  // Ends the session that has these bytes because this guest's memory was rolled back, and begins another
  // one, which the host takes for another connector's. Does nothing if that session was replaced already.
  void renewSession(std::string_view session, std::string reason);
  // How often a session with other bytes was begun because this guest's memory had been rolled back. What was
  // under way when this rises may have been done in the state that is gone; LAST_COMMIT about the session
  // that was left last tells whether a stream committed there.
  uint32_t renewals() const;
  std::string formerSession() const;
  // The longest body of a call, and of all requests of a chain with 64 bytes more for each.
  uint32_t maxBodyBytes() const;

  uint32_t openStream();

  // Requests of one stream run in order. A chain stops at its first failure. Never waits for an answer (it
  // waits for room in the window).
  CallPointer send(uint32_t stream, std::vector<Request> chain, CallOptions options = {});
  // Sends the call with the next frame, or after a few milliseconds by itself: its answer is not wanted (the
  // end of a transaction that only read, an unlock, the close of a cursor), or not soon.
  CallPointer sendLater(uint32_t stream, std::vector<Request> chain, CallOptions options = {});

  // Waits for the answers to all requests of the call, or for the first failure (the requests behind it did
  // not run). Returns true if there is no failure. The bodies' bytes live as long as the call.
  bool wait(const CallPointer& call);
  // Fails the call with CANCELLED and tells the host; from any thread. The thread that waits for the call
  // goes on immediately.
  void cancel(const CallPointer& call);

  Counters counters() const;
  // The connection's state and the last error, for people: 'connected to unix:/x as session 3', …
  std::string describe() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

// The body of a reply. wait() must have returned for the call.
std::string_view replyBody(const CallPointer& call, size_t index);
const Failure& failureOf(const CallPointer& call);
// The number of the request in the chain that failed.
size_t failedIndex(const CallPointer& call);

}  // namespace vamos::client
