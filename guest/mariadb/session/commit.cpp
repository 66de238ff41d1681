// The end of a session's transaction: commit, rollback, statements and savepoints.
#include <log.h>
#include <my_global.h>
#include <sql_class.h>

#include <algorithm>
#include <utility>

#include "channel/fresh_bytes.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/plugin.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/attempt.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/lone_commits.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session.hpp"

// The server has it for engines, in no header.
extern "C" int thd_binlog_format(const THD* thd);

namespace vamos::mariadb {

using wire::Method;

namespace {

constexpr size_t END_BYTES = 256;  // of a COMMIT or PREPARE, at most
constexpr size_t TOKEN_BYTES = 8;
// A rollback is waited for so that its locks are gone when it returns; no longer than this.
constexpr uint32_t ROLLBACK_WAIT_MS = 2000;
// Tables of a statement whose rows are counted together.
constexpr size_t MOST_COUNTERS = 64;
// Savepoints that nobody wrote after are not worth more of a chain.
constexpr size_t MOST_WAITING = 1000;

std::string savepointBody(wire::SavepointAction action, uint64_t number, uint32_t statement = 0) {
  wire::Savepoint savepoint;
  savepoint.action = action;
  if (number != 0) savepoint.name = std::to_string(number);
  savepoint.statement = statement;
  return savepoint.encode();
}

}  // namespace

int Session::raise(int error) {
  if (!isRaised_) raiseError(thd_, error, failure_);
  isRaised_ = true;
  return error;
}

void Session::countRows(const std::shared_ptr<AddedRows>& counter, int64_t added) {
  counter->uncommitted.fetch_add(added, std::memory_order_relaxed);
  // A statement writes to few tables, with triggers and partitions in turn.
  const size_t first = countedRows_.size() - std::min(countedRows_.size(), MOST_COUNTERS);
  for (size_t place = countedRows_.size(); place > first; --place) {
    CountedRows& known = countedRows_[place - 1];
    if (known.statement != statement_) break;
    if (known.counter != counter) continue;
    known.added += added;
    return;
  }
  countedRows_.push_back({counter, statement_, added});
}

void Session::takeRowsBack(size_t from) {
  while (countedRows_.size() > from) {
    const CountedRows& last = countedRows_.back();
    last.counter->uncommitted.fetch_sub(last.added, std::memory_order_relaxed);
    countedRows_.pop_back();
  }
}

void Session::keepRows() {
  for (const CountedRows& counted : countedRows_) {
    counted.counter->committed.fetch_add(counted.added, std::memory_order_relaxed);
    counted.counter->uncommitted.fetch_sub(counted.added, std::memory_order_relaxed);
  }
  countedRows_.clear();
}

void Session::forgetTransaction() {
  if (thd_->rgi_slave) {
    std::lock_guard lock(mutex_);
    replicates_ = false;
  }
  begun_ = dead_ = locked_ = wrote_ = wantsSnapshot_ = inStatement_ = statementSent_ = leavesNumber_ = false;
  stopListening();
  prepared_.reset();
  dropUnsent();
  discardBlobs(newBlobs_);
  savepoints_.clear();
  keepRows();
  statement_ = 0;
  for (const std::string& table : doomed_) later(Method::DROP_TABLE, wire::TableName{table}.encode());
  doomed_.clear();
}

// Leaves nothing of the transaction on the host.
void Session::rollbackOnHost() {
  if (!begun_) return;
  begun_ = false;
  if (!holdsLocks()) return later(Method::ROLLBACK, {});
  client::CallOptions options;
  options.timeoutMs = ROLLBACK_WAIT_MS;
  options.epoch = epoch_;
  const client::CallPointer call = host().send(stream_, {{Method::ROLLBACK, {}}}, options);
  if (!waitFor(call, false) && isGivenUp(client::failureOf(call).code)) later(Method::ROLLBACK, {});
}

int Session::commit() {
  int error = 0;
  if (dead_) {
    isRaised_ = false;
    error = HA_ERR_LOCK_DEADLOCK;
  } else if (prepared_) {
    const uint32_t waitMs = variables::connectTimeoutMs() + variables::requestTimeoutMs(thd_);
    client::Failure failure;
    const Ended ended =
        endPrepared(stream_, prepared_->bytes(), true, variables::durability(thd_), waitMs, failure);
    if (ended == Ended::BEFORE) {
      // Else it is done: this server alone ends it.
      error = checkRolledBack();
    } else if (ended == Ended::NOT_YET) {
      failure.code = ErrorCode::OUTCOME_UNKNOWN;
      failure.message = "prepared, and committed as soon as the host daemon is back: " + failure.message;
      error = fail(failure);
    }
  } else if (wrote_) {
    error = commitOnHost();
    if (!error) begun_ = false;
  }
  if (error) takeRowsBack(0);
  rollbackOnHost();
  forgetTransaction();
  return error ? raise(error) : 0;
}

// Its number is taken when it is sent, and given back where the host has surely not made it: a commit that is
// made again has to have the same number, to be known from one that was made before a rollback of the guest's
// memory.
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
      return wasLost && !isWhole() ? session_.die(error) : error;
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
    lastBytes_ = END_BYTES;
    isRepeatable_ = session.waitingBlobs_ == 0;
  }

  // The transaction is one batch of rows, which commits by itself.
  bool isAlone() const { return isAlone_; }

 protected:
  std::vector<client::Request> commitRequests() override {
    isAlone_ = isWhole() && session_.waiting_.size() == 1 && session_.waiting_[0].table != 0;
    if (isAlone_) return {session_.requestOf(session_.waiting_[0], session_.commitScope(mark()))};
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

  // Before it is made. Its scope is to be commitScope(mark()).
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
      dropSent();
      if (leavesNumber_ && attempt.isAnswered()) noteStored(attempt.mark());
      return 0;
    case Attempt::Ending::FAILED:
      return attempt.error();
    case Attempt::Ending::GIVEN_UP:
      begun_ = true;  // as far as anybody knows
      return fail(attempt.failure());
    case Attempt::Ending::REFUSED: {
      const client::Failure& failure = attempt.failure();
      if (!attempt.isAlone())
        return failedChain(attempt.isWhole(), client::failedIndex(attempt.call()), failure);
      const int error = fail(failure);
      return failure.code == ErrorCode::DEADLOCK ? error : failedWaiting(0, error);
    }
    default:
      return failedAlone(attempt.failure());
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
  // The host may know more than one session that was left; only the last can be asked about.
  const bool isOnlyOne = renewals == renewals_ + 1;
  if (!isOnlyOne) fail({ErrorCode::OUTCOME_UNKNOWN, "the guest's memory was rolled back", {}});
  const bool isKnown = isOnlyOne && findCommit(mark, host().formerSession(), isDone);
  if (!isKnown && failure_.code != ErrorCode::OUTCOME_UNKNOWN) return errorOfLast();
  renewals_ = renewals;
  // It is done where it was sent in that state, and then in none again.
  return isKnown && !isDone ? 0 : failUnknown();
}

