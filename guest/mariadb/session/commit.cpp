// The end of a session's transaction: commit, rollback, and what became of a commit whose answer was lost.
#include <log.h>
#include <my_global.h>
#include <sql_class.h>

#include <optional>
#include <string>
#include <utility>

#include "channel/fresh_bytes.hpp"
#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/attempt.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/lone_commits.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session.hpp"

// The server exports this function for engines, but no header declares it.
extern "C" int thd_binlog_format(const THD* thd);

namespace vamos::mariadb {

using wire::Method;

namespace {

// Bytes that the body of COMMIT or PREPARE takes, at most.
constexpr size_t endBytes = 256;
constexpr size_t tokenBytes = 8;
// How long a rollback is waited for. When it returns, its locks should be gone.
constexpr uint32_t rollbackWaitMs = 2000;

}  // namespace

int Session::raise(int error) {
  // The rows that wait must not be sent ahead of this error: the host may refuse them, and their refusal
  // would take its place.
  const bool wasSending = std::exchange(isSendingForCondition_, true);
  if (!isRaised_) raiseError(thd_, error, failure_);
  isSendingForCondition_ = wasSending;
  isRaised_ = true;
  return error;
}

void Session::forgetTransaction() {
  if (thd_->rgi_slave) {
    std::lock_guard lock(mutex_);
    isReplicating_ = false;
  }
  isOpenOnHost_ = mustRollBack_ = hasLocked_ = hasWritten_ = wantsSnapshot_ = false;
  isInStatement_ = hasSentRows_ = leavesNumber_ = false;
  stopListening();
  prepared_.reset();
  discardBlobs(waiting_.remove());
  discardNewBlobs();
  savepoints_.clear();
  addedRows_.commit();  // a rollback has taken them back already
  statement_ = 0;
  for (const std::string& table : tablesToDrop_)
    sendLater(Method::DROP_TABLE, wire::TableName{table}.encode());
  tablesToDrop_.clear();
}

void Session::rollbackOnHost() {
  if (!isOpenOnHost_) return;
  isOpenOnHost_ = false;
  if (!holdsLocks()) return sendLater(Method::ROLLBACK, {});
  client::CallOptions options;
  options.timeoutMs = rollbackWaitMs;
  options.epoch = epoch_;
  const client::CallPointer call = host().send(stream_, {{Method::ROLLBACK, {}}}, options);
  if (!waitFor(call, false) && isGivenUp(client::failureOf(call).code)) sendLater(Method::ROLLBACK, {});
}

int Session::commit() {
  int error = 0;
  if (mustRollBack_) {
    isRaised_ = false;
    error = HA_ERR_LOCK_DEADLOCK;
  } else if (prepared_) {
    const uint32_t waitMs = variables::connectTimeoutMs() + variables::requestTimeoutMs(thd_);
    client::Failure failure;
    const Ended ended =
        endPrepared(stream_, prepared_->bytes(), true, variables::durability(thd_), waitMs, failure);
    if (ended == Ended::BEFORE) {
      // No other server ends it, so unless this guest was rolled back, an earlier attempt has committed it.
      error = checkRolledBack();
    } else if (ended == Ended::NOT_YET) {
      failure.code = ErrorCode::OUTCOME_UNKNOWN;
      failure.message = "prepared, and committed as soon as the host daemon is back: " + failure.message;
      error = fail(failure);
    }
  } else if (hasWritten_) {
    error = commitOnHost();
    if (!error) isOpenOnHost_ = false;
  }
  if (error) addedRows_.takeBack(0);
  rollbackOnHost();
  forgetTransaction();
  return error ? raise(error) : 0;
}

// The commit's number is taken when it is sent, and given back if the host has certainly not made it. A
// commit that is made again must have the same number, so that the host can tell whether it was made before
// this guest's memory was rolled back.
class Session::Attempt::Commit : public Attempt {
 public:
  Commit(Session& session, uint32_t timeoutMs) : Attempt(session, timeoutMs), mark_(session.nextCommit()) {}

  const CommitMark& mark() const { return mark_; }

 protected:
  int check() override { return session_.checkRolledBack(mark_); }

  std::vector<client::Request> requests(client::CallOptions& options) override {
    options.isCommit = true;
    session_.lastCommit_ = mark_.number;
    return commitRequests();
  }

