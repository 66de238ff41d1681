// Reads: points, scans of an index, rows by position.
#include <key.h>
#include <opt_range.h>
#include <sql_class.h>
#include <sql_lex.h>
#include <sql_priv.h>
#include <sql_select.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/blobs.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

constexpr uint positionLengthBytes = 2;
// A LIMIT of more is as good as none.
constexpr ulonglong maxFirstRows = 100'000;

}  // namespace

// What the reads to come ask for. Rows that may be changed are wanted whole: the host checks that they are
// what was read.
void ha_vamos::prepareRead() {
  // Unique keys that the server checks itself (long ones, WITHOUT OVERLAPS) it looks up by another handler,
  // and compares columns that the statement does not read.
  const bool looksUp = (table_share->long_unique_table || table_share->period.unique_keys != 0) &&
                       table->reginfo.lock_type >= TL_FIRST_WRITE;
  projection_ = share_->codec->projection(modifies_ || looksUp ? nullptr : table->read_set);
}

// Whether the statement is a SELECT of this table and nothing else.
bool ha_vamos::isAllOfStatement() const {
  const LEX* lex = ha_thd()->lex;
  const SELECT_LEX* select = table->pos_in_table_list ? table->pos_in_table_list->select_lex : nullptr;
  return lex->sql_command == SQLCOM_SELECT && select && lex->all_selects_list == select &&
         lex->query_tables == table->pos_in_table_list && !lex->query_tables->next_global;
}

// Whether a scan or point is all that its statement reads: then it needs no transaction. A row whose blobs
// stand beside it, rows sorted by position, several scans merged, and partitions are read by more than one
// request; rows that an index gives in their order are not.
bool ha_vamos::readsAlone() const {
  if (isSequence()) return true;
  if (lock_ != wire::Lock::NONE || modifies_ || table_share->blob_fields != 0 || inited == NONE ||
      table->part_info || !isAllOfStatement()) {
    return false;
  }
  if (!table->const_table) {
    const SELECT_LEX* select = table->pos_in_table_list->select_lex;
    const JOIN_TAB* use = table->reginfo.join_tab;
    QUICK_SELECT_I* quick = use && use->select ? use->select->quick : nullptr;
    const bool isSorted = select->order_list.elements != 0 && (!use || use->filesort || use->join->need_tmp);
    if (!use || use->table != table || isSorted || select->group_list.elements != 0 ||
        (select->options & SELECT_DISTINCT) != 0 ||
        (quick && quick->get_type() != QUICK_SELECT_I::QS_TYPE_RANGE)) {
      return false;
    }
  }
  return session().readsAlone();
}

wire::Scope ha_vamos::readScope(bool alone) const {
  return alone ? session().scopeAlone() : session().scope(skipsLocked_ && lock_ != wire::Lock::NONE);
}

bool ha_vamos::isUnique(uint index) const {
  const KEY& key = table_share->key_info[index];
  return (key.flags & HA_NOSAME) && key.algorithm != HA_KEY_ALG_LONG_HASH;
}

// Whether a search key is of one row at most.
bool ha_vamos::isPoint(uint index, const uchar* key, key_part_map parts) const {
  const KEY& info = table->key_info[index];
  const key_part_map whole = make_prev_keypart_map(info.user_defined_key_parts);
  if (!isUnique(index) || (parts & whole) != whole) return false;
  for (uint part = 0; part < info.user_defined_key_parts; part++) {
    if (info.key_part[part].null_bit && *key) return false;
    key += info.key_part[part].store_length;
  }
  return true;
}

wire::Bounds ha_vamos::boundsOf(uint index, const key_range* start, const key_range* end) const {
  wire::Bounds bounds;
  if (start && start->keypart_map) {
    bounds.hasLower = true;
    bounds.lowerExclusive = start->flag == HA_READ_AFTER_KEY;
    share_->codec->encodeSearchKey(index, start->key, start->keypart_map, bounds.lower);
  }
  if (end && end->keypart_map) {
    bounds.hasUpper = true;
    bounds.upperExclusive = end->flag == HA_READ_BEFORE_KEY;
    share_->codec->encodeSearchKey(index, end->key, end->keypart_map, bounds.upper);
  }
  return bounds;
}

