// Rows that a session's statements write: how long they wait, and what becomes of their blobs.
#include <my_global.h>
#include <sql_class.h>

#include <algorithm>
#include <utility>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/session.hpp"
#include "protocol/methods.hpp"

namespace vamos::mariadb {

int Session::write(RowOwner& owner, const RowsToWrite& write) {
  if (mustRollBack_) return HA_ERR_LOCK_DEADLOCK;
  hasWritten_ = true;
  const bool isAwaited = write.mayWait == MayWait::NOT;
  const size_t mostBytes =
      std::min<size_t>(variables::writeBufferBytes(), std::max(host().maxBodyBytes(), 8192u) / 2);
  if (waiting_.bytes() > 0 && waiting_.bytes() + write.rows.size() > mostBytes) {
    if (const int error = flush()) return error;
  }
  WaitingRequests::RowsOfStatement of{};
  of.owner = isAwaited ? nullptr : &owner;
  of.statement = statement_;
  of.rowNumber = thd_->get_stmt_da()->current_row_for_warning();
  // The server takes a row that waits for done, and its generated value for LAST_INSERT_ID().
  of.givesInsertId = write.hasInsertId && thd_->first_successful_insert_id_in_cur_stmt == 0;
  waiting_.addRows(write, of, std::exchange(newBlobs_, {}));
  if (isAwaited || waiting_.bytes() >= mostBytes || waiting_.blobs() >= maxNewBlobs) return flush();
  if (write.mayWait == MayWait::UNTIL_STATEMENT) listen();
  return 0;
}

void Session::countRows(const std::shared_ptr<AddedRows>& table, int64_t added) {
  addedRows_.add(table, statement_, added);
}

int Session::flush() {
  if (waiting_.isEmpty()) return 0;
  Reply ignored;
  return callInTransaction(0, {}, ignored);
}

int Session::flushStatement() {
  return isInMultiStatement() && !thd_->is_error() && waiting_.hasDueRows() ? flush() : 0;
}

void Session::forgetSent(bool hasFailed) {
  for (const WaitingRequest& request : waiting_) {
    if (request.hasRows() && request.statement == statement_) hasSentRows_ = true;
    // A request that sets a savepoint undoes no rows; the other requests about savepoints may.
    if (request.hasRows() || request.savepoint == 0) leavesNumber_ = request.hasRows() && !hasFailed;
  }
  const std::vector<uint64_t> blobs = waiting_.remove();
  if (hasFailed) discardBlobs(blobs);
}

void Session::discardBlobs(const std::vector<uint64_t>& blobs) {
  for (const uint64_t blob : blobs) {
    sendLater(wire::Method::WRITE_BLOB, wire::WriteBlob{blob, {}, true}.encode());
  }
}

bool Session::sendBeforeCondition(Sql_condition::enum_warning_level level) {
  const Diagnostics_area* told = thd_->get_stmt_da();
  // The server keeps a number of warnings. What those behind them would say is not seen by anyone.
  const bool isKept =
      level == Sql_condition::WARN_LEVEL_ERROR || told->cond_count() < thd_->variables.max_error_count;
  if (isSendingForCondition_ || mustRollBack_ || told->is_error() ||
      thd_kill_level(thd_) != THD_IS_NOT_KILLED || !isKept || !waiting_.hasDueRows()) {
    return false;
  }
  isSendingForCondition_ = true;
  const int error = flush();
  if (error) raise(error);
  isSendingForCondition_ = false;
  return error != 0;
}

void Session::listen() {
  if (isListening_) return;
  thd_->push_internal_handler(&conditions_);
  isListening_ = true;
}

// The THD's handlers are a stack. If another one is on top, this one stays below it until a later statement
// ends.
void Session::stopListening() {
  if (!isListening_ || thd_->get_internal_handler() != &conditions_) return;
  thd_->pop_internal_handler();
  isListening_ = false;
}

}  // namespace vamos::mariadb