  int findOutcome(bool& isDone) override {
    const bool wasLost = isLost(failure_.code);
    const bool wasSent = failure_.code != ErrorCode::SESSION_LOST;
    if (wasSent && !session_.findCommit(mark_, failure_.detail, isDone)) {
      const int error = session_.failUnknown();
      return wasLost && !isWhole() ? session_.failTransaction(error) : error;
    }
    if (wasLost && !isDone) {
      failure_.code = ErrorCode::SESSION_LOST;
      session_.lastCommit_ = mark_.number - 1;
    }
    return 0;
  }

  virtual std::vector<client::Request> commitRequests() = 0;

 private:
  const CommitMark mark_;
};

class Session::Attempt::TransactionCommit final : public Commit {
 public:
  explicit TransactionCommit(Session& session) : Commit(session, session.timeoutMs()) {
    lastBytes_ = endBytes;
    isRepeatable_ = session.waiting_.blobs() == 0;
  }

  // The transaction is one batch of rows, so the request that writes it commits it, too.
  bool isAlone() const { return isAlone_; }

 protected:
  std::vector<client::Request> commitRequests() override {
    isAlone_ = isWhole() && session_.waiting_.size() == 1 && session_.waiting_[0].hasRows();
    if (isAlone_) return {session_.waiting_[0].request(session_.commitScope(mark()))};
    const wire::Commit commit{variables::durability(session_.thd_), mark().number, mark().token};
    return session_.chain(Method::COMMIT, commit.encode());
  }

 private:
  bool isAlone_ = false;
};

class Session::Attempt::RequestCommit final : public Commit {
 public:
  RequestCommit(Session& session, Work work, bool isRepeatable) : Commit(session, session.timeoutMs(work)) {
    isRepeatable_ = isRepeatable;
  }

  // To be called before make(), with a request whose scope is commitScope(mark()).
  void setRequest(client::Request request) { request_ = std::move(request); }

 protected:
  std::vector<client::Request> commitRequests() override { return std::vector<client::Request>(1, request_); }

 private:
  client::Request request_;
};

int Session::commitOnHost() {
  Attempt::TransactionCommit attempt(*this);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      forgetSent();
      if (leavesNumber_ && attempt.isAnswered()) noteStored(attempt.mark());
      return 0;
    case Attempt::Ending::FAILED:
      return attempt.error();
    case Attempt::Ending::GIVEN_UP:
      isOpenOnHost_ = true;  // it may be
      return fail(attempt.failure());
    case Attempt::Ending::REFUSED: {
      const client::Failure& failure = attempt.failure();
      if (!attempt.isAlone())
        return failChain(attempt.isWhole(), client::failedIndex(attempt.call()), failure);
      const int error = fail(failure);
      return failure.code == ErrorCode::DEADLOCK ? error : failWaiting(0, error);
    }
    default:
      return failAlone(attempt.failure());
  }
}

int Session::failUnknown() {
  client::Failure unknown = failure_;
  unknown.code = ErrorCode::OUTCOME_UNKNOWN;
  unknown.message = "whether this transaction was committed is not known (" + describe(failure_) +
                    "): read what it changed before it is made again";
  return fail(unknown);
}

int Session::checkRolledBack(const CommitMark& mark) {
  const uint32_t renewals = host().renewals();
  if (renewals == renewals_) return 0;
  bool isDone = false;
  // The host may know more than one session that was left. It can be asked about the last one only.
  const bool isOnlyOne = renewals == renewals_ + 1;
  if (!isOnlyOne) fail({ErrorCode::OUTCOME_UNKNOWN, "the guest's memory was rolled back", {}});
  const bool isKnown = isOnlyOne && findCommit(mark, host().formerSession(), isDone);
  if (!isKnown && failure_.code != ErrorCode::OUTCOME_UNKNOWN) return errorOfLast();
  renewals_ = renewals;
  // If the commit was made in the state that is gone, it is not made again.
  return isKnown && !isDone ? 0 : failUnknown();
}

int Session::checkRolledBack() {
  const uint32_t renewals = host().renewals();
  if (renewals == renewals_) return 0;
  renewals_ = renewals;
  fail({ErrorCode::OUTCOME_UNKNOWN, "the guest's memory was rolled back", {}});
  return failUnknown();
}