// LIMIT, with the rows that it leaves out before; of a query that reads this table.
ulonglong ha_vamos::limitRows() const {
  const SELECT_LEX* select = table->pos_in_table_list ? table->pos_in_table_list->select_lex : nullptr;
  Item* limit = select ? select->limit_params.select_limit : nullptr;
  if (!limit || !limit->fixed() || !limit->const_item() || limit->is_expensive()) return HA_POS_ERROR;
  Item* offset = select->limit_params.offset_limit;
  if (offset && !offset->fixed()) return HA_POS_ERROR;
  const ulonglong rows = limit->val_uint();
  const ulonglong left = HA_POS_ERROR - rows;
  return rows + std::min<ulonglong>(offset ? offset->val_uint() : 0, left);
}

// Few rows where few are wanted: LIMIT, and reads that lock what they meet. A statement that changes all rows
// in the bounds locks no more for having them in larger windows, unless it gives back what it didn't want.
ha_vamos::FirstWindow ha_vamos::firstWindow() const {
  THD* thd = ha_thd();
  const uint32_t usual = variables::windowBytes(thd);
  const SELECT_LEX* select = table->pos_in_table_list ? table->pos_in_table_list->select_lex : nullptr;
  const ulonglong rows = limitRows();
  const JOIN_TAB* use = table->reginfo.join_tab;
  // Rows that are sorted or summed up are read all the same.
  const bool isLimited = rows <= maxFirstRows && select->group_list.elements == 0 && !select->with_sum_func &&
                         !(use && use->table == table && (use->filesort || use->join->need_tmp));
  const FirstWindow limited{variables::maxWindowBytes(thd),
                            static_cast<uint32_t>(std::max<ulonglong>(rows, 1))};
  if (lock_ == wire::Lock::NONE) return isLimited ? limited : FirstWindow{usual, 0};
  const bool isOnlyTable = !thd->lex->query_tables->next_global;
  // In a join one row of this table may be enough for all rows of LIMIT, which then does not say how many to
  // lock.
  if (isLimited && isOnlyTable) return limited;
  const int command = thd_sql_command(thd);
  const bool wantsAll = (command == SQLCOM_UPDATE || command == SQLCOM_DELETE) && isOnlyTable &&
                        !(select && select->limit_params.select_limit) && !givesRowsBack();
  return {wantsAll ? usual : 1, 0};
}

// Whether the server takes just so many rows of such a read: nothing of them is left for it to check.
bool ha_vamos::takesAllRows() const {
  const SELECT_LEX* select = table->pos_in_table_list->select_lex;
  // LIMIT is of what a PROCEDURE gives, not of what it reads.
  return !select->where && !select->having && ha_thd()->lex->proc_list.elements == 0 &&
         !select->limit_params.with_ties && (select->options & OPTION_FOUND_ROWS) == 0;
}

wire::OpenCursor ha_vamos::scanRequest(uint32_t index, wire::Bounds bounds, bool reverse, bool alone) const {
  wire::OpenCursor request;
  request.table = share_->number;
  request.version = share_->version;
  request.scope = readScope(alone);
  request.index = index;
  request.bounds = std::move(bounds);
  request.reverse = reverse;
  request.lock = lock_;
  request.columns = projection_.columns;
  request.withKeys = wantsKeys();
  request.semiConsistent = isSemiConsistent_ && index == 0 && lock_ == wire::Lock::EXCLUSIVE;
  request.filter = filter();
  const FirstWindow first = firstWindow();
  request.windowBytes = first.bytes;
  request.firstRows = first.rows;
  // It ends by itself then, and needs no close.
  if (alone && lock_ == wire::Lock::NONE && first.rows != 0 && takesAllRows()) request.limitRows = first.rows;
  return request;
}

// Keys come with rows where the row can't tell them, and where it is to be changed or given back.
bool ha_vamos::wantsKeys() const { return lock_ != wire::Lock::NONE || share_->codec->hasHiddenKey(); }

int ha_vamos::openScan(wire::Bounds bounds, bool reverse, Bound bound, uchar* record) {
  endScan();
  current_.clear();  // also of a scan that came to its end: the memory of its last window is used again
  isReverse_ = reverse;
  bound_ = bound;
  const uint32_t index = inited == INDEX ? share_->codec->indexOf(active_index) : 0;
  const bool alone = readsAlone();
  const int error = cursor_.open(session(), scanRequest(index, std::move(bounds), reverse, alone));
  return error ? error : nextOfScan(record);
}

