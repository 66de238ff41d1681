#include "client/client.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "channel/fresh_bytes.hpp"
#include "client/implementation.hpp"

namespace vamos::client {
namespace {

// The largest frame until a host says what it allows.
constexpr uint64_t kFirstMaxFrameBytes = 1 << 20;
// While more than this waits to be sent, send() waits too.
constexpr uint64_t kMaxQueuedBytes = 16 << 20;
// A batch of this size is sent without waiting for more.
constexpr uint64_t kWorthAFrameBytes = 32 << 10;

}  // namespace

Client::Implementation::Implementation(Options options)
    : options_(std::move(options)),
      process_(getpid()),
      session_(freshBytes(sessionBytes)),
      maxFrameBytes_(kFirstMaxFrameBytes) {
  startKeeper();
}

Client::Implementation::~Implementation() {
  Lock lock(mutex_);
  isClosing_ = true;
  const Failure error{ErrorCode::CANCELLED, "the connection was closed by its owner"};
  const std::shared_ptr<Connection> connection = std::exchange(connection_, nullptr);
  reader_ = nullptr;
  std::vector<CallPointer> open = queue_.takeAll();
  if (connection) {
    for (CallPointer& call : connection->inFlight.takeAll()) open.push_back(std::move(call));
  }
  for (const CallPointer& call : open) {
    if (call->isCommit && call->isSent()) {
      call->lose(error, connection->session);
    } else {
      call->fail(error);
    }
  }
  wakeAllWaiters();
  connectionToWake_ = connection;
  wakesKeeper_ = true;
  leave(lock);
  if (keeper_.joinable()) keeper_.join();
  for (lock.lock(); callersInside_ > 0 || isSending_; lock.lock()) {
    lock.unlock();
    usleep(1000);
  }
  if (connection) {
    connection->send(wire::FrameKind::GOODBYE, wire::Goodbye().encode());
    connection->finish();
  }
}

uint32_t Client::Implementation::connect(uint32_t timeoutMs, Failure& failure) {
  CallOptions options;
  options.timeoutMs = std::max(1U, timeoutMs);
  const auto nothing = std::make_shared<Call>(0, std::vector<Request>(), options, false);
  Lock lock(mutex_);
  callersInside_++;
  // It pauses shorter while a thread waits.
  if (!connection_) wakeKeeper();
  await(lock, nothing,
        [](const Implementation& client, const Call&) { return client.connection_ != nullptr; });
  const uint32_t session = connection_ ? epoch() : 0;
  if (session == 0) failure = lastError_;
  callersInside_--;
  leave(lock);
  return session;
}

std::string Client::Implementation::session() const {
  const Lock lock(mutex_);
  return session_;
}

void Client::Implementation::renewSession(std::string_view session, std::string reason) {
  Lock lock(mutex_);
  if (session != session_) return;
  const Failure error{ErrorCode::SESSION_STALE, std::move(reason)};
  // This is a copy, since it would otherwise refer to the member that is cleared.
  if (const std::shared_ptr<Connection> connection = connection_) {
    loseSession(lock, connection, error, true);
  } else {
    epoch_++;
    renewIfStale(error);
  }
  leave(lock);
}

void Client::Implementation::renewIfStale(const Failure& error) {
  if (error.code != ErrorCode::SESSION_STALE) return;
  formerSession_ = std::exchange(session_, freshBytes(sessionBytes));
  stamps_ = {};
  renewals_++;
  for (CallPointer& call : queue_.takeAll()) {
    if (!call->isCommit) {
      queue_.push(std::move(call));
    } else if (call->lose(error, formerSession_) && call->waiterIndex != Call::kNotWaiting) {
      wakeLater(*call);
    }
  }
}

std::string Client::Implementation::formerSession() const {
  const Lock lock(mutex_);
  return formerSession_;
}

uint32_t Client::Implementation::maxBodyBytes() const {
  const Lock lock(mutex_);
  return static_cast<uint32_t>(maxFrameBytes_ - batchOverheadBytes - overheadBytes);
}

CallPointer Client::Implementation::send(uint32_t stream, std::vector<Request> chain,
                                         const CallOptions& options, bool isLater) {
  auto call = std::make_shared<Call>(stream, std::move(chain), options, isLater);
  Lock lock(mutex_);
  callersInside_++;
  if (!isRefused(*call)) {
    counters_.requests += call->requestCount;
    queue_.push(call);
    if (isLater) {
      hasLater_ = true;
      if (!isTicking_) wakeKeeper();
    } else if (!connection_) {
      wakeKeeper();
    } else {
      callsSent_++;
      if (!gathers()) flush(lock);
      if (options.isAhead && !call->isSent() && timekeeper_ == nullptr && !isReaderToCome()) passTime();
    }
    if (queue_.bytes() > kMaxQueuedBytes && !isLater) {
      call->waitsForRoom = true;
      await(lock, call, [](const Implementation& client, const Call& waiting) {
        return waiting.isSent() || client.queue_.bytes() <= kMaxQueuedBytes;
      });
      call->waitsForRoom = false;
    }
  }
  callersInside_--;
  leave(lock);
  return call;
}

bool Client::Implementation::wait(const CallPointer& call) {
  Lock lock(mutex_);
  if (!call->isDone) {
    callersInside_++;
    counters_.waits++;
    await(lock, call, [](const Implementation&, const Call&) { return false; });
    // The host has not been told of the cancellation yet.
    if (connection_ && !connection_->cancelled.empty()) flush(lock);
    callersInside_--;
  }
  const bool isGood = call->failure.code == ErrorCode::OK;
  leave(lock);
  return isGood;
}

void Client::Implementation::cancel(const CallPointer& call) {
  Lock lock(mutex_);
  if (!call->fail({ErrorCode::CANCELLED, "the call was cancelled", sessionOf(*call)})) return;
  if (connection_ && call->isSent()) {
    for (const uint32_t id : call->ids) connection_->cancelled.emplace_back(id, call);
  }
  if (reader_ == call.get()) {
    connectionToWake_ = connection_;
  } else if (call->waiterIndex != Call::kNotWaiting) {
    wakeLater(*call);
  } else {
    wakeKeeper();
  }
  leave(lock);
}

Counters Client::Implementation::counters() const {
  const Lock lock(mutex_);
  return counters_;
}

std::string Client::Implementation::describe() const {
  const Lock lock(mutex_);
  if (connection_) {
    return "connected to " + options_.address + " as session " + std::to_string(epoch_) + ", " +
           std::to_string(connection_->inFlight.requestCount()) + " requests unanswered";
  }
  const auto since = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - lostAt_).count();
  return "not connected to " + options_.address + " for " + std::to_string(since) +
         " s: " + lastError_.message;
}