CommitMark Session::nextCommit() const { return {lastCommit_ + 1, freshBytes(tokenBytes), host().session()}; }

void Session::noteStored(const CommitMark& mark) {
  if (variables::durability(thd_) == wire::Durability::SYNCED) stored_ = mark;
}

bool Session::findCommit(const CommitMark& mark, const std::string& session, bool& isDone) {
  for (int attempt = 1; attempt <= maxAttempts; ++attempt) {
    const uint32_t epoch = connect(false);
    if (epoch == 0) return false;
    client::CallOptions options;
    options.timeoutMs = variables::connectTimeoutMs();
    options.epoch = epoch;
    const client::CallPointer call =
        host().send(stream_, {{Method::LAST_COMMIT, wire::LastCommit{stream_, session}.encode()}}, options);
    if (waitFor(call, false)) {
      wire::LastCommitted last;
      if (!wire::LastCommitted::decode(client::replyBody(call, 0), last)) {
        fail({ErrorCode::INTERNAL, "the host's answer to LAST_COMMIT is none", {}});
        return false;
      }
      // A host of an earlier version tells no token.
      isDone = last.number == mark.number && (last.token.empty() || last.token == mark.token);
      const bool hasForgotten = session == stored_.session && last.number < stored_.number;
      if (isDone || (last.number < mark.number && !hasForgotten)) return true;
      if (hasForgotten) {
        fail({ErrorCode::OUTCOME_UNKNOWN,
              "the host has forgotten a commit that it acknowledged: its data was put back to an earlier "
              "state",
              {}});
        return false;
      }
      // The host knows a later commit, or another one of the same number: this guest's memory was rolled
      // back, and the statement may have been done before that.
      fail({ErrorCode::OUTCOME_UNKNOWN, "the guest's memory was rolled back", {}});
      host().renewSession(session, failure_.message);
      renewals_ = host().renewals();
      return false;
    }
    fail(client::failureOf(call));
    if (!isLost(failure_.code)) return false;
  }
  return false;
}

int Session::writeAlone(const RowsToWrite& write) {
  Attempt::RequestCommit attempt(*this, Work::SHORT, newBlobs_.empty());
  wire::Write request;
  request.table = write.table;
  request.version = write.version;
  request.scope = commitScope(attempt.mark());
  request.batch = write.rows;
  request.autoIncrementSeen = write.autoIncrementSeen;
  attempt.setRequest({write.method, request.encode()});
  client::Failure failure;
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      newBlobs_.clear();
      if (attempt.isAnswered()) noteStored(attempt.mark());
      if (!isOpenOnHost_ || !isLost(attempt.failure().code)) return 0;
      // The rows are there, but the transaction that was open beside them is not.
      failure = attempt.failure();
      failure.code = ErrorCode::SESSION_LOST;
      return failAlone(failure);
    case Attempt::Ending::FAILED:
      return attempt.error();
    case Attempt::Ending::REFUSED:
      failure = attempt.failure();
      // The rows that are there may be these ones, written before this guest's memory was rolled back.
      if (attempt.wasRepeated() && failure.code == ErrorCode::DUPLICATE_KEY)
        failure.code = ErrorCode::SESSION_LOST;
      return failAlone(failure);
    default:
      return failAlone(attempt.failure());
  }
}

bool Session::isWholeTransaction() const {
  return !isOpenOnHost_ && waiting_.isEmpty() && savepoints_.empty() && !isInMultiStatement() &&
         !thd_->in_sub_stmt && !thd_->rgi_slave && thd_binlog_format(thd_) == BINLOG_FORMAT_UNSPEC;
}

int Session::change(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed) {
  if (mustRollBack_) return HA_ERR_LOCK_DEADLOCK;
  if (isWholeTransaction()) {
    const LoneCommit commit;
    if (commit.isAllowed()) return changeAlone(method, std::move(request), isOneRow, changed);
  }
  request.scope = scope();
  hasWritten_ = hasSentRows_ = true;
  Reply reply;
  if (const int error = callInTransaction(method, request.encode(), reply, Work::LONG)) return error;
  if (!wire::Changed::decode(reply.body, changed)) return HA_ERR_INTERNAL_ERROR;
  if (changed.changed > 0) leavesNumber_ = true;
  return 0;
}