int Session::checkRolledBack() {
  const uint32_t renewals = host().renewals();
  if (renewals == renewals_) return 0;
  renewals_ = renewals;
  fail({ErrorCode::OUTCOME_UNKNOWN, "the guest's memory was rolled back", {}});
  return failUnknown();
}

CommitMark Session::nextCommit() const {
  return {lastCommit_ + 1, freshBytes(TOKEN_BYTES), host().session()};
}

// A commit that wrote rows is done.
void Session::noteStored(const CommitMark& mark) {
  if (variables::durability(thd_) == wire::Durability::SYNCED) stored_ = mark;
}

// What became of a commit whose answer never came; `session`: the one that it was sent in. False: nobody
// knows, failure_ says why.
bool Session::findCommit(const CommitMark& mark, const std::string& session, bool& isDone) {
  for (int attempt = 1; attempt <= ATTEMPTS; ++attempt) {
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
      // Earlier hosts know no tokens.
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
  Waiting waiting;
  waiting.method = write.method;
  waiting.table = write.table;
  waiting.version = write.version;
  waiting.body = write.rows;
  waiting.autoIncrementSeen = write.autoIncrementSeen;
  attempt.setRequest(requestOf(waiting, commitScope(attempt.mark())));
  client::Failure failure;
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      newBlobs_.clear();
      if (attempt.isAnswered()) noteStored(attempt.mark());
      if (!begun_ || !isLost(attempt.failure().code)) return 0;
      // The rows are there, but the transaction that was open beside them is not.
      failure = attempt.failure();
      failure.code = ErrorCode::SESSION_LOST;
      return failedAlone(failure);
    case Attempt::Ending::FAILED:
      return attempt.error();
    case Attempt::Ending::REFUSED:
      failure = attempt.failure();
      // They may be the rows themselves, done before this guest's memory was rolled back.
      if (attempt.wasRepeated() && failure.code == ErrorCode::DUPLICATE_KEY)
        failure.code = ErrorCode::SESSION_LOST;
      return failedAlone(failure);
    default:
      return failedAlone(attempt.failure());
  }
}