bool Client::Implementation::isForeign() const { return getpid() != process_; }

bool Client::Implementation::isRefused(Call& call) {
  if (isClosing_) return call.fail({ErrorCode::CANCELLED, "the connection was closed by its owner"});
  if (call.epoch != 0 && call.epoch != epoch_) {
    return call.fail({ErrorCode::SESSION_LOST, "what the call belongs to ended with its session"});
  }
  if (call.bytes > maxFrameBytes_ - batchOverheadBytes) {
    return call.fail({ErrorCode::FRAME_TOO_LARGE, "the call takes " + std::to_string(call.bytes) +
                                                      " bytes, a frame has room for " +
                                                      std::to_string(maxFrameBytes_ - batchOverheadBytes)});
  }
  if (call.requestCount == 0) {
    call.isDone = true;
    return true;
  }
  // No thread waits for it, and what it would end has ended.
  if (!connection_ && (isHopeless_ || call.isLater)) return call.fail(lastError_);
  return false;
}

void Client::Implementation::await(Lock& lock, const CallPointer& call, IsOver isOver) {
  addWaiter(*call);
  while (!call->isDone && !isOver(*this, *call) && !expire(*call)) {
    if (connection_ && (reader_ == nullptr || reader_ == call.get())) {
      reader_ = call.get();
      readOnce(lock, expiryOf(*call));
      continue;
    }
    TimePoint until = expiryOf(*call);
    if (!call->isSent() && (timekeeper_ == nullptr || timekeeper_ == call.get())) {
      timekeeper_ = call.get();
      // If there is no room the reader sends it, when an answer has made some.
      if (isDue()) flush(lock);
      if (call->isSent() || call->isDone) continue;
      if (!isDue()) until = std::min(until, gatherUntil());
    }
    leave(lock);
    call->signal.waitUntil(until);
    lock.lock();
  }
  removeWaiter(*call);
  if (timekeeper_ == call.get()) passTime();
  if (reader_ == call.get()) passReader(lock);
}

// A lone call gains nothing by waiting. While a frame is in flight others are likely to come, and so they are
// between an answer and the next read: the thread that was just answered is about to make its next call.
bool Client::Implementation::gathers() const {
  if (connection_->inFlight.isQuiet()) return isReaderToCome() && !hasGathered();
  return !isDue();
}