int Session::changeAlone(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed) {
  Attempt::RequestCommit attempt(*this, Work::LONG, true);
  request.scope = commitScope(attempt.mark());
  attempt.setRequest({method, request.encode()});
  const Attempt::Ending ending = attempt.make();
  if (ending == Attempt::Ending::FAILED) return attempt.error();
  if (ending != Attempt::Ending::DONE) return fail(attempt.failure());
  if (attempt.isAnswered()) {
    if (!wire::Changed::decode(client::replyBody(attempt.call(), 0), changed)) return HA_ERR_INTERNAL_ERROR;
    if (changed.changed > 0) noteStored(attempt.mark());
  } else {
    changed = {1, 1};  // a commit without changes leaves no number that could be found
    if (!isOneRow) {
      push_warning(thd_, Sql_condition::WARN_LEVEL_WARN, ER_UNKNOWN_ERROR,
                   "The statement was done, but how many rows it changed is not known: the host daemon's "
                   "answer was lost");
    }
  }
  // A kill that came meanwhile was too late.
  if (thd_->killed) thd_->reset_kill_query();
  return 0;
}

wire::Scope Session::commitScope(const CommitMark& mark) const {
  wire::Scope scope = this->scope();
  scope.inTransaction = false;
  scope.statement = 0;
  scope.durability = variables::durability(thd_);
  scope.commitNumber = mark.number;
  scope.commitToken = mark.token;
  return scope;
}

void Session::rollback() {
  addedRows_.takeBack(0);
  if (prepared_) {
    client::Failure ignored;
    endPrepared(stream_, prepared_->bytes(), false, wire::Durability::SYNCED, rollbackWaitMs, ignored);
  }
  rollbackOnHost();
  forgetTransaction();
}

class Session::Attempt::Prepare final : public Attempt {
 public:
  Prepare(Session& session, const std::string& xid) : Attempt(session, session.timeoutMs()), xid_(xid) {
    lastBytes_ = endBytes;
  }

 protected:
  int check() override { return session_.checkRolledBack(); }

  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    prepared_.emplace(xid_);
    const wire::Prepare prepare{xid_, variables::durability(session_.thd_)};
    return session_.chain(Method::PREPARE, prepare.encode());
  }

  // The host may have prepared it. Rolls it back there if so.
  int findOutcome(bool& /*isDone*/) override {
    // In the next session it shows whether what the host has under the xid may be this transaction.
    if (isLost(failure_.code)) {
      prepared_.reset();
      session_.connect(false);
    }
    if (const int error = session_.checkRolledBack())
      return isWhole() ? error : session_.failTransaction(error);
    client::Failure ignored;
    const Ended ended = endPrepared(session_.stream_, xid_, false, wire::Durability::SYNCED,
                                    variables::connectTimeoutMs(), ignored);
    isRepeatable_ = session_.waiting_.blobs() == 0 && ended != Ended::NOT_YET;
    return 0;
  }

 private:
  const std::string& xid_;
  std::optional<PreparedXid> prepared_;
};

int Session::prepare(const std::string& xid) {
  if (mustRollBack_) return raise(HA_ERR_LOCK_DEADLOCK);
  if (!hasWritten_ && !hasLocked_) return 0;
  // A replica that writes no binary log lets transactions of two engines (the table of GTIDs is InnoDB's)
  // commit in any order. So one could be committed while an earlier one is still applied again.
  if (thd_->rgi_slave && thd_binlog_format(thd_) == BINLOG_FORMAT_UNSPEC) {
    if (const int error = thd_->wait_for_prior_commit()) return error;
  }
  Attempt::Prepare attempt(*this, xid);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      forgetSent();
      forgetTransaction();
      prepared_.emplace(xid);
      hasWritten_ = true;
      if (thd_->rgi_slave) {
        std::lock_guard lock(mutex_);
        isReplicating_ = true;
      }
      return 0;
    case Attempt::Ending::FAILED:
      return raise(attempt.error());
    case Attempt::Ending::GIVEN_UP:
      isOpenOnHost_ = true;  // it may be
      return raise(fail(attempt.failure()));
    case Attempt::Ending::REFUSED:
      return raise(failChain(attempt.isWhole(), client::failedIndex(attempt.call()), attempt.failure()));
    default:
      return raise(failAlone(attempt.failure()));
  }
}

}  // namespace vamos::mariadb