// Whether this statement is all of its transaction, and nothing but the host has a part in that: then its
// commit travels along.
bool Session::isWholeTransaction() const {
  return !begun_ && waiting_.empty() && savepoints_.empty() && !isInMultiStatement() && !thd_->in_sub_stmt &&
         !thd_->rgi_slave && thd_binlog_format(thd_) == BINLOG_FORMAT_UNSPEC;
}

int Session::change(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed) {
  if (dead_) return HA_ERR_LOCK_DEADLOCK;
  if (isWholeTransaction()) {
    const LoneCommit commit;
    if (commit.isAllowed()) return changeAlone(method, std::move(request), isOneRow, changed);
  }
  request.scope = scope();
  wrote_ = statementSent_ = true;
  Reply reply;
  if (const int error = run(method, request.encode(), reply, Work::LONG)) return error;
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
    changed = {1, 1};  // what changes nothing leaves no number
    if (!isOneRow) {
      push_warning(thd_, Sql_condition::WARN_LEVEL_WARN, ER_UNKNOWN_ERROR,
                   "The statement was done, but how many rows it changed is not known: the host daemon's "
                   "answer was lost");
    }
  }
  // A kill came too late.
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
  takeRowsBack(0);
  if (prepared_) {
    client::Failure ignored;
    endPrepared(stream_, prepared_->bytes(), false, wire::Durability::SYNCED, ROLLBACK_WAIT_MS, ignored);
  }
  rollbackOnHost();
  forgetTransaction();
}

class Session::Attempt::Prepare final : public Attempt {
 public:
  Prepare(Session& session, const std::string& xid) : Attempt(session, session.timeoutMs()), xid_(xid) {
    lastBytes_ = END_BYTES;
  }

 protected:
  int check() override { return session_.checkRolledBack(); }

  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    prepared_.emplace(xid_);
    const wire::Prepare prepare{xid_, variables::durability(session_.thd_)};
    return session_.chain(Method::PREPARE, prepare.encode());
  }

  // It may be prepared, but then not any longer.
  int findOutcome(bool& /*isDone*/) override {
    // The next session tells whether it is this transaction that the host may have under the xid.
    if (isLost(failure_.code)) {
      prepared_.reset();
      session_.connect(false);
    }
    if (const int error = session_.checkRolledBack()) return isWhole() ? error : session_.die(error);
    client::Failure ignored;
    const Ended ended = endPrepared(session_.stream_, xid_, false, wire::Durability::SYNCED,
                                    variables::connectTimeoutMs(), ignored);
    isRepeatable_ = session_.waitingBlobs_ == 0 && ended != Ended::NOT_YET;
    return 0;
  }

 private:
  const std::string& xid_;
  std::optional<PreparedXid> prepared_;
};

int Session::prepare(const std::string& xid) {
  if (dead_) return raise(HA_ERR_LOCK_DEADLOCK);
  if (!wrote_ && !locked_) return 0;
  // A replica that writes no binary log itself lets transactions of two engines (the table of GTIDs is
  // InnoDB's) commit in any order, so that one could be done that stands behind a transaction which is made
  // again.
  if (thd_->rgi_slave && thd_binlog_format(thd_) == BINLOG_FORMAT_UNSPEC) {
    if (const int error = thd_->wait_for_prior_commit()) return error;
  }
  Attempt::Prepare attempt(*this, xid);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      dropSent();
      forgetTransaction();
      prepared_.emplace(xid);
      wrote_ = true;
      if (thd_->rgi_slave) {
        std::lock_guard lock(mutex_);
        replicates_ = true;
      }
      return 0;
    case Attempt::Ending::FAILED:
      return raise(attempt.error());
    case Attempt::Ending::GIVEN_UP:
      begun_ = true;  // as far as anybody knows
      return raise(fail(attempt.failure()));
    case Attempt::Ending::REFUSED:
      return raise(failedChain(attempt.isWhole(), client::failedIndex(attempt.call()), attempt.failure()));
    default:
      return raise(failedAlone(attempt.failure()));
  }
}

