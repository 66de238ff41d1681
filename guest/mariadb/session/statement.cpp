// A session's statements and savepoints.
#include <my_global.h>
#include <sql_class.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

namespace {

// If more requests wait than this, they are sent before another savepoint is set.
constexpr size_t maxWaiting = 1000;

std::string savepointBody(wire::SavepointAction action, uint64_t number) {
  wire::Savepoint savepoint;
  savepoint.action = action;
  savepoint.name = std::to_string(number);
  return savepoint.encode();
}

std::string rollbackBody(uint32_t statement) {
  wire::Savepoint savepoint;
  savepoint.action = wire::SavepointAction::ROLLBACK_STATEMENT;
  savepoint.statement = statement;
  return savepoint.encode();
}

}  // namespace

int Session::beginWithSnapshot() {
  wantsSnapshot_ = thd_tx_isolation(thd_) >= ISO_REPEATABLE_READ;
  Reply ignored;
  const int error = callInTransaction(0, {}, ignored);
  return error ? raise(error) : 0;
}

int Session::endStatement() {
  int error = mustRollBack_ ? HA_ERR_LOCK_DEADLOCK : 0;
  if (!error && waiting_.hasDueRows()) error = flush();
  if (error) {
    raise(error);
    rollbackStatement();
  }
  stopListening();
  isInStatement_ = false;
  return error;
}

void Session::rollbackStatement() {
  addedRows_.takeBackStatement(statement_);
  stopListening();
  discardBlobs(waiting_.removeStatement(statement_));
  discardNewBlobs();
  if (isOpenOnHost_ && hasSentRows_) waiting_.addSavepoint(rollbackBody(statement_));
  isInStatement_ = false;
  hasSentRows_ = false;
}

uint64_t Session::setSavepoint() {
  if (waiting_.size() > maxWaiting) flush();  // what comes next meets a failure again
  const uint64_t number = nextSavepoint_++;
  waiting_.addSavepoint(savepointBody(wire::SavepointAction::SET, number), number);
  savepoints_.push_back({number, false, addedRows_.mark()});
  return number;
}

void Session::rollbackToSavepoint(uint64_t number) {
  while (!savepoints_.empty() && savepoints_.back().number != number) savepoints_.pop_back();
  if (!savepoints_.empty()) addedRows_.takeBack(savepoints_.back().rowsMark);
  const std::optional<size_t> place = waiting_.placeOfSavepoint(number);
  discardBlobs(waiting_.remove(place ? *place + 1 : 0));
  if (!place) waiting_.addSavepoint(savepointBody(wire::SavepointAction::ROLLBACK_TO, number));
}

// When the host releases a savepoint, it also releases all savepoints that were set after it. So it is asked
// to release one only when the later ones are released here, too.
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
  const std::optional<size_t> place = waiting_.placeOfSavepoint(lowest);
  if (place && *place + 1 == waiting_.size()) {
    waiting_.remove(*place);
  } else {
    waiting_.addSavepoint(savepointBody(wire::SavepointAction::RELEASE, lowest));
  }
}

}  // namespace vamos::mariadb
