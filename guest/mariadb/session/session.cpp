// What a session sends, and what a failure of it means for the transaction.
#include "mariadb/session/session.hpp"

#include <mysql/service_thd_wait.h>

#include <algorithm>
#include <utility>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/attempt.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session_watch.hpp"
#include "protocol/methods.hpp"

// The server exports this function for engines, but no header declares it.
extern "C" int thd_rpl_deadlock_check(THD* thd, THD* other);

namespace vamos::mariadb {

using wire::Method;

namespace {

// How often a thread that waits for a session looks whether its statement was killed.
constexpr uint64_t killCheckMs = 200;
// Bytes that a request takes in a frame beside its body, at most.
constexpr size_t requestOverheadBytes = 192;

bool changesDefinition(uint32_t method) {
  return method >= Method::CREATE_TABLE && method <= Method::REDEFINE_TABLE && !isRepeatable(method);
}

}  // namespace

Session& Session::of(THD* thd) {
  Session* session = find(thd);
  if (!session) {
    session = new Session(thd);
    thd_set_ha_data(thd, engine().handle, session);
  }
  return *session;
}

Session* Session::find(THD* thd) { return static_cast<Session*>(thd_get_ha_data(thd, engine().handle)); }

Session::Session(THD* thd) : thd_(thd), stream_(host().openStream()), renewals_(host().renewals()) {
  watch().add(this);
}

Session::~Session() {
  stopListening();
  watch().remove(this);
  if (epoch_ != 0) sendLater(Method::CLOSE_STREAM, {});
}

bool Session::isInMultiStatement() const {
  return thd_test_options(thd_, OPTION_NOT_AUTOCOMMIT | OPTION_BEGIN) != 0;
}

void Session::beginStatement(Use use) {
  trans_register_ha(thd_, false, engine().handle, 0);
  if (isInMultiStatement()) trans_register_ha(thd_, true, engine().handle, 0);
  if (!isInStatement_) {
    isInStatement_ = true;
    hasSentRows_ = false;
    use_ = use;
    ++statement_;
    if (thd_->rgi_slave) {
      std::lock_guard lock(mutex_);
      isReplicating_ = true;
    }
  }
  use_ = std::max(use_, use);
}

wire::Scope Session::scope(bool skipLocked) const {
  wire::Scope scope;
  scope.inTransaction = true;
  scope.statement = statement_;
  scope.lockTimeoutMs = variables::lockTimeoutMs(thd_);
  if (skipLocked) {
    scope.wait = wire::Wait::SKIP_LOCKED;
  } else if (scope.lockTimeoutMs == 0) {
    scope.wait = wire::Wait::NO_WAIT;
  }
  return scope;
}

bool Session::readsAlone() const {
  return !isOpenOnHost_ && !mustRollBack_ && waiting_.isEmpty() && use_ == Use::READ && !isInMultiStatement();
}

wire::Begin Session::begin() const {
  wire::Begin begin;
  const int isolation = thd_tx_isolation(thd_);
  if (isolation <= ISO_READ_COMMITTED) {
    begin.isolation = wire::Isolation::READ_COMMITTED;
  } else if (isolation == ISO_SERIALIZABLE && isInMultiStatement()) {
    // A transaction of one statement needs no locks for its reads.
    begin.isolation = wire::Isolation::SERIALIZABLE;
  }
  begin.consistentSnapshot = wantsSnapshot_;
  // read_only stays unset: a READ ONLY transaction may write to temporary tables, and the server keeps it
  // from writing to others.
  return begin;
}

uint32_t Session::timeoutMs(Work work) const {
  if (work == Work::LONG) return 0;  // pings find out that the host is gone
  const bool mayMeetLocks = use_ != Use::READ || !waiting_.isEmpty() || hasLocked_ || hasWritten_;
  return variables::requestTimeoutMs(thd_) + (mayMeetLocks ? variables::lockTimeoutMs(thd_) : 0);
}

uint32_t Session::connect(bool mayCancel) {
  const uint64_t untilMs = nowMs() + variables::connectTimeoutMs();
  client::Failure failure;
  for (;;) {
    const uint64_t leftMs = untilMs - std::min(untilMs, nowMs());
    const auto sliceMs = static_cast<uint32_t>(std::min(leftMs, killCheckMs));
    if (const uint32_t epoch = host().connect(std::max(sliceMs, 1u), failure)) {
      finishPrepared();
      return epoch;
    }
    if (mayCancel && thd_kill_level(thd_) != THD_IS_NOT_KILLED) failure.code = ErrorCode::CANCELLED;
    if (leftMs == 0 || failure.code == ErrorCode::CANCELLED || !isPassing(failure.code)) {
      fail(failure);
      return 0;
    }
  }
}

bool Session::waitFor(const client::CallPointer& call, bool mayCancel) {
  if (mayCancel) {
    {
      std::lock_guard lock(mutex_);
      current_ = call;
      sinceMs_ = nowMs();
    }
    // The kill may have come before interrupt() could see the call.
    if (thd_kill_level(thd_) != THD_IS_NOT_KILLED) host().cancel(call);
  }
  thd_wait_begin(thd_, THD_WAIT_NET);
  const bool isAnswered = host().wait(call);
  thd_wait_end(thd_);
  if (mayCancel) {
    std::lock_guard lock(mutex_);
    current_.reset();
    sinceMs_ = 0;
  }
  return isAnswered;
}

void Session::interrupt() {
  client::CallPointer call;
  {
    std::lock_guard lock(mutex_);
    call = current_;
  }
  if (call) host().cancel(call);
}

bool Session::isReplicating() {
  std::lock_guard lock(mutex_);
  return isReplicating_;
}

void Session::reportWait(THD* waiting) {
  std::lock_guard lock(mutex_);  // keeps the transaction from ending meanwhile
  if (isReplicating_) thd_rpl_deadlock_check(waiting, thd_);
}

uint64_t Session::waitingSinceMs() {
  std::lock_guard lock(mutex_);
  return sinceMs_;
}

std::vector<client::Request> Session::chain(uint32_t lastMethod, std::string lastBody) const {
  std::vector<client::Request> requests;
  requests.reserve(waiting_.size() + 2);
  if (!isOpenOnHost_) requests.push_back({Method::BEGIN, begin().encode()});
  for (const WaitingRequest& waiting : waiting_) requests.push_back(waiting.request(scope()));
  if (lastMethod != 0) requests.push_back({lastMethod, std::move(lastBody)});
  return requests;
}

bool Session::exceedsFrame(size_t lastBytes) const {
  const size_t bytes = waiting_.bytes() + lastBytes + (waiting_.size() + 2) * requestOverheadBytes;
  return bytes > host().maxBodyBytes();
}

class Session::Attempt::InTransaction final : public Attempt {
 public:
  InTransaction(Session& session, uint32_t method, std::string body, Work work)
      : Attempt(session, session.timeoutMs(work)), method_(method), body_(std::move(body)) {
    if (method_ != 0) lastBytes_ = body_.size();
    isRepeatable_ = session.waiting_.blobs() == 0;
  }

