// The keeper: the thread that connects, and looks after the session while no thread waits.
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <random>
#include <system_error>
#include <utility>

#include "channel/fresh_bytes.hpp"
#include "client/implementation.hpp"

namespace vamos::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick(5);         // how often it sends what sendLater() left
constexpr milliseconds kLook(100);       // how often it looks at a session that others read
constexpr milliseconds kIdleLook(5000);  // how often it looks at a session that is not used
constexpr uint32_t kFirstPauseMs = 50;
constexpr uint32_t kPauseWhileAwaitedMs = 250;

}  // namespace

void Client::Implementation::startKeeper() {
  // Signals are for the program's own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    keeper_ = std::thread([this] { keep(); });
    pthread_setname_np(keeper_.native_handle(), "vamos-keeper");
  } catch (const std::system_error& error) {
    lastError_ = {
        ErrorCode::INTERNAL,
        std::string("no thread for the connection (raise this machine's limit, then start again): ") +
            error.what()};
    isHopeless_ = true;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Client::Implementation::wakeKeeper() {
  wakesKeeper_ = true;
  if (reader_ == this) connectionToWake_ = connection_;
}

void Client::Implementation::keep() {
  while (!isClosing_) {
    Lock lock(mutex_);
    if (connection_) {
      lookAfter(lock);
      continue;
    }
    lock.unlock();
    if (failedAttempts_ > 0) pause();
    if (!isClosing_) tryConnect();
  }
}

void Client::Implementation::tryConnect() {
  try {
    const TimePoint deadline = Clock::now() + milliseconds(std::max(1000U, options_.connectTimeoutMs));
    wire::Hello hello{.version = protocolVersion,
                      .nonce = freshBytes(nonceBytes),
                      .token = options_.token,
                      .program = options_.program.substr(0, maxProgramNameBytes),
                      .replyWindowBytes = static_cast<uint32_t>(
                          std::max<uint64_t>(options_.replyWindowBytes, minWindowBytes))};
    {
      const Lock lock(mutex_);
      hello.session = session_;
      hello.epoch = epoch_;
      hello.stamps = stamps_.all();
    }
    const auto connection =
        std::make_shared<Connection>(openChannel(options_.address, deadline, isClosing_), hello);
    if (auto failure = greet(*connection, hello, deadline, isClosing_))
      return stayWithout(std::move(*failure));
    Lock lock(mutex_);
    if (session_ == connection->session) return beginSession(lock, connection);
    // The session was renewed meanwhile.
    leave(lock);
    stayWithout({ErrorCode::SESSION_LOST, "the session was renewed"});
  } catch (const ChannelError& error) {
    stayWithout({error.code, error.what()});
  } catch (const std::bad_alloc&) {
    stayWithout(
        {ErrorCode::OUT_OF_MEMORY, "no memory for a connection to the host: free some on this machine"});
  } catch (const std::exception& error) {
    stayWithout({ErrorCode::INTERNAL, error.what()});
  }
}

void Client::Implementation::beginSession(Lock& lock, const std::shared_ptr<Connection>& connection) {
  const wire::Welcome& welcome = *connection->incoming.welcome;
  connection->inFlight = InFlight(welcome);
  stamps_.keepNewest();
  maxFrameBytes_ = welcome.maxFrameBytes;
  if (hadSession_) counters_.reconnects++;
  hadSession_ = true;
  failedAttempts_++;  // forgotten once the session has lasted for a while
  connection_ = connection;
  isHopeless_ = false;
  callsSeenAt_ = Clock::now();
  pingDueAt_ = kNever;
  for (CallPointer& call : queue_.takeAll()) {
    if (!isRefused(*call)) queue_.push(std::move(call));
  }
  settle(*connection);
  wakeAllWaiters();
  flush(lock);
  if (reader_ == nullptr) passReader(lock);
  leave(lock);
}

void Client::Implementation::stayWithout(Failure error) {
  // Errors of a path begin with it.
  const std::string target = options_.address.substr(options_.address.find(':') + 1);
  if (error.message.starts_with(target + ": ")) error.message.erase(0, target.size() + 2);
  failedAttempts_++;
  Lock lock(mutex_);
  renewIfStale(error);
  if (!trouble_.empty()) error.message = trouble_ + " (" + error.message + ")";
  if (!error.message.starts_with("channel address")) error.message.insert(0, options_.address + ": ");
  isHopeless_ = !isPassing(error.code);
  lastError_ = std::move(error);
  for (CallPointer& call : queue_.takeAll()) {
    if (!call->isDone && !expire(*call)) queue_.push(std::move(call));
  }
  wakeAllWaiters();
  leave(lock);
}

// Waits before the next attempt: longer each time, shorter while a thread waits, and not the same for all
// guests.
void Client::Implementation::pause() {
  const TimePoint begin = Clock::now();
  std::minstd_rand random(std::random_device{}());
  const double part = std::uniform_real_distribution<>(0.5, 1)(random);
  while (!isClosing_) {
    Lock lock(mutex_);
    const uint32_t longestMs = waiters_.empty()
                                   ? options_.maxReconnectDelayMs
                                   : std::min(options_.maxReconnectDelayMs, kPauseWhileAwaitedMs);
    lock.unlock();
    const uint32_t doubledMs = kFirstPauseMs << std::min(failedAttempts_ - 1, 16U);
    const auto pauseMs = static_cast<int64_t>(std::min(longestMs, doubledMs) * part);
    const TimePoint end = begin + milliseconds(pauseMs);
    if (Clock::now() >= end) return;
    keeperSignal_.waitUntil(end);
  }
}

void Client::Implementation::lookAfter(Lock& lock) {
  const std::shared_ptr<Connection> connection = connection_;
  const TimePoint now = Clock::now();
  if (now - connection->startedAt > milliseconds(options_.maxReconnectDelayMs)) failedAttempts_ = 0;
  ping(lock, connection, now);
  flush(lock);
  if (connection_ != connection) return leave(lock);
  if (std::exchange(hasLater_, false)) laterSeenAt_ = now;
  isTicking_ = laterSeenAt_ != TimePoint::min() && now - laterSeenAt_ < kLook;
  if (callsSent_ != callsSeen_) callsSeenAt_ = now;
  callsSeen_ = callsSent_;
  const bool isIdle = !isTicking_ && now - callsSeenAt_ >= kLook;
  if (timekeeper_ == this && !queue_.isUrgent()) timekeeper_ = nullptr;
  const bool keepsTime = timekeeper_ == this;
  // What is due and has not been sent waits for an answer to make room.
  const bool isStuck = connection->isChannelFull || connection->writeFailure || (keepsTime && isDue());
  if (reader_ == nullptr && (isIdle || isStuck)) {
    reader_ = this;
    readOnce(lock, std::min(pingDueAt_, now + (isStuck ? kLook : kIdleLook)));
    if (reader_ == this) passReader(lock);
    return leave(lock);
  }
  TimePoint until = std::min(pingDueAt_, now + (isTicking_ ? kTick : kLook));
  if (keepsTime && !isDue()) until = std::min(until, gatherUntil());
  leave(lock);
  keeperSignal_.waitUntil(until);
}

// Sends a ping, only while an answer is awaited: a ping costs a transition like any frame. It counts pings,
// not time: a process that stood still must first get to read what came meanwhile.
void Client::Implementation::ping(Lock& lock, const std::shared_ptr<Connection>& connection, TimePoint now) {
  if (options_.pingIntervalMs == 0) return;
  if (connection->inFlight.requestCount() == 0) {
    connection->unansweredPings = 0;
    pingDueAt_ = kNever;
  } else if (pingDueAt_ == kNever) {
    pingDueAt_ = now + milliseconds(options_.pingIntervalMs);
  } else if (now >= pingDueAt_) {
    pingDueAt_ = now + milliseconds(options_.pingIntervalMs);
    if (connection->unansweredPings++ < maxUnansweredPings) {
      connection->owesPing = true;
    } else {
      loseSession(lock, connection,
                  {ErrorCode::CHANNEL_CLOSED, "the host answers neither requests nor pings"}, false);
    }
  }
}

}  // namespace vamos::client