bool Client::Implementation::isDue() const {
  return !connection_ || connection_->inFlight.isQuiet() || hasGathered();
}

bool Client::Implementation::hasGathered() const {
  return queue_.bytes() >= kWorthAFrameBytes || Clock::now() >= gatherUntil();
}

TimePoint Client::Implementation::gatherUntil() const {
  return sentAt_ + std::chrono::microseconds(options_.gatherUs);
}

void Client::Implementation::passTime() {
  timekeeper_ = nullptr;
  for (Call* waiter : waiters_) {
    if (waiter->isSent() || waiter->isDone) continue;
    timekeeper_ = waiter;
    return wakeLater(*waiter);
  }
  if (!connection_ || !queue_.isUrgent()) return;
  timekeeper_ = this;
  wakeKeeper();
}

// Returns the bytes of the session that a commit was sent in. That session has not ended, since the call
// would have ended with it.
std::string Client::Implementation::sessionOf(const Call& call) const {
  return call.isCommit && call.isSent() ? session_ : std::string();
}

TimePoint Client::Implementation::expiryOf(const Call& call) const {
  if (connection_ || call.requestCount == 0) return call.deadline;
  const auto patience = std::chrono::milliseconds(options_.connectTimeoutMs);
  return std::min(call.deadline, std::max(call.issuedAt, lostAt_) + patience);
}

bool Client::Implementation::expire(Call& call) {
  if (!connection_ && (isHopeless_ || isClosing_)) return call.fail(lastError_);
  const TimePoint expiry = expiryOf(call);
  if (expiry == kNever || Clock::now() < expiry) return false;
  if (!connection_) return call.fail(lastError_);
  return call.fail({ErrorCode::DEADLINE_EXCEEDED,
                    call.isSent() ? "the host did not answer in time" : "the call could not be sent in time",
                    sessionOf(call)});
}

void Client::Implementation::addWaiter(Call& call) {
  call.waiterIndex = waiters_.size();
  waiters_.push_back(&call);
}

void Client::Implementation::removeWaiter(Call& call) {
  if (call.waiterIndex == Call::kNotWaiting) return;
  waiters_.back()->waiterIndex = call.waiterIndex;
  waiters_[call.waiterIndex] = waiters_.back();
  waiters_.pop_back();
  call.waiterIndex = Call::kNotWaiting;
}

void Client::Implementation::wakeLater(Call& call) { toWake_.push_back(call.shared_from_this()); }

void Client::Implementation::wakeAllWaiters() {
  for (Call* call : waiters_) wakeLater(*call);
}

void Client::Implementation::leave(Lock& lock) {
  std::vector<CallPointer> calls;
  if (!toWake_.empty()) calls.swap(toWake_);
  const std::shared_ptr<Connection> woken = std::move(connectionToWake_);
  const bool wakesKeeper = std::exchange(wakesKeeper_, false);
  lock.unlock();
  for (const CallPointer& call : calls) call->signal.set();
  if (woken) woken->wake();
  if (wakesKeeper) keeperSignal_.set();
}

Client::Client(Options options) : implementation_(std::make_unique<Implementation>(std::move(options))) {}

Client::~Client() {
  if (implementation_->isForeign()) [[maybe_unused]]
    Implementation* parents = implementation_.release();
}

uint32_t Client::connect(uint32_t timeoutMs, Failure& failure) {
  return implementation_->connect(timeoutMs, failure);
}
uint32_t Client::epoch() const { return implementation_->epoch(); }
std::string Client::session() const { return implementation_->session(); }
void Client::renewSession(std::string_view session, std::string reason) {
  implementation_->renewSession(session, std::move(reason));
}
uint32_t Client::renewals() const { return implementation_->renewals(); }
std::string Client::formerSession() const { return implementation_->formerSession(); }
uint32_t Client::maxBodyBytes() const { return implementation_->maxBodyBytes(); }
uint32_t Client::openStream() { return implementation_->openStream(); }
CallPointer Client::send(uint32_t stream, std::vector<Request> chain, CallOptions options) {
  return implementation_->send(stream, std::move(chain), options, false);
}
CallPointer Client::sendLater(uint32_t stream, std::vector<Request> chain, CallOptions options) {
  return implementation_->send(stream, std::move(chain), options, true);
}
bool Client::wait(const CallPointer& call) { return implementation_->wait(call); }
void Client::cancel(const CallPointer& call) { implementation_->cancel(call); }
Counters Client::counters() const { return implementation_->counters(); }
std::string Client::describe() const { return implementation_->describe(); }

}  // namespace vamos::client
