#include "mariadb/session/session.hpp"

#include <mysql/service_thd_wait.h>

#include <algorithm>
#include <iterator>

#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/plugin.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/attempt.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session_watch.hpp"
#include "protocol/methods.hpp"

// The server has it for engines, in no header.
extern "C" int thd_rpl_deadlock_check(THD* thd, THD* other);

namespace vamos::mariadb {

using wire::Method;

namespace {

// How long a thread that waits for a session goes without a look at whether it was killed.
constexpr uint64_t LOOK_MS = 200;
// What a request takes beside its body, at most.
constexpr size_t REQUEST_OVERHEAD_BYTES = 192;

// It changes definitions.
bool isDefinition(uint32_t method) {
  return method >= Method::CREATE_TABLE && method <= Method::REDEFINE_TABLE && !isRepeatable(method);
}

}  // namespace

Session& Session::of(THD* thd) {
  Session* session = find(thd);
  if (!session) {
    session = new Session(thd);
    thd_set_ha_data(thd, engine(), session);
  }
  return *session;
}

Session* Session::find(THD* thd) { return static_cast<Session*>(thd_get_ha_data(thd, engine())); }

Session::Session(THD* thd) : thd_(thd), stream_(host().openStream()), renewals_(host().renewals()) {
  watch().add(this);
}

Session::~Session() {
  stopListening();
  watch().remove(this);
  if (epoch_ != 0) later(Method::CLOSE_STREAM, {});
}

bool Session::isInMultiStatement() const {
  return thd_test_options(thd_, OPTION_NOT_AUTOCOMMIT | OPTION_BEGIN) != 0;
}

void Session::beginStatement(Use use) {
  trans_register_ha(thd_, false, engine(), 0);
  if (isInMultiStatement()) trans_register_ha(thd_, true, engine(), 0);
  if (!inStatement_) {
    inStatement_ = true;
    statementSent_ = false;
    statementUse_ = use;
    ++statement_;
    if (thd_->rgi_slave) {
      std::lock_guard lock(mutex_);
      replicates_ = true;
    }
  }
  statementUse_ = std::max(statementUse_, use);
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
  return !begun_ && !dead_ && waiting_.empty() && statementUse_ == Use::READ && !isInMultiStatement();
}

wire::Begin Session::begin() const {
  wire::Begin begin;
  const int isolation = thd_tx_isolation(thd_);
  if (isolation <= ISO_READ_COMMITTED) {
    begin.isolation = wire::Isolation::READ_COMMITTED;
  } else if (isolation == ISO_SERIALIZABLE && isInMultiStatement()) {
    begin.isolation = wire::Isolation::SERIALIZABLE;  // else its reads need no locks: it is one statement
  }
  begin.consistentSnapshot = wantsSnapshot_;
  // Not read_only: a READ ONLY transaction may write to temporary tables; the server keeps it from others.
  return begin;
}

uint32_t Session::timeoutMs(Work work) const {
  if (work == Work::LONG) return 0;  // pings tell of a host that is gone
  const bool mayMeetLocks = statementUse_ != Use::READ || !waiting_.empty() || locked_ || wrote_;
  return variables::requestTimeoutMs(thd_) + (mayMeetLocks ? variables::lockTimeoutMs(thd_) : 0);
}

uint32_t Session::connect(bool mayCancel) {
  const uint64_t untilMs = nowMs() + variables::connectTimeoutMs();
  client::Failure failure;
  for (;;) {
    const uint64_t leftMs = untilMs - std::min(untilMs, nowMs());
    const auto sliceMs = static_cast<uint32_t>(std::min(leftMs, LOOK_MS));
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
    // A kill that came before anybody could see the call.
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

bool Session::replicates() {
  std::lock_guard lock(mutex_);
  return replicates_;
}

void Session::mayBlock(THD* waiting) {
  std::lock_guard lock(mutex_);  // so that the transaction does not end meanwhile
  if (replicates_) thd_rpl_deadlock_check(waiting, thd_);
}

uint64_t Session::waitingSinceMs() {
  std::lock_guard lock(mutex_);
  return sinceMs_;
}

client::Request Session::requestOf(const Waiting& waiting, const wire::Scope& scope) const {
  if (waiting.table == 0) return {waiting.method, waiting.body};
  wire::Write write;
  write.table = waiting.table;
  write.version = waiting.version;
  write.scope = scope;
  if (scope.inTransaction) write.scope.statement = waiting.statement;
  write.batch = waiting.body;
  write.autoIncrementSeen = waiting.autoIncrementSeen;
  write.duplicateLock = waiting.duplicateLock;
  return {waiting.method, write.encode()};
}

std::vector<client::Request> Session::chain(uint32_t lastMethod, std::string lastBody) const {
  std::vector<client::Request> requests;
  requests.reserve(waiting_.size() + 2);
  if (!begun_) requests.push_back({Method::BEGIN, begin().encode()});
  for (const Waiting& waiting : waiting_) requests.push_back(requestOf(waiting, scope()));
  if (lastMethod != 0) requests.push_back({lastMethod, std::move(lastBody)});
  return requests;
}

bool Session::exceedsFrame(size_t lastBytes) const {
  const size_t bytes = waitingBytes_ + lastBytes + (waiting_.size() + 2) * REQUEST_OVERHEAD_BYTES;
  return bytes > host().maxBodyBytes();
}

class Session::Attempt::InTransaction final : public Attempt {
 public:
  InTransaction(Session& session, uint32_t method, std::string body, Work work)
      : Attempt(session, session.timeoutMs(work)), method_(method), body_(std::move(body)) {
    if (method_ != 0) lastBytes_ = body_.size();
    isRepeatable_ = session.waitingBlobs_ == 0;
  }

  std::string_view reply() const { return client::replyBody(call(), last_); }

 protected:
  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    std::vector<client::Request> requests =
        session_.chain(method_, isWhole() ? body_ : std::move(body_));  // what is moved is not sent again
    last_ = requests.size() - 1;
    return requests;
  }

 private:
  const uint32_t method_;
  std::string body_;
  size_t last_ = 0;
};

int Session::run(uint32_t method, std::string body, Reply& reply, Work work) {
  Attempt::InTransaction attempt(*this, method, std::move(body), work);
  switch (attempt.make()) {
    case Attempt::Ending::DONE:
      begun_ = true;
      dropSent();
      reply = {attempt.call(), attempt.reply()};
      return 0;
    case Attempt::Ending::FAILED:
      return attempt.error();
    default:
      return failedChain(attempt.isWhole(), client::failedIndex(attempt.call()), attempt.failure());
  }
}

void Session::dropSent(bool hasFailed) {
  for (Waiting& waiting : waiting_) {
    if (waiting.table != 0 && waiting.statement == statement_) statementSent_ = true;
    // A request that sets a savepoint undoes no writes. The others for savepoints may.
    if (waiting.table != 0 || waiting.savepoint == 0) leavesNumber_ = waiting.table != 0 && !hasFailed;
    if (hasFailed) discardBlobs(waiting.blobs);
  }
  waiting_.clear();
  waitingBytes_ = waitingBlobs_ = 0;
}

void Session::dropUnsent(size_t from) {
  for (size_t place = from; place < waiting_.size(); ++place) discardBlobs(waiting_[place].blobs);
  waiting_.resize(from);
  waitingBytes_ = waitingBlobs_ = 0;
  for (const Waiting& waiting : waiting_) {
    waitingBytes_ += waiting.table != 0 ? waiting.body.size() : 0;
    waitingBlobs_ += waiting.blobs.size();
  }
}

// All but those that rows on the host own.
void Session::discardBlobs(std::vector<uint64_t>& blobs) {
  for (const uint64_t blob : blobs) later(Method::WRITE_BLOB, wire::WriteBlob{blob, {}, true}.encode());
  blobs.clear();
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

int Session::die(int error) {
  dead_ = true;
  begun_ = false;
  dropSent(true);
  thd_->mark_transaction_to_rollback(true);
  return error;
}

int Session::failedChain(bool begins, size_t index, const client::Failure& failure) {
  const int error = fail(failure);
  const bool hasEarlier = std::any_of(waiting_.begin(), waiting_.end(), [this](const Waiting& waiting) {
    return waiting.statement != statement_;
  });
  if (isLost(failure.code) || failure.code == ErrorCode::NO_TRANSACTION) {
    if (!begins || hasEarlier) return die(HA_ERR_LOCK_DEADLOCK);
    dropSent(true);
    return error;
  }
  if (failure.code == ErrorCode::DEADLOCK) return die(HA_ERR_LOCK_DEADLOCK);
  if (isGivenUp(failure.code)) {
    // Nobody knows how far it came.
    if (begins || hasEarlier) {
      later(Method::ROLLBACK, {});
      begun_ = false;
      if (hasEarlier) return die(error);
    }
    dropSent(true);
    return error;
  }
  if (begins && index == 0) {
    if (hasEarlier) return die(error);
    dropSent(true);
    return error;
  }
  begun_ = true;
  const size_t place = index - (begins ? 1 : 0);
  return place < waiting_.size() ? failedWaiting(place, error) : (dropSent(true), error);
}

// The host has what is before it, not what is behind.
int Session::failedWaiting(size_t place, int error) {
  Waiting failed = std::move(waiting_[place]);
  const bool isOfAnother = failed.valuesEpoch != 0 && failed.valuesEpoch != epoch_;
  if (isOfAnother && failure_.code == ErrorCode::DUPLICATE_KEY) {
    error =
        fail({ErrorCode::SESSION_LOST, "the session that the row's number was reserved in has ended", {}});
    failed.owner = nullptr;  // whose refusal would be that of a duplicate
  }
  if (failed.statement != statement_) {
    // Its statement was told that all is well: only the whole transaction can be undone.
    later(Method::ROLLBACK, {});
    discardBlobs(failed.blobs);
    return die(error);
  }
  forgetInsertId(place);
  dropSent(true);
  int raised = error;
  if (failed.owner) {
    if (Duplicate duplicate; duplicateOf(failure_, duplicate)) {
      thd_->get_stmt_da()->set_current_row_for_warning(
          static_cast<long>(failed.firstRowNumber + duplicate.row));
    }
    isRaised_ = true;
    raised = failed.owner->raiseRefusal(failure_, failed.method, failed.body);
  }
  discardBlobs(failed.blobs);  // the refusal may have shown them
  return raised;
}

int Session::call(uint32_t method, std::string body, Reply& reply, Work work) {
  if (statementUse_ != Use::READ || thd_tx_isolation(thd_) == ISO_SERIALIZABLE) locked_ = true;
  return run(method, std::move(body), reply, work);
}

int Session::callAlone(uint32_t method, std::string body, Reply& reply, Work work) {
  const int error = callOutside(method, std::move(body), reply, work);
  // Of definitions the server would tell the number, and no more.
  return error >= FIRST_ERROR && isDefinition(method) ? raise(error) : error;
}

class Session::Attempt::Outside final : public Attempt {
 public:
  Outside(Session& session, uint32_t method, std::string body, Work work)
      : Attempt(session, session.timeoutMs(work)), method_(method), body_(std::move(body)) {
    // A change of definitions is not given up half-way: the server has files that go with it.
    mayCancelConnect_ = !isDefinition(method);
    // Without its answer nobody knows a new blob, to discard it; it is not long in coming.
    mayCancelAnswer_ = mayCancelConnect_ && method != Method::WRITE_BLOB;
    isRepeatable_ = isRepeatable(method);
  }

 protected:
  std::vector<client::Request> requests(client::CallOptions& /*options*/) override {
    return {{method_, isRepeatable_ ? body_ : std::move(body_)}};  // what is moved is not sent again
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
      return failedAlone(attempt.failure());
  }
}

int Session::failedAlone(const client::Failure& failure) {
  const int error = fail(failure);
  if (failure.code == ErrorCode::DEADLOCK || (begun_ && endsTransaction(failure.code)))
    return die(HA_ERR_LOCK_DEADLOCK);
  return error;
}

client::CallPointer Session::ahead(uint32_t method, std::string body) {
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
  if (!waitFor(call, true)) return failedAlone(client::failureOf(call));
  reply.body = client::replyBody(call, 0);
  return 0;
}

bool Session::take(const client::CallPointer& call, Reply& reply) {
  reply.call = call;
  if (!waitFor(call, true)) return false;
  reply.body = client::replyBody(call, 0);
  return true;
}

void Session::later(uint32_t method, std::string body) {
  client::CallOptions options;
  options.epoch = epoch_;
  host().sendLater(stream_, {{method, std::move(body)}}, options);
}

int Session::write(RowOwner& owner, const RowsToWrite& write) {
  if (dead_) return HA_ERR_LOCK_DEADLOCK;
  wrote_ = true;
  const bool isAwaited = write.mayWait == MayWait::NOT;
  const size_t mostBytes =
      std::min<size_t>(variables::writeBufferBytes(), std::max(host().maxBodyBytes(), 8192u) / 2);
  if (waitingBytes_ > 0 && waitingBytes_ + write.rows.size() > mostBytes) {
    if (const int error = flush()) return error;
  }
  Waiting* last = waiting_.empty() ? nullptr : &waiting_.back();
  const bool joins = last && !isAwaited && last->owner == &owner && last->method == write.method &&
                     last->statement == statement_ && last->mayWait == write.mayWait &&
                     last->duplicateLock == write.duplicateLock && last->valuesEpoch == write.valuesEpoch;
  if (!joins) {
    Waiting waiting;
    waiting.method = write.method;
    waiting.statement = statement_;
    waiting.owner = isAwaited ? nullptr : &owner;
    waiting.table = write.table;
    waiting.version = write.version;
    waiting.mayWait = write.mayWait;
    waiting.duplicateLock = write.duplicateLock;
    waiting.firstRowNumber = thd_->get_stmt_da()->current_row_for_warning();
    waiting.valuesEpoch = write.valuesEpoch;
    last = &waiting_.emplace_back(std::move(waiting));
  }
  last->body.append(write.rows);
  last->blobs.insert(last->blobs.end(), newBlobs_.begin(), newBlobs_.end());
  waitingBlobs_ += newBlobs_.size();
  newBlobs_.clear();
  last->autoIncrementSeen = std::max(last->autoIncrementSeen, write.autoIncrementSeen);
  noteRow(*last, write.hasInsertId);
  waitingBytes_ += write.rows.size();
  if (isAwaited || waitingBytes_ >= mostBytes || waitingBlobs_ >= MOST_BLOBS) return flush();
  if (write.mayWait == MayWait::UNTIL_STATEMENT) listen();
  return 0;
}

// The server takes the row for done when it waits, and its generated value for LAST_INSERT_ID().
void Session::noteRow(Waiting& waiting, bool hasInsertId) {
  const bool givesInsertId = thd_->first_successful_insert_id_in_cur_stmt == 0 && hasInsertId;
  if (givesInsertId && !waiting.insertIdRow) waiting.insertIdRow = waiting.rows;
  waiting.rows++;
}

// A waiting row was refused: if the value for LAST_INSERT_ID() was its own or of a row behind it, there is
// none.
void Session::forgetInsertId(size_t place) {
  Duplicate duplicate{};
  if (!duplicateOf(failure_, duplicate)) duplicate.row = 0;
  for (size_t other = place; other < waiting_.size(); ++other) {
    const std::optional<uint32_t> row = waiting_[other].insertIdRow;
    if (row && (other > place || duplicate.row <= *row)) thd_->first_successful_insert_id_in_cur_stmt = 0;
  }
}

bool Session::hasDueRows() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [](const Waiting& waiting) { return waiting.mayWait != MayWait::UNTIL_COMMIT; });
}

int Session::flushStatement() {
  return isInMultiStatement() && !thd_->is_error() && hasDueRows() ? flush() : 0;
}

bool Session::isForestalled(Sql_condition::enum_warning_level level) {
  const Diagnostics_area* told = thd_->get_stmt_da();
  // Behind the last warning that is kept, nobody sees which ones there are.
  const bool isKept =
      level == Sql_condition::WARN_LEVEL_ERROR || told->cond_count() < thd_->variables.max_error_count;
  if (isForestalling_ || dead_ || told->is_error() || thd_kill_level(thd_) != THD_IS_NOT_KILLED || !isKept ||
      !hasDueRows()) {
    return false;
  }
  isForestalling_ = true;
  const int error = flush();
  if (error) raise(error);
  isForestalling_ = false;
  return error != 0;
}

void Session::listen() {
  if (isListening_) return;
  thd_->push_internal_handler(&conditions_);
  isListening_ = true;
}

// Handlers are a stack. Where another one is on top, this one stays below it until a later statement ends.
void Session::stopListening() {
  if (!isListening_ || thd_->get_internal_handler() != &conditions_) return;
  thd_->pop_internal_handler();
  isListening_ = false;
}

int Session::flush() {
  if (waiting_.empty()) return 0;
  Reply ignored;
  return run(0, {}, ignored);
}

void Session::forget(const RowOwner& owner) {
  for (Waiting& waiting : waiting_) {
    if (waiting.owner == &owner) waiting.owner = nullptr;
  }
}

}  // namespace vamos::mariadb
