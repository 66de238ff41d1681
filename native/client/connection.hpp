#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "channel/frame_stream.hpp"
#include "client/address.hpp"
#include "client/in_flight.hpp"
#include "client/incoming.hpp"

namespace vamos::client {

// One session: its channel, and what the client's mutex guards of it. Reading and writing are roles: one
// thread at a time has each, and needs no mutex for it.
class Connection {
 public:
  Connection(OpenChannel channel, const wire::Hello& hello);

  // For the reader:

  enum class Event : uint8_t { None, Readable, Writable };
  // Waits until there is something to read, or room to write if that is wanted, or until wake() or the
  // deadline.
  Event poll(TimePoint deadline, bool wantsWrite);
  // Takes what has come apart, into `incoming`.
  void read();
  Incoming incoming;

  // For the sender:

  void send(wire::FrameKind::Number kind, std::string_view body);
  void flush() { stream_.flush(); }
  bool wantsFlush() const { return stream_.wantsFlush(); }
  // Sends what is buffered, for a moment. To be called last.
  void finish();
  // What ended writing, if anything did.
  std::optional<Failure> writeEnd() const;

  // Any thread's: makes poll() return.
  void wake();

  // Guarded by the client's mutex:

  InFlight inFlight;
  uint64_t maxFrameBytes = 0;
  uint64_t receivedBytes = 0;
  uint64_t creditedBytes = 0;
  bool isChannelFull = false;
  std::optional<Failure> writeFailure;
  std::vector<std::pair<uint32_t, CallPointer>> cancelled;  // requests of which the host must be told
  std::optional<std::string> owedPong;
  bool owesPing = false;
  uint32_t unansweredPings = 0;
  const TimePoint startedAt = Clock::now();
  const std::string session;  // the session's bytes

  bool owesCredit(uint32_t replyWindowBytes) const {
    return receivedBytes - creditedBytes > replyWindowBytes / 2;
  }

  // What system calls moved since this was asked last, for counters.
  struct Moved {
    uint64_t bytes = 0;
    uint64_t systemCalls = 0;
  };
  Moved movedByReader();
  Moved movedBySender();

 private:
  Descriptor wakeEvent_;
  std::atomic<bool> isWoken_{false};
  FrameStream stream_;
  uint64_t pollCalls_ = 0;
  Moved readerBefore_;
  Moved senderBefore_;
};

// Says Hello, again and again (a virtio-serial port drops what is sent while no host end is connected), until
// the Welcome comes. Returns nothing when it came: the connection's `incoming.welcome` has it.
std::optional<Failure> greet(Connection& connection, const wire::Hello& hello, TimePoint deadline,
                             const std::atomic<bool>& isStopping);

}  // namespace vamos::client
