#include "client/connection.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <span>

namespace vamos::client {
namespace {

constexpr int kFirstResendMs = 100;
constexpr int kLastResendMs = 500;
constexpr std::chrono::milliseconds kFinish(200);

uint64_t nowMs() {
  const auto now = Clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace

Connection::Connection(OpenChannel channel, const wire::Hello& hello)
    : incoming(hello.nonce),
      session(hello.session),
      wakeEvent_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stream_(std::move(channel.descriptor), {.resync = channel.resync}, incoming) {
  if (!wakeEvent_.isOpen()) throw ChannelError::ofErrno(errno, "eventfd");
}

Connection::Event Connection::poll(TimePoint deadline, bool wantsWrite) {
  const auto events = static_cast<short>(wantsWrite ? POLLIN | POLLOUT : POLLIN);
  pollfd states[] = {{.fd = stream_.descriptor(), .events = events, .revents = 0},
                     {.fd = wakeEvent_.get(), .events = POLLIN, .revents = 0}};
  pollCalls_++;
  const auto left = std::max(Clock::duration::zero(), deadline - Clock::now());
  timespec timeout{};
  timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
  if (ppoll(states, 2, deadline == kNever ? nullptr : &timeout, nullptr) <= 0) return Event::None;
  if (states[1].revents != 0) {
    uint64_t count;
    pollCalls_++;
    if (::read(wakeEvent_.get(), &count, sizeof count) > 0) isWoken_.store(false);
  }
  // What has come is read first: it may say why nothing can be written.
  if ((states[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) return Event::Readable;
  return states[0].revents != 0 ? Event::Writable : Event::None;
}

void Connection::read() {
  try {
    stream_.read(nowMs());
  } catch (const std::bad_alloc&) {
    incoming.end =
        Failure{ErrorCode::OUT_OF_MEMORY, "no memory for what the host sent: free some on this machine"};
  }
  if (!incoming.end && stream_.end()) incoming.end = Failure{stream_.end()->code, stream_.end()->what()};
}

void Connection::send(wire::FrameKind::Number kind, std::string_view body) {
  stream_.send(kind, {reinterpret_cast<const uint8_t*>(body.data()), body.size()});
}

void Connection::finish() {
  const TimePoint deadline = Clock::now() + kFinish;
  while (wantsFlush() && Clock::now() < deadline && !incoming.end) {
    const Event event = poll(deadline, true);
    if (event == Event::Readable) read();
    flush();
  }
}

std::optional<Failure> Connection::writeEnd() const {
  if (!stream_.hasWriteFailed()) return std::nullopt;
  const ChannelError error = stream_.writeFailure();
  return Failure{error.code, error.what()};
}

void Connection::wake() {
  if (isWoken_.exchange(true)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wakeEvent_.get(), &one, sizeof one);
}

Connection::Moved Connection::movedByReader() {
  const Moved now{stream_.bytesReceived(), stream_.readCalls() + pollCalls_};
  const Moved since{now.bytes - readerBefore_.bytes, now.systemCalls - readerBefore_.systemCalls};
  readerBefore_ = now;
  return since;
}

Connection::Moved Connection::movedBySender() {
  const Moved now{stream_.writer().bytesSent(), stream_.writer().writeCalls()};
  const Moved since{now.bytes - senderBefore_.bytes, now.systemCalls - senderBefore_.systemCalls};
  senderBefore_ = now;
  return since;
}

std::optional<Failure> greet(Connection& connection, const wire::Hello& hello, TimePoint deadline,
                             const std::atomic<bool>& isStopping) {
  const std::string body = hello.encode();
  int resendMs = kFirstResendMs;
  TimePoint resendAt = Clock::now();
  while (!isStopping) {
    const TimePoint now = Clock::now();
    if (now >= deadline) return Failure{ErrorCode::NO_WELCOME, "no host answered in time"};
    if (now >= resendAt) {
      // An earlier Hello that has not been sent yet is enough.
      if (!connection.wantsFlush()) connection.send(wire::FrameKind::HELLO, body);
      resendAt = now + std::chrono::milliseconds(resendMs);
      resendMs = std::min(resendMs + kFirstResendMs, kLastResendMs);
    }
    const auto event = connection.poll(std::min(deadline, resendAt), connection.wantsFlush());
    if (event == Connection::Event::Writable) connection.flush();
    if (event == Connection::Event::Readable) connection.read();
    if (connection.incoming.welcome || connection.incoming.end) return connection.incoming.end;
    if (auto failure = connection.writeEnd()) return failure;
  }
  return Failure{ErrorCode::CANCELLED, "closed before the host answered"};
}

}  // namespace vamos::client