int ha_vamos::nextOfScan(uchar* record) {
  int error = current_.isUnlocked ? lockCurrent(record) : HA_ERR_KEY_NOT_FOUND;
  while (error == HA_ERR_KEY_NOT_FOUND) {
    if (cursor_.rest().atEnd()) {
      sendUnwanted();
      // The window that its key stands in goes, also where none with rows comes after it.
      current_.keepKey();
    }
    Row row;
    error = cursor_.next(session(), row);
    if (error) {
      current_.bytes = {};  // its key stays: HANDLER may go on from the end
      return error;
    }
    error = deliver(row, projection_, record);
  }
  return error;
}

// The server wants the row that it was shown as it was last committed: waits for its lock and reads it again.
// HA_ERR_KEY_NOT_FOUND: it is gone, or does not pass the filter any more.
int ha_vamos::lockCurrent(uchar* record) {
  current_.isUnlocked = false;
  const std::string key(current_.primaryKey);
  return get(0, key, filter(), record);
}

int ha_vamos::deliver(const Row& row, const Projection& projection, uchar* record) {
  current_ = row;
  if (table_share->blob_fields) free_root(&blobMemory_, MYF(MY_MARK_BLOCKS_FREE));
  SessionBlobs blobs(session());
  const int error = share_->codec->decodeRow(row.bytes, projection, record, blobs, &blobMemory_);
  // The other transaction has ended meanwhile, and a blob of the row is gone.
  const bool isOver = error && row.isUnlocked && session().failure().code == ErrorCode::BLOB_MISSING;
  return isOver ? lockCurrent(record) : error;
}

// READ COMMITTED gives back the locks of rows that the statement didn't want.
bool ha_vamos::givesRowsBack() const {
  return lock_ != wire::Lock::NONE && thd_tx_isolation(ha_thd()) <= ISO_READ_COMMITTED;
}

// The server calls this while an UPDATE looks for its rows. Rows that are read again by their positions, in
// get(), are read as always.
void ha_vamos::try_semi_consistent_read(bool yes) {
  isSemiConsistent_ = yes && thd_tx_isolation(ha_thd()) <= ISO_READ_COMMITTED;
}

void ha_vamos::unlock_row() {
  if (std::exchange(current_.isUnlocked, false)) return;
  if (!givesRowsBack() || current_.primaryKey.empty()) return;
  appendLengthPrefixed(unwanted_, current_.primaryKey);
  if (!cursor_.isOpen()) sendUnwanted();
}

void ha_vamos::sendUnwanted() {
  if (unwanted_.empty()) return;
  wire::Unlock request;
  request.table = share_->number;
  request.version = share_->version;
  request.scope = session().scope();
  request.keys = std::exchange(unwanted_, {});
  session().sendLater(wire::Method::UNLOCK, request.encode());
}

void ha_vamos::endScan() {
  if (!cursor_.isOpen()) return;
  giveBack(cursor_);
  current_.clear();
}

// Closes it, and gives back the locks of rows that nobody took from it.
void ha_vamos::giveBack(Cursor& cursor) {
  if (givesRowsBack()) {
    Row row;
    while (!cursor.rest().atEnd() && cursor.rest().next(row) == 0) {
      appendLengthPrefixed(unwanted_, row.primaryKey);
    }
    sendUnwanted();
  }
  cursor.close(session());
}

int ha_vamos::rnd_init(bool) {
  endScan();
  isSuspended_ = false;
  prepareRead();
  return 0;
}

int ha_vamos::rnd_end() {
  endScan();
  return 0;
}

int ha_vamos::rnd_next(uchar* record) {
  if (cursor_.isOpen()) return nextOfScan(record);
  if (isSuspended_) return turn(false, record);
  return openScan({}, false, Bound::RANGE, record);
}

int ha_vamos::index_init(uint, bool) {
  endScan();
  prepareRead();
  return 0;
}

int ha_vamos::index_end() {
  endScan();
  endRanges();
  return 0;
}