  std::string_view reply() const { return client::replyBody(call(), last_); }

 protected:
  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    // A body that is moved away is not sent again.
    std::vector<client::Request> requests = session_.chain(method_, isWhole() ? body_ : std::move(body_));
    last_ = requests.size() - 1;
    return requests;
  }

 private:
  const uint32_t method_;
  std::string body_;
  size_t last_ = 0;
};

int Session::callInTransaction(uint32_t method, std::string body, Reply& reply, Work work) {
  Attempt::InTransaction attempt(*this, method, std::move(body), work);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      isOpenOnHost_ = true;
      forgetSent();
      reply = {attempt.call(), attempt.reply()};
      return 0;
    case Attempt::Ending::FAILED:
      return attempt.error();
    default:
      return failChain(attempt.isWhole(), client::failedIndex(attempt.call()), attempt.failure());
  }
}

int Session::errorOfLast() const {
  if (failure_.code == ErrorCode::CANCELLED && thd_kill_level(thd_) != THD_IS_NOT_KILLED) {
    return HA_ERR_ABORTED_BY_USER;
  }
  return errorOf(failure_);
}

int Session::fail(const client::Failure& failure) {
  failure_ = failure;
  isRaised_ = false;
  return errorOfLast();
}

int Session::failTransaction(int error) {
  mustRollBack_ = true;
  isOpenOnHost_ = false;
  forgetSent(true);
  thd_->mark_transaction_to_rollback(true);
  return error;
}

int Session::failChain(bool isWhole, size_t index, const client::Failure& failure) {
  const int error = fail(failure);
  const bool hasEarlier = waiting_.hasOthersThan(statement_);
  if (isLost(failure.code) || failure.code == ErrorCode::NO_TRANSACTION) {
    if (!isWhole || hasEarlier) return failTransaction(HA_ERR_LOCK_DEADLOCK);
    forgetSent(true);
    return error;
  }
  if (failure.code == ErrorCode::DEADLOCK) return failTransaction(HA_ERR_LOCK_DEADLOCK);
  if (isGivenUp(failure.code)) {
    // How many of the chain's requests the host has run is not known.
    if (isWhole || hasEarlier) {
      sendLater(Method::ROLLBACK, {});
      isOpenOnHost_ = false;
      if (hasEarlier) return failTransaction(error);
    }
    forgetSent(true);
    return error;
  }
  if (isWhole && index == 0) {
    if (hasEarlier) return failTransaction(error);
    forgetSent(true);
    return error;
  }
  isOpenOnHost_ = true;
  const size_t place = index - (isWhole ? 1 : 0);
  if (place < waiting_.size()) return failWaiting(place, error);
  forgetSent(true);
  return error;
}

