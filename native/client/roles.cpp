// The roles of the sender and the reader.
#include <algorithm>
#include <utility>

#include "client/implementation.hpp"

namespace vamos::client {

using wire::FrameKind;

// A larger buffer is not kept.
static constexpr size_t kKeptBytes = 1 << 20;

void Client::Implementation::flush(Lock& lock) {
  // The sender looks again before it stops.
  if (isSending_) return;
  while (connection_ && takeFrames(*connection_)) {
    const std::shared_ptr<Connection> connection = connection_;
    isSending_ = true;
    lock.unlock();
    sendFrames(*connection);
    const Connection::Moved moved = connection->movedBySender();
    lock.lock();
    isSending_ = false;
    counters_.bytesSent += moved.bytes;
    counters_.systemCalls += moved.systemCalls;
    connection->isChannelFull = connection->wantsFlush();
    connection->writeFailure = connection->writeEnd();
    // The next session's frames must not wait for what became of the last session's.
    if (connection_ != connection) continue;
    if (!connection->isChannelFull && !connection->writeFailure) continue;
    // Only a reader that knows of this can go on with it.
    connectionToWake_ = connection;
    if (reader_ == nullptr) wakeKeeper();
    return;
  }
}

// Takes what can be sent now, for sendFrames().
bool Client::Implementation::takeFrames(Connection& connection) {
  if (connection.isChannelFull || connection.writeFailure) return false;
  if (!queue_.isEmpty() && connection.inFlight.maySend() && isDue()) {
    queue_.takeBatch(maxFrameBytes_ - batchOverheadBytes, connection.inFlight, batch_);
    if (!batch_.empty()) {
      connection.inFlight.add(batch_);
      requestStamp_ = stamps_.next(connection.inFlight.maxFrames());
      connection.incoming.openRequests = connection.inFlight.requestCount();
      connection.creditedBytes = connection.receivedBytes;
      counters_.frames++;
      sentAt_ = Clock::now();
      for (const CallPointer& call : batch_) {
        if (call->waitsForRoom) wakeLater(*call);
      }
      if (queue_.isEmpty()) {
        timekeeper_ = nullptr;
      } else {
        passTime();
      }
    }
  }
  wire::Cancel cancel;
  for (const auto& [id, call] : std::exchange(connection.cancelled, {})) {
    if (connection.inFlight.isOpen(id, *call)) cancel.ids.push_back(id);
  }
  if (!cancel.ids.empty()) controlFrames_.emplace_back(FrameKind::CANCEL, cancel.encode());
  if (connection.owesCredit(options_.replyWindowBytes)) {
    connection.creditedBytes = connection.receivedBytes;
    controlFrames_.emplace_back(FrameKind::CREDIT, wire::Credit{connection.receivedBytes}.encode());
  }
  if (connection.owedPong)
    controlFrames_.emplace_back(FrameKind::PONG, *std::exchange(connection.owedPong, {}));
  if (std::exchange(connection.owesPing, false)) controlFrames_.emplace_back(FrameKind::PING, "");
  return !batch_.empty() || !controlFrames_.empty();
}

// Sends, as the sender and without the mutex. Control frames come first: a request that was made after a
// cancellation must not be sent before it, since it could close a circle with the wait that the cancellation
// ends.
void Client::Implementation::sendFrames(Connection& connection) {
  for (const auto& [kind, body] : controlFrames_) connection.send(kind, body);
  controlFrames_.clear();
  if (!batch_.empty()) {
    requestFrame_.clear();
    const TimePoint now = Clock::now();
    for (const CallPointer& call : batch_) {
      wire::Request request{.stream = call->stream, .deadlineMs = call->remainingMs(now)};
      for (size_t i = 0; i < call->requests.size(); i++) {
        request.id = call->ids[i];
        request.method = call->requests[i].method;
        request.chain = i + 1 < call->requests.size();
        request.body = call->requests[i].body;
        wire::appendRequest(requestFrame_, request);
      }
      call->requests = {};
    }
    wire::appendReceivedBytes(requestFrame_, connection.creditedBytes);
    wire::appendStamp(requestFrame_, requestStamp_);
    connection.send(FrameKind::REQUESTS, requestFrame_);
    batch_.clear();
    if (requestFrame_.capacity() > kKeptBytes) requestFrame_ = {};
  }
}

void Client::Implementation::readOnce(Lock& lock, TimePoint deadline) {
  const std::shared_ptr<Connection> connection = connection_;
  flush(lock);
  if (connection_ != connection) return;
  const bool wantsWrite = connection->isChannelFull;
  const bool mustRead = connection->writeFailure.has_value();
  if (!queue_.isEmpty() && !isDue()) deadline = std::min(deadline, gatherUntil());
  isReading_ = true;
  leave(lock);
  using Event = Connection::Event;
  const Event event = mustRead ? Event::Readable : connection->poll(deadline, wantsWrite);
  if (event == Event::Readable) connection->read();
  const Connection::Moved moved = connection->movedByReader();
  lock.lock();
  isReading_ = false;
  counters_.bytesReceived += moved.bytes;
  counters_.systemCalls += moved.systemCalls;
  if (connection_ != connection) return;
  Incoming& incoming = connection->incoming;
  if (event == Event::Readable) settle(*connection);
  // The host or the channel said why; else it was a write, now that what came before it has been read.
  if (mustRead && !incoming.end) incoming.end = connection->writeFailure;
  if (incoming.end) return loseSession(lock, connection, *incoming.end, incoming.isBroken);
  if (event == Event::Writable) drain(lock, connection);
}

// Adds the session to a failure that may mean that the request was done: one that the host refuses as stale,
// which this guest made before or after its memory was rolled back, or a commit that its caller gave up.
static void explain(Failure& failure, const Call& call, Connection& connection) {
  const ErrorCode code = failure.code;
  if (code == ErrorCode::SESSION_STALE) {
    if (!connection.incoming.end) connection.incoming.end = failure;
    failure.code = call.isCommit ? ErrorCode::OUTCOME_UNKNOWN : ErrorCode::SESSION_LOST;
  }
  const bool mayBeDone = failure.code == ErrorCode::OUTCOME_UNKNOWN || isGivenUp(code);
  if (mayBeDone && call.isCommit) failure.detail = connection.session;
}

// What answers frames that this guest never sent answers what it did before its memory was rolled back.
bool Client::Implementation::isOfAnotherState(const Incoming& incoming) const {
  return !std::all_of(incoming.stamps.begin(), incoming.stamps.end(),
                      [this](uint32_t stamp) { return stamps_.mayBeLast(stamp); });
}

void Client::Implementation::settle(Connection& connection) {
  Incoming& incoming = connection.incoming;
  if (incoming.frames > 0) connection.unansweredPings = 0;
  counters_.framesReceived += incoming.frames;
  connection.receivedBytes += incoming.replyBytes;
  if (incoming.hasPing) connection.owedPong = incoming.ping;
  if (isOfAnotherState(incoming)) {
    incoming.clear();
    incoming.end =
        Failure{ErrorCode::SESSION_STALE,
                "the host answers requests that this guest has not made: its memory was rolled back"};
    return;
  }
  bool makesSense = true;
  for (const uint32_t id : incoming.parked) makesSense = connection.inFlight.park(id) && makesSense;
  counters_.parked += incoming.parked.size();
  for (Incoming::Answer& answer : incoming.answers) {
    const InFlight::Answered answered = connection.inFlight.settle(answer.id);
    if (!answered.call) {
      makesSense = false;
      continue;
    }
    Call& call = *answered.call;
    explain(answer.failure, call, connection);
    const bool isDone = answer.failure.code == ErrorCode::OK
                            ? call.succeed(answered.index, std::move(answer.body))
                            : call.fail(std::move(answer.failure), answered.index);
    if (!isDone || call.waiterIndex == Call::kNotWaiting) continue;
    removeWaiter(call);
    if (reader_ != &call) wakeLater(call);
  }
  connection.incoming.openRequests = connection.inFlight.requestCount();
  incoming.clear();
  if (!makesSense && !incoming.end) {
    incoming.isBroken = true;
    incoming.end = Failure{ErrorCode::BAD_FRAME, "the host answered a request that is not open"};
  }
}

// Writes, since there is room.
void Client::Implementation::drain(Lock& lock, const std::shared_ptr<Connection>& connection) {
  if (isSending_) return;
  isSending_ = true;
  lock.unlock();
  connection->flush();
  const Connection::Moved moved = connection->movedBySender();
  lock.lock();
  isSending_ = false;
  counters_.bytesSent += moved.bytes;
  counters_.systemCalls += moved.systemCalls;
  connection->isChannelFull = connection->wantsFlush();
  connection->writeFailure = connection->writeEnd();
}

void Client::Implementation::passReader(Lock& lock) {
  reader_ = nullptr;
  if (!connection_) return;
  // The latest waiter is the most likely to be answered soon: one that waits long for a lock would only wake
  // others.
  for (auto waiter = waiters_.rbegin(); waiter != waiters_.rend(); ++waiter) {
    if ((*waiter)->isDone) continue;
    reader_ = *waiter;
    return wakeLater(**waiter);
  }
  flush(lock);
  if (reader_ != nullptr || !connection_) return;
  // No other thread would write the rest of a frame, or send what the reader looked after.
  if (connection_->isChannelFull || connection_->writeFailure) wakeKeeper();
  if (timekeeper_ == nullptr && !queue_.isEmpty()) passTime();
}

void Client::Implementation::loseSession(Lock& lock, const std::shared_ptr<Connection>& connection,
                                         Failure error, bool isBroken) {
  if (connection_ != connection) return;
  connection_ = nullptr;
  reader_ = nullptr;
  timekeeper_ = nullptr;
  epoch_++;
  renewIfStale(error);
  lostAt_ = Clock::now();
  trouble_ = isStorageFault(error.code) ? error.message : "";
  error.message = options_.address + ": " + error.message;
  lastError_ = error;
  isHopeless_ = false;
  for (const CallPointer& call : connection->inFlight.takeAll()) call->lose(error, connection->session);
  for (CallPointer& call : queue_.takeAll()) {
    if (call->epoch != 0 || call->isLater) {
      call->lose(error, connection->session);
    } else {
      queue_.push(std::move(call));
    }
  }
  // Calls that are not done wait for the next session now.
  wakeAllWaiters();
  connectionToWake_ = connection;
  wakeKeeper();
  const bool saysGoodbye = isBroken && !isSending_;
  leave(lock);
  if (saysGoodbye) {
    connection->send(FrameKind::GOODBYE,
                     wire::Goodbye{.code = error.code, .message = error.message}.encode());
  }
  lock.lock();
}

}  // namespace vamos::client
