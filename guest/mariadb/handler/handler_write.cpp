// Writes: rows as write batches, auto-increment values and hidden keys, refusals that surface late.
#include <sql_class.h>
#include <sql_lex.h>
#include <sql_priv.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/pushdown/program/quiet.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/blobs.hpp"
#include "wire/batch.hpp"
#include "wire/crc32c.hpp"

namespace vamos::mariadb {

// Says how long a row that takes locks, or may be refused, may wait to be sent. It can't wait where something
// looks at its outcome before the statement ends (a trigger's handler, a function), or where evaluating the
// next row leaves traces. Before the server stores a warning or error of a later row, the session sends it.
MayWait ha_vamos::mayWait() {
  THD* thd = ha_thd();
  if (thd->locked_tables_mode > LTM_LOCK_TABLES || thd->in_sub_stmt || table->triggers) return MayWait::NOT;
  const bool isOneRow =
      thd->lex->sql_command == SQLCOM_INSERT && thd->lex->many_values.elements == 1 && !thd->is_bulk_op();
  if (!leavesTraces_) leavesTraces_ = !isOneRow && program::leavesTraces(*thd->lex);
  return *leavesTraces_ ? MayWait::NOT : MayWait::UNTIL_STATEMENT;
}

// A duplicate key may be found after the call that wrote the row where nothing of the statement depends on it
// but its error. A lone row of a longer transaction would be sent at the end of its statement all the same.
MayWait ha_vamos::mayInsertLater() {
  THD* thd = ha_thd();
  LEX* lex = thd->lex;
  if (ignoresDuplicates_ || (session().isInMultiStatement() && !isBulkInsert_ && !thd->is_bulk_op())) {
    return MayWait::NOT;
  }
  switch (lex->sql_command) {
    case SQLCOM_INSERT:
    case SQLCOM_INSERT_SELECT:
    case SQLCOM_LOAD:
    case SQLCOM_CREATE_TABLE:
      return lex->duplicates == DUP_ERROR && !lex->ignore && !lex->has_returning() ? mayWait() : MayWait::NOT;
    default:
      return MayWait::NOT;
  }
}

// The value of the auto-increment column that the row brings with it, or 0.
uint64_t ha_vamos::givenAutoIncrement(const uchar* record) const {
  Field* field = table->found_next_number_field;
  if (!field || record != table->record[0] || field->is_null()) return 0;
  const longlong value = field->val_int();
  if (value < 0 && !(field->flags & UNSIGNED_FLAG)) return 0;
  return static_cast<uint64_t>(value);
}

// The counter's values where no column has them.
int ha_vamos::nextHiddenKey(int64_t& hiddenKey, uint32_t& epoch) {
  if (table->found_next_number_field) return share_->takeHiddenKey(session(), hiddenKey, epoch);
  uint64_t value = 0;
  const int error = share_->reserve(session(), 1, 1, 1, value, epoch);
  hiddenKey = static_cast<int64_t>(value);
  return error;
}

int ha_vamos::write_row(const uchar* record) {
  uint64_t seen = 0;
  if (table->next_number_field && record == table->record[0]) {
    incrementError_ = 0;
    const int error = update_auto_increment();
    // The server knows of no other reason than that the values are used up.
    if (error) return error == HA_ERR_AUTOINC_READ_FAILED && incrementError_ ? incrementError_ : error;
  }
  const Codec& codec = *share_->codec;
  // The counter knows the values that it gave, and not those of SET INSERT_ID or of a replicated statement.
  const bool isForced = ha_thd()->auto_inc_intervals_forced.nb_elements() > 0;
  if (insert_id_for_cur_row == 0 || isForced) seen = givenAutoIncrement(record);
  valuesEpoch_ = insert_id_for_cur_row != 0 ? incrementEpoch_ : 0;
  int64_t hiddenKey = 0;
  if (codec.hasHiddenKey()) {
    uint32_t epoch = 0;
    const int error = nextHiddenKey(hiddenKey, epoch);
    if (error) return error;
    valuesEpoch_ = valuesEpoch_ == 0 ? epoch : std::min(valuesEpoch_, epoch);
  }
  SessionBlobs blobs(session());
  rows_.assign(sizeof(uint32_t), '\0');
  const int error = codec.encodeRow(record, hiddenKey, blobs, rows_);
  if (error) return error;
  const auto rowBytes = static_cast<uint32_t>(rows_.size() - sizeof(uint32_t));
  std::memcpy(rows_.data(), &rowBytes, sizeof rowBytes);
  codec.appendEntries(record, hiddenKey, rows_);
  if (seen) share_->noteAutoIncrement(seen);
  const int failed = send(wire::Method::INSERT, seen, unseen_.isTable ? MayWait::NOT : mayInsertLater());
  if (!failed) countRows(1);
  return failed;
}

// Rows of the open transaction are taken back with it.
void ha_vamos::countRows(int64_t added) {
  if (unseen_.isTable || isSequence()) {
    share_->addedRows->committed.fetch_add(added, std::memory_order_relaxed);
  } else {
    session().countRows(share_->addedRows, added);
  }
}

RowsToWrite ha_vamos::rowsOfTable(uint32_t method, std::string_view rows, uint64_t seen) const {
  RowsToWrite write;
  write.table = share_->number;
  write.version = share_->version;
  write.method = method;
  write.rows = rows;
  write.autoIncrementSeen = seen;
  return write;
}

int ha_vamos::send(uint32_t method, uint64_t seen, MayWait mayWait) {
  if (unseen_.isTable) {
    unseen_.batch += rows_;
    unseen_.autoIncrementSeen = std::max(unseen_.autoIncrementSeen, seen);
    // ALTER IGNORE leaves out the row that is refused, and no other.
    const bool isDue = ignoresDuplicates_ || unseen_.batch.size() >= variables::writeBufferBytes() ||
                       session().hasManyBlobs();
    return isDue ? flushUnseen() : 0;
  }
  RowsToWrite write = rowsOfTable(method, rows_, seen);
  if (isSequence()) return session().writeAlone(write);
  isWriting_ = true;
  const bool locksDuplicate = changesDuplicates_ && method == wire::Method::INSERT;
  write.mayWait = mayWait;
  if (locksDuplicate) write.duplicateLock = wire::Lock::EXCLUSIVE;
  if (method == wire::Method::INSERT) write.valuesEpoch = valuesEpoch_;
  // Where this handler is a partition's, the server keeps that value in the handler of the whole table.
  write.hasInsertId = table->file->insert_id_for_cur_row != 0;
  const int error = session().write(*this, write);
  isWriting_ = false;
  if (error == HA_ERR_FOUND_DUPP_KEY && mayWait == MayWait::NOT) noteDuplicate(session().failure());
  return error;
}

// Rows of a table that nobody sees yet are committed as they go.
int ha_vamos::flushUnseen() {
  if (unseen_.batch.empty()) return 0;
  const std::string rows = std::exchange(unseen_.batch, {});
  const int error = session().writeAlone(
      rowsOfTable(wire::Method::INSERT, rows, std::exchange(unseen_.autoIncrementSeen, 0)));
  if (error == HA_ERR_FOUND_DUPP_KEY) restoreRefused(session().failure(), wire::Method::INSERT, rows);
  session().discardNewBlobs();  // the refusal has shown them
  return error;
}

void ha_vamos::start_bulk_insert(ha_rows, uint) { isBulkInsert_ = true; }

int ha_vamos::end_bulk_insert() {
  isBulkInsert_ = false;
  int error = flushUnseen();
  if (!error) error = flushStatement();
  if (error) my_errno = error;
  return error;
}

// The server tells a bulk of updates when it ends, so that errors of rows that wait are the statement's.
bool ha_vamos::start_bulk_update() { return table->part_info != nullptr; }
int ha_vamos::bulk_update_row(const uchar* before, const uchar* after, ha_rows* duplicates) {
  *duplicates = 0;
  return ha_update_row(before, after);
}
int ha_vamos::exec_bulk_update(ha_rows* duplicates) {
  *duplicates = 0;
  return flushStatement();
}

bool ha_vamos::start_bulk_delete() { return false; }
int ha_vamos::end_bulk_delete() { return flushStatement(); }

int ha_vamos::flushStatement() {
  if (unseen_.isTable) return 0;
  isWriting_ = true;
  const int error = session().flushStatement();
  isWriting_ = false;
  return error;
}

// The server's number of the index that a refusal names.
void ha_vamos::noteDuplicate(const client::Failure& failure) {
  uint found = static_cast<uint>(-1);
  Duplicate duplicate;
  if (duplicateOf(failure, duplicate)) {
    for (uint index = 0; index < table_share->keys; index++) {
      if (share_->codec->indexOf(index) == duplicate.index) found = index;
    }
  }
  session().setDuplicateIndex(found);
}

// Puts the row that was refused back into the record, which the message takes the key's values from.
int ha_vamos::restoreRefused(const client::Failure& failure, uint32_t method, std::string_view batch) {
  noteDuplicate(failure);
  Duplicate duplicate;
  if (!duplicateOf(failure, duplicate)) return HA_ERR_FOUND_DUPP_KEY;
  const size_t indexes = share_->codec->indexCount();
  Reader reader(batch);
  OldRow before;
  NewRow after;
  for (uint32_t row = 0; row <= duplicate.row; row++) {
    if (method == wire::Method::UPDATE && !readOldRow(reader, indexes, before)) return HA_ERR_FOUND_DUPP_KEY;
    if (!readNewRow(reader, indexes, after)) return HA_ERR_FOUND_DUPP_KEY;
  }
  refusedRow_.assign(after.row);
  SessionBlobs blobs(session());
  share_->codec->decodeRow(refusedRow_, share_->codec->projection(nullptr), table->record[0], blobs,
                           &blobMemory_);
  if (table->vfield) table->update_virtual_fields(this, VCOL_UPDATE_FOR_READ);
  return HA_ERR_FOUND_DUPP_KEY;
}

int ha_vamos::raiseRefusal(const client::Failure& failure, uint32_t method, std::string_view batch) {
  const int error = errorOf(failure);
  if (error == HA_ERR_FOUND_DUPP_KEY) restoreRefused(failure, method, batch);
  // The server says it where the call that failed is one for this row's table.
  if (!isWriting_) print_error(error, MYF(0));
  return error;
}

// The row as the host has it, for its fingerprint and its chunks, with its primary key.
int ha_vamos::beforeRow(const uchar* record, Row& row, int64_t& hiddenKey) {
  const Codec& codec = *share_->codec;
  hiddenKey = 0;
  if (codec.hasHiddenKey()) {
    hiddenKey = Codec::hiddenKeyOf(current_.primaryKey);
    scratch_.assign(current_.primaryKey);
  } else {
    scratch_.clear();
    codec.encodeKey(0, record, 0, scratch_);
  }
  if (!current_.bytes.empty() && current_.primaryKey == scratch_ && modifies_) {
    row = current_;
    return 0;
  }
  shown_ = got_;
  const int error = readRow(0, scratch_, {}, {}, row);
  return error == HA_ERR_KEY_NOT_FOUND ? HA_ERR_RECORD_CHANGED : error;
}

void ha_vamos::appendOld(const Row& row, const uchar* record, int64_t hiddenKey) {
  appendU32(rows_, crc32c(row.bytes.data(), row.bytes.size()));
  share_->codec->appendEntries(record, hiddenKey, rows_);
}

int ha_vamos::update_row(const uchar* before, const uchar* after) {
  const Codec& codec = *share_->codec;
  Row row;
  int64_t hiddenKey = 0;
  int error = beforeRow(before, row, hiddenKey);
  if (error) return error;
  SessionBlobs blobs(session());
  std::string changed;
  error = codec.encodeChangedRow(row.bytes, after, table->write_set, blobs, changed);
  if (error) return error;
  bool isSame = changed == row.bytes;
  bool keepsUnique = true;
  bool keepsKeys = true;
  for (uint index = 0; index < table_share->keys && keepsUnique; index++) {
    if (codec.sameKey(codec.indexOf(index), before, after)) continue;
    keepsKeys = false;
    if (isUnique(index)) keepsUnique = false;
  }
  if (isSame && keepsUnique) return HA_ERR_RECORD_IS_THE_SAME;
  rows_.clear();
  appendOld(row, before, hiddenKey);
  appendLengthPrefixed(rows_, changed);
  codec.appendEntries(after, hiddenKey, rows_);
  uint64_t seen = 0;
  if (table->found_next_number_field &&
      bitmap_is_set(table->write_set, table->found_next_number_field->field_index)) {
    seen = givenAutoIncrement(after);
    if (seen) share_->noteAutoIncrement(seen);
  }
  forgetCurrent();
  if (keepsKeys) return send(wire::Method::UPDATE, seen, MayWait::UNTIL_COMMIT);
  return send(wire::Method::UPDATE, seen, keepsUnique ? mayWait() : MayWait::NOT);
}

// The next state of a SEQUENCE. Unlike the server's own way, the row is still the one just read.
int ha_vamos::update_first_row(const uchar* record) {
  int error = ha_rnd_init(true);
  if (error) return error;
  error = ha_rnd_next(table->record[1]);
  if (!error) error = update_row(table->record[1], record);
  const int ended = ha_rnd_end();
  return error ? error : ended;
}

int ha_vamos::delete_row(const uchar* record) {
  Row row;
  int64_t hiddenKey = 0;
  int error = beforeRow(record, row, hiddenKey);
  if (error) return error;
  rows_.clear();
  appendOld(row, record, hiddenKey);
  forgetCurrent();
  // The host locks the unique keys that go, so that others wait who insert them.
  bool locksKeys = false;
  for (uint index = 0; index < table_share->keys; index++) {
    locksKeys = locksKeys || (isUnique(index) && index != table_share->primary_key);
  }
  error = send(wire::Method::DELETE, 0, locksKeys ? mayWait() : MayWait::UNTIL_COMMIT);
  if (!error) countRows(-1);
  return error;
}

// The row that was read last has changed: scratch_ is its key.
void ha_vamos::forgetCurrent() {
  positions_.forget(scratch_);
  if (!share_->codec->hasHiddenKey()) current_.primaryKey = {};
  current_.bytes = {};
}

void ha_vamos::get_auto_increment(ulonglong offset, ulonglong increment, ulonglong wanted, ulonglong* first,
                                  ulonglong* reserved) {
  uint64_t value = 0;
  const uint64_t count = std::clamp<uint64_t>(wanted, 1, Table::maxReservable(increment));
  const int error = share_->reserve(session(), count, offset, increment, value, incrementEpoch_);
  if (error) {
    // Behind the column's last value the server says so itself, for all but the widest columns.
    const uint64_t next = share_->nextAutoIncrement();
    const bool isBehind = next < ULONGLONG_MAX && next > table->next_number_field->get_max_int_value();
    *first = isBehind ? next : ULONGLONG_MAX;
    *reserved = isBehind ? 1 : 0;
    // As which the host says that none is left.
    const bool areUsedUp = error == firstError + static_cast<int>(ErrorCode::BAD_REQUEST);
    incrementError_ = isBehind || areUsedUp ? 0 : error;
    return;
  }
  *first = value;
  *reserved = count;
}

}  // namespace vamos::mariadb