// The host has done the requests before this place, and not those behind it.
int Session::failWaiting(size_t place, int error) {
  WaitingRequest failed = waiting_.take(place);
  const bool isOfAnotherSession = failed.valuesEpoch != 0 && failed.valuesEpoch != epoch_;
  if (isOfAnotherSession && failure_.code == ErrorCode::DUPLICATE_KEY) {
    error =
        fail({ErrorCode::SESSION_LOST, "the session that the row's number was reserved in has ended", {}});
    failed.owner = nullptr;  // it would raise a duplicate key
  }
  if (failed.statement != statement_) {
    // The client was told that this statement succeeded: only the whole transaction can be undone.
    sendLater(Method::ROLLBACK, {});
    discardBlobs(failed.blobs);
    return failTransaction(error);
  }
  Duplicate duplicate;
  const bool isDuplicate = duplicateOf(failure_, duplicate);
  // LAST_INSERT_ID() gives no value of a row that was not written.
  if (waiting_.givesInsertIdFrom(place, duplicate.row)) thd_->first_successful_insert_id_in_cur_stmt = 0;
  forgetSent(true);
  int raised = error;
  if (failed.owner) {
    if (isDuplicate) {
      thd_->get_stmt_da()->set_current_row_for_warning(
          static_cast<long>(failed.firstRowNumber + duplicate.row));
    }
    isRaised_ = true;
    raised = failed.owner->raiseRefusal(failure_, failed.method, failed.body);
  }
  discardBlobs(failed.blobs);  // not earlier, since the refusal may show them
  return raised;
}

int Session::call(uint32_t method, std::string body, Reply& reply, Work work) {
  if (use_ != Use::READ || thd_tx_isolation(thd_) == ISO_SERIALIZABLE) hasLocked_ = true;
  return callInTransaction(method, std::move(body), reply, work);
}

int Session::callAlone(uint32_t method, std::string body, Reply& reply, Work work) {
  const int error = callOutside(method, std::move(body), reply, work);
  // For a failed definition the server would show the error's number alone.
  return error >= firstError && changesDefinition(method) ? raise(error) : error;
}

class Session::Attempt::Outside final : public Attempt {
 public:
  Outside(Session& session, uint32_t method, std::string body, Work work)
      : Attempt(session, session.timeoutMs(work)), method_(method), body_(std::move(body)) {
    // A change of definitions is not given up half-way, since the server changes files along with it.
    mayCancelConnect_ = !changesDefinition(method);
    // A new blob can only be discarded by the number in the answer, which does not take long.
    mayCancelAnswer_ = mayCancelConnect_ && method != Method::WRITE_BLOB;
    isRepeatable_ = isRepeatable(method);
  }

 protected:
  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    return {{method_, isRepeatable_ ? body_ : std::move(body_)}};  // a body that is moved is not sent again
  }

 private:
  const uint32_t method_;
  std::string body_;
};

int Session::callOutside(uint32_t method, std::string body, Reply& reply, Work work) {
  Attempt::Outside attempt(*this, method, std::move(body), work);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      reply = {attempt.call(), client::replyBody(attempt.call(), 0)};
      return 0;
    case Attempt::Ending::FAILED:
      return attempt.error();
    default:
      return failAlone(attempt.failure());
  }
}

int Session::failAlone(const client::Failure& failure) {
  const int error = fail(failure);
  if (failure.code == ErrorCode::DEADLOCK || (isOpenOnHost_ && endsTransaction(failure.code)))
    return failTransaction(HA_ERR_LOCK_DEADLOCK);
  return error;
}

client::CallPointer Session::sendAhead(uint32_t method, std::string body) {
  client::CallOptions options;
  options.timeoutMs = timeoutMs();
  options.epoch = epoch_;
  options.isAhead = true;
  return host().send(stream_, {{method, std::move(body)}}, options);
}

client::CallPointer Session::askLater(uint32_t method, std::string body) {
  client::CallOptions options;
  options.timeoutMs = timeoutMs();
  options.epoch = epoch_;
  return host().sendLater(stream_, {{method, std::move(body)}}, options);
}

int Session::wait(const client::CallPointer& call, Reply& reply) {
  reply.call = call;
  if (!waitFor(call, true)) return failAlone(client::failureOf(call));
  reply.body = client::replyBody(call, 0);
  return 0;
}

bool Session::waitAlone(const client::CallPointer& call, Reply& reply) {
  reply.call = call;
  if (!waitFor(call, true)) return false;
  reply.body = client::replyBody(call, 0);
  return true;
}

void Session::sendLater(uint32_t method, std::string body) {
  client::CallOptions options;
  options.epoch = epoch_;
  host().sendLater(stream_, {{method, std::move(body)}}, options);
}

}  // namespace vamos::mariadb