int ha_vamos::get(uint32_t index, std::string_view key, std::string filter, uchar* record) {
  Row row;
  const int error = readRow(index, key, projection_.columns, std::move(filter), row);
  if (error) {
    current_.clear();
    return error;
  }
  return deliver(row, projection_, record);
}

int ha_vamos::readRow(uint32_t index, std::string_view key, const std::vector<uint32_t>& columns,
                      std::string filter, Row& row) {
  const bool alone = isSequence() || (inited != RND && readsAlone());
  wire::Get request;
  request.table = share_->number;
  request.version = share_->version;
  request.scope = readScope(alone);
  request.index = index;
  appendLengthPrefixed(request.keys, key);
  request.lock = lock_;
  request.columns = columns;
  request.withKeys = wantsKeys();
  request.filter = std::move(filter);
  Reply reply;
  const int error = alone ? session().callAlone(wire::Method::GET, request.encode(), reply)
                          : session().call(wire::Method::GET, request.encode(), reply);
  if (error) return error;
  wire::Rows rows;
  if (!wire::Rows::decode(reply.body, rows)) return HA_ERR_INTERNAL_ERROR;
  got_.assign(reply.call, rows.window, request.withKeys);
  return got_.atEnd() ? HA_ERR_KEY_NOT_FOUND : got_.next(row);
}

int ha_vamos::index_read_map(uchar* record, const uchar* key, key_part_map parts, ha_rkey_function how) {
  if (!key) return index_first(record);
  if (how == HA_READ_KEY_EXACT && isPoint(active_index, key, parts)) {
    endScan();
    exactKey_.clear();
    share_->codec->encodeSearchKey(active_index, key, parts, exactKey_);
    bound_ = Bound::EXACT;
    return get(share_->codec->indexOf(active_index), exactKey_, filter(), record);
  }
  wire::Bounds bounds;
  std::string prefix;
  share_->codec->encodeSearchKey(active_index, key, parts, prefix);
  Bound bound = Bound::RANGE;
  bool reverse = false;
  switch (how) {
    case HA_READ_KEY_EXACT:
    case HA_READ_PREFIX:
    case HA_READ_PREFIX_LAST:
      bound = Bound::EXACT;
      exactKey_ = prefix;
      bounds.hasLower = bounds.hasUpper = true;
      bounds.lower = prefix;
      bounds.upper = std::move(prefix);
      reverse = how == HA_READ_PREFIX_LAST;
      break;
    case HA_READ_KEY_OR_NEXT:
    case HA_READ_AFTER_KEY:
      if (rangeEnd_) bounds = boundsOf(active_index, nullptr, rangeEnd_);
      bounds.hasLower = true;
      bounds.lower = std::move(prefix);
      bounds.lowerExclusive = how == HA_READ_AFTER_KEY;
      break;
    case HA_READ_KEY_OR_PREV:
    case HA_READ_BEFORE_KEY:
    case HA_READ_PREFIX_LAST_OR_PREV:
      bounds.hasUpper = true;
      bounds.upper = std::move(prefix);
      bounds.upperExclusive = how == HA_READ_BEFORE_KEY;
      reverse = true;
      break;
    default:
      return HA_ERR_WRONG_COMMAND;
  }
  const int error = openScan(std::move(bounds), reverse, bound, record);
  return error == HA_ERR_END_OF_FILE ? HA_ERR_KEY_NOT_FOUND : error;
}

int ha_vamos::index_read_last_map(uchar* record, const uchar* key, key_part_map parts) {
  return index_read_map(record, key, parts, HA_READ_PREFIX_LAST);
}

int ha_vamos::index_first(uchar* record) {
  return openScan(rangeEnd_ ? boundsOf(active_index, nullptr, rangeEnd_) : wire::Bounds{}, false,
                  Bound::RANGE, record);
}

int ha_vamos::index_last(uchar* record) { return openScan({}, true, Bound::RANGE, record); }

int ha_vamos::index_next(uchar* record) { return step(false, record); }
int ha_vamos::index_prev(uchar* record) { return step(true, record); }

int ha_vamos::step(bool reverse, uchar* record) {
  if (cursor_.isOpen() && reverse == isReverse_) {
    const int error = nextOfScan(record);
    if (error != HA_ERR_END_OF_FILE || bound_ != Bound::EXACT) return error;
  } else {
    return turn(reverse, record);
  }
  // Behind the rows with the search key.
  wire::Bounds bounds;
  (reverse ? bounds.hasUpper : bounds.hasLower) = true;
  (reverse ? bounds.upperExclusive : bounds.lowerExclusive) = true;
  (reverse ? bounds.upper : bounds.lower) = exactKey_;
  return openScan(std::move(bounds), reverse, Bound::RANGE, record);
}