int Session::beginWithSnapshot() {
  wantsSnapshot_ = thd_tx_isolation(thd_) >= ISO_REPEATABLE_READ;
  Reply ignored;
  const int error = run(0, {}, ignored);
  return error ? raise(error) : 0;
}

int Session::endStatement() {
  int error = dead_ ? HA_ERR_LOCK_DEADLOCK : 0;
  if (!error && hasDueRows()) error = flush();
  if (error) {
    raise(error);
    rollbackStatement();
  }
  stopListening();
  inStatement_ = false;
  return error;
}

void Session::rollbackStatement() {
  size_t kept = countedRows_.size();
  while (kept > 0 && countedRows_[kept - 1].statement == statement_) --kept;
  takeRowsBack(kept);
  stopListening();
  const auto own = std::stable_partition(waiting_.begin(), waiting_.end(), [this](const Waiting& waiting) {
    return waiting.statement != statement_;
  });
  dropUnsent(static_cast<size_t>(own - waiting_.begin()));
  discardBlobs(newBlobs_);
  if (begun_ && statementSent_) {
    Waiting& waiting = waiting_.emplace_back();
    waiting.method = Method::SAVEPOINT;
    waiting.body = savepointBody(wire::SavepointAction::ROLLBACK_STATEMENT, 0, statement_);
  }
  inStatement_ = false;
  statementSent_ = false;
}

uint64_t Session::setSavepoint() {
  if (waiting_.size() > MOST_WAITING) {
    Reply ignored;
    run(0, {}, ignored);  // a failure is met again by what comes next
  }
  const uint64_t number = nextSavepoint_++;
  Waiting& waiting = waiting_.emplace_back();
  waiting.method = Method::SAVEPOINT;
  waiting.body = savepointBody(wire::SavepointAction::SET, number);
  waiting.savepoint = number;
  savepoints_.push_back({number, false, countedRows_.size()});
  return number;
}

void Session::rollbackToSavepoint(uint64_t number) {
  while (!savepoints_.empty() && savepoints_.back().number != number) savepoints_.pop_back();
  if (!savepoints_.empty()) takeRowsBack(savepoints_.back().countedRows);
  const auto set = std::find_if(waiting_.begin(), waiting_.end(),
                                [number](const Waiting& waiting) { return waiting.savepoint == number; });
  if (set != waiting_.end()) {
    dropUnsent(static_cast<size_t>(set - waiting_.begin()) + 1);
  } else {
    dropUnsent();
    Waiting& waiting = waiting_.emplace_back();
    waiting.method = Method::SAVEPOINT;
    waiting.body = savepointBody(wire::SavepointAction::ROLLBACK_TO, number);
  }
}

// On the host a savepoint goes with all that are above it, so it goes there when none that counts is.
void Session::releaseSavepoint(uint64_t number) {
  for (Savepoint& savepoint : savepoints_) {
    if (savepoint.number == number) savepoint.isReleased = true;
  }
  uint64_t lowest = 0;
  while (!savepoints_.empty() && savepoints_.back().isReleased) {
    lowest = savepoints_.back().number;
    savepoints_.pop_back();
  }
  if (lowest == 0) return;
  const auto set = std::find_if(waiting_.begin(), waiting_.end(),
                                [lowest](const Waiting& waiting) { return waiting.savepoint == lowest; });
  if (set != waiting_.end() && set + 1 == waiting_.end()) {
    waiting_.pop_back();
    return;
  }
  Waiting& waiting = waiting_.emplace_back();
  waiting.method = Method::SAVEPOINT;
  waiting.body = savepointBody(wire::SavepointAction::RELEASE, lowest);
}

}  // namespace vamos::mariadb
