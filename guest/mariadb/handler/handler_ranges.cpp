// Many ranges of one index: IN lists and batched key access. The keys of a unique index travel in one
// request; other ranges are cursors, the next ones opened while the rows of this one are read.
#include <sql_class.h>
#include <sql_priv.h>

#include <algorithm>

#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/session/session.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

constexpr size_t maxPoints = 4096;
constexpr size_t maxKeysBytes = 128 << 10;
// How many cursors are open simultaneously, with the one that is read. Their first windows fit the channel.
constexpr size_t maxScans = 8;

}  // namespace

ha_rows ha_vamos::multi_range_read_info_const(uint index, RANGE_SEQ_IF* ranges, void* rangesArgument,
                                              uint rangeCount, uint* bufferBytes, uint* flags,
                                              Cost_estimate* cost) {
  const ha_rows rows = handler::multi_range_read_info_const(index, ranges, rangesArgument, rangeCount,
                                                            bufferBytes, flags, cost);
  *bufferBytes = 0;
  *flags &= ~HA_MRR_USE_DEFAULT_IMPL;
  return rows;
}

ha_rows ha_vamos::multi_range_read_info(uint index, uint rangeCount, uint keys, uint keyParts,
                                        uint* bufferBytes, uint* flags, Cost_estimate* cost) {
  const ha_rows rows =
      handler::multi_range_read_info(index, rangeCount, keys, keyParts, bufferBytes, flags, cost);
  *bufferBytes = 0;
  if (!locksOneByOne()) *flags &= ~HA_MRR_USE_DEFAULT_IMPL;
  return rows;
}

// Whether a join that gathers keys of this table before it reads any of its rows (batched key access) would
// lock rows that it else leaves alone: those behind a LIMIT, and those that READ COMMITTED gives back.
bool ha_vamos::locksOneByOne() const {
  if (lock_ == wire::Lock::NONE) return false;
  if (givesRowsBack()) return true;
  for (SELECT_LEX* select = ha_thd()->lex->all_selects_list; select; select = select->next_select_in_list()) {
    if (select->limit_params.select_limit) return true;
  }
  return false;
}

int ha_vamos::multi_range_read_explain_info(uint, char*, size_t) { return 0; }

int ha_vamos::multi_range_read_init(RANGE_SEQ_IF* ranges, void* rangesArgument, uint rangeCount, uint mode,
                                    HANDLER_BUFFER* buffer) {
  endScan();
  endRanges();
  ranges_.isDefault = (mode & HA_MRR_USE_DEFAULT_IMPL) != 0;
  if (ranges_.isDefault) {
    return handler::multi_range_read_init(ranges, rangesArgument, rangeCount, mode, buffer);
  }
  mrr_funcs = *ranges;
  mrr_iter = ranges->init(rangesArgument, rangeCount, mode);
  ranges_.isOnly = rangeCount == 1;
  ranges_.batchPoints = lock_ == wire::Lock::NONE ? maxPoints : 1;
  return takeRange();
}

// Takes the sequence's next range into ranges_.next.
int ha_vamos::takeRange() {
  ranges_.hasNext = !mrr_funcs.next(mrr_iter, &ranges_.next);
  if (ranges_.hasNext) increment_statistics(&SSV::ha_read_key_count);
  return 0;
}

bool ha_vamos::nextIsPoint() const {
  const key_range& start = ranges_.next.start_key;
  return ranges_.hasNext && (ranges_.next.range_flag & EQ_RANGE) && start.keypart_map &&
         isPoint(active_index, start.key, start.keypart_map);
}

int ha_vamos::multi_range_read_next(range_id_t* range) {
  int error = 0;
  do {
    if (ranges_.isDefault) {
      error = handler::multi_range_read_next(range);
    } else if (!ranges_.scans.empty()) {
      error = nextOfScans(range);
    } else if (ranges_.taken < ranges_.points.size()) {
      error = nextPoint(range);
    } else if (!ranges_.hasNext) {
      error = HA_ERR_END_OF_FILE;
    } else {
      error = nextIsPoint() ? takePoints() : takeScans();
      if (!error) error = HA_ERR_KEY_NOT_FOUND;
    }
    // A condition on the row and on rows of other tables that the server left to this read.
    if (!error && mrr_funcs.skip_index_tuple && mrr_funcs.skip_index_tuple(mrr_iter, *range)) {
      error = HA_ERR_KEY_NOT_FOUND;
    }
  } while (error == HA_ERR_KEY_NOT_FOUND);
  if (!error && table->vfield) table->update_virtual_fields(this, VCOL_UPDATE_FOR_READ);
  // A multi-table DELETE has marked the row before here, and leaves out rows that are marked.
  table->status = error ? STATUS_NOT_FOUND : 0;
  return error;
}