// A new scan from the row in the record: the other way, or where there is none.
int ha_vamos::turn(bool reverse, uchar* record) {
  const Codec& codec = *share_->codec;
  const uint32_t index = inited == INDEX ? codec.indexOf(active_index) : 0;
  const int64_t hiddenKey = codec.hasHiddenKey() ? Codec::hiddenKeyOf(current_.primaryKey) : 0;
  std::string key;
  const bool hasNull = codec.encodeKey(index, record, hiddenKey, key);
  if (index != 0 && (hasNull || !isUnique(active_index))) codec.encodeKey(0, record, hiddenKey, key);
  wire::Bounds bounds;
  (reverse ? bounds.hasUpper : bounds.hasLower) = true;
  (reverse ? bounds.upperExclusive : bounds.lowerExclusive) = true;
  (reverse ? bounds.upper : bounds.lower) = std::move(key);
  return openScan(std::move(bounds), reverse, Bound::RANGE, record);
}

int ha_vamos::index_next_same(uchar* record, const uchar* key, uint keyBytes) {
  if (bound_ != Bound::EXACT) return handler::index_next_same(record, key, keyBytes);
  return cursor_.isOpen() ? nextOfScan(record) : HA_ERR_END_OF_FILE;
}

// The server's own, but the scan that it opens ends where the range does.
int ha_vamos::read_range_first(const key_range* start, const key_range* end, bool isEqual, bool sorted) {
  rangeEnd_ = end;
  const int error = handler::read_range_first(start, end, isEqual, sorted);
  rangeEnd_ = nullptr;
  return error;
}

void ha_vamos::position(const uchar* record) {
  scratch_.clear();
  if (share_->codec->hasHiddenKey()) {
    scratch_.assign(current_.primaryKey);
  } else {
    share_->codec->encodeKey(0, record, 0, scratch_);
  }
  storePosition(scratch_);
  if (!current_.bytes.empty() && mayRemember()) positions_.remember(scratch_, current_.bytes, projection_);
}

void ha_vamos::storePosition(std::string_view primaryKey) {
  const size_t roomBytes = ref_length - positionLengthBytes;
  const size_t lengthBytes = std::min(primaryKey.size(), roomBytes);
  std::memcpy(ref, primaryKey.data(), lengthBytes);
  std::memset(ref + lengthBytes, 0, roomBytes - lengthBytes);
  int2store(ref + roomBytes, lengthBytes);
}

// Another use of the table in the same statement may change rows behind this one's back.
bool ha_vamos::mayRemember() const {
  for (const TABLE* other = ha_thd()->open_tables; other; other = other->next) {
    if (other != table && other->s == table->s && other->reginfo.lock_type >= TL_FIRST_WRITE) return false;
  }
  return true;
}

int ha_vamos::rnd_pos(uchar* record, uchar* position) {
  const size_t roomBytes = ref_length - positionLengthBytes;
  const size_t lengthBytes = std::min<size_t>(uint2korr(position + roomBytes), roomBytes);
  const std::string_view key(reinterpret_cast<const char*>(position), lengthBytes);
  if (const std::string* row = positions_.find(key); row && covers(positions_.projection())) {
    current_ = {*row, key};
    current_.keepKey();
    return deliver(current_, positions_.projection(), record);
  }
  return get(0, key, {}, record);
}

// A replica looks for a record that was not read here: the bytes of the row that was read last must not be
// remembered under its key.
int ha_vamos::rnd_pos_by_record(uchar* record) {
  current_.clear();
  positions_.clear();
  return handler::rnd_pos_by_record(record);
}

// Whether rows read with this projection have what is wanted now.
bool ha_vamos::covers(const Projection& projection) const {
  if (projection.columns.empty()) return true;
  return !projection_.columns.empty() &&
         std::includes(projection.columns.begin(), projection.columns.end(), projection_.columns.begin(),
                       projection_.columns.end());
}

}  // namespace vamos::mariadb