// Takes the next points of the sequence, as many as one request may have.
int ha_vamos::takePoints() {
  ranges_.points.clear();
  ranges_.keys.clear();
  ranges_.taken = ranges_.answered = 0;
  while (nextIsPoint() && ranges_.points.size() < ranges_.batchPoints && ranges_.keys.size() < maxKeysBytes) {
    scratch_.clear();
    const key_range& start = ranges_.next.start_key;
    share_->codec->encodeSearchKey(active_index, start.key, start.keypart_map, scratch_);
    ranges_.points.push_back({ranges_.next.ptr, ranges_.keys.size()});
    appendLengthPrefixed(ranges_.keys, scratch_);
    takeRange();
  }
  ranges_.batchPoints = std::min(ranges_.batchPoints * 2, maxPoints);
  return 0;
}

int ha_vamos::nextPoint(range_id_t* range) {
  if (got_.atEnd() || ranges_.taken == ranges_.answered) {
    const bool alone =
        ranges_.isOnly || (ranges_.taken == 0 && !ranges_.hasNext && ranges_.isFirst) ? readsAlone() : false;
    const int error = getPoints(alone);
    if (error) return error;
  }
  if (got_.atEnd()) return HA_ERR_INTERNAL_ERROR;
  *range = ranges_.points[ranges_.taken++].range;
  Row row;
  const int error = got_.next(row);
  return error ? error : deliver(row, projection_, table->record[0]);
}

// Reads the rows of the points from ranges_.taken on. A reply may hold those of the first of them only.
int ha_vamos::getPoints(bool alone) {
  wire::Get request;
  request.table = share_->number;
  request.version = share_->version;
  request.scope = readScope(alone);
  request.index = share_->codec->indexOf(active_index);
  request.keys = ranges_.keys.substr(ranges_.points[ranges_.taken].keyOffset);
  request.lock = lock_;
  request.columns = projection_.columns;
  request.withKeys = wantsKeys();
  request.filter = filter();
  Reply reply;
  const int error = alone ? session().callAlone(wire::Method::GET, request.encode(), reply)
                          : session().call(wire::Method::GET, request.encode(), reply);
  if (error) return error;
  wire::Rows rows;
  if (!wire::Rows::decode(reply.body, rows) || rows.count == 0 ||
      rows.count > ranges_.points.size() - ranges_.taken) {
    return HA_ERR_INTERNAL_ERROR;
  }
  got_.assign(reply.call, rows.window, request.withKeys);
  ranges_.answered = ranges_.taken + rows.count;
  ranges_.isFirst = false;
  return 0;
}

wire::Bounds ha_vamos::boundsOf(uint index, const KEY_MULTI_RANGE& range) const {
  if (!(range.range_flag & EQ_RANGE)) return boundsOf(index, &range.start_key, &range.end_key);
  wire::Bounds bounds;
  bounds.hasLower = bounds.hasUpper = true;
  share_->codec->encodeSearchKey(index, range.start_key.key, range.start_key.keypart_map, bounds.lower);
  bounds.upper = bounds.lower;
  return bounds;
}

wire::OpenCursor ha_vamos::nextScanRequest(bool alone) const {
  return scanRequest(share_->codec->indexOf(active_index), boundsOf(active_index, ranges_.next), false,
                     alone);
}

// Opens the scan of the next range, and some behind it if that locks nothing ahead of its time.
int ha_vamos::takeScans() {
  const bool alone = ranges_.isOnly && readsAlone();
  ranges_.scans.emplace_back();
  ranges_.scans.back().range = ranges_.next.ptr;
  const wire::OpenCursor request = nextScanRequest(alone);
  takeRange();
  ranges_.isFirst = false;
  const int error = ranges_.scans.back().cursor.open(session(), request);
  if (!error && !alone) openScansAhead();
  return error;
}

void ha_vamos::openScansAhead() {
  if (lock_ != wire::Lock::NONE) return;
  while (ranges_.hasNext && !nextIsPoint() && ranges_.scans.size() < maxScans) {
    ranges_.scans.emplace_back();
    ranges_.scans.back().range = ranges_.next.ptr;
    ranges_.scans.back().cursor.openAhead(session(), nextScanRequest(false));
    takeRange();
  }
}

int ha_vamos::nextOfScans(range_id_t* range) {
  Ranges::Scan& scan = ranges_.scans.front();
  if (current_.isUnlocked) {
    *range = scan.range;
    const int error = lockCurrent(table->record[0]);
    if (error != HA_ERR_KEY_NOT_FOUND) return error;
  }
  Row row;
  const int error = scan.cursor.next(session(), row);
  if (error == HA_ERR_END_OF_FILE) {
    giveBack(scan.cursor);
    ranges_.scans.pop_front();
    if (!ranges_.scans.empty()) openScansAhead();
    return HA_ERR_KEY_NOT_FOUND;
  }
  if (error) return error;
  *range = scan.range;
  increment_statistics(&SSV::ha_read_next_count);
  return deliver(row, projection_, table->record[0]);
}

void ha_vamos::endRanges() {
  for (Ranges::Scan& scan : ranges_.scans) giveBack(scan.cursor);
  ranges_ = {};
  current_.isUnlocked = false;
}

}  // namespace vamos::mariadb
