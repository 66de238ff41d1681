#pragma once

#include <handler.h>
#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "mariadb/handler/current_row.hpp"
#include "mariadb/handler/positions.hpp"
#include "mariadb/session/cursor.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/table.hpp"
#include "protocol/tables_messages.hpp"

class QUICK_SELECT_I;
struct st_join_table;

namespace vamos::mariadb {

// One use of a table by one statement. Its functions stand in several files, which comments name below.
class ha_vamos final : public handler, private RowOwner {
 public:
  ha_vamos(handlerton* hton, TABLE_SHARE* share);
  ~ha_vamos() override;

  // handler_definition.cpp: tables come, go and change their shape.
  int create(const char* path, TABLE* form, HA_CREATE_INFO* info) override;
  int delete_table(const char* path) override;
  int rename_table(const char* from, const char* to) override;
  int truncate() override;
  int reset_auto_increment(ulonglong value) override;
  void update_create_info(HA_CREATE_INFO* info) override;
  bool check_if_incompatible_data(HA_CREATE_INFO* info, uint changes) override;
  enum_alter_inplace_result check_if_supported_inplace_alter(TABLE* altered,
                                                             Alter_inplace_info* info) override;
  bool prepare_inplace_alter_table(TABLE* altered, Alter_inplace_info* info) override;
  bool inplace_alter_table(TABLE* altered, Alter_inplace_info* info) override;
  bool commit_inplace_alter_table(TABLE* altered, Alter_inplace_info* info, bool commit) override;

  // handler_open.cpp: a handler's life, what the engine can do, locks.
  int open(const char* path, int mode, uint testIfLocked) override;
  int close() override;
  handler* clone(const char* name, MEM_ROOT* memory) override;
  Table_flags table_flags() const override;
  ulong index_flags(uint index, uint part, bool allParts) const override;
  const char* index_type(uint index) override;
  const key_map* keys_to_use_for_scanning() override { return &key_map_full; }
  uint max_supported_record_length() const override;
  uint max_supported_keys() const override;
  uint max_supported_key_length() const override;
  uint max_supported_key_part_length() const override;
  uint8 table_cache_type() override { return HA_CACHE_TBL_TRANSACT; }
  uint lock_count() const override { return 0; }
  THR_LOCK_DATA** store_lock(THD* thd, THR_LOCK_DATA** to, thr_lock_type lockType) override;
  int external_lock(THD* thd, int lockType) override;
  int start_stmt(THD* thd, thr_lock_type lockType) override;
  int extra(ha_extra_function operation) override;
  int reset() override;
  void print_error(int error, myf flags) override;
  bool get_error_message(int error, String* buffer) override;

  // handler_read.cpp.
  int rnd_init(bool scan) override;
  int rnd_end() override;
  int rnd_next(uchar* record) override;
  int rnd_pos(uchar* record, uchar* position) override;
  int rnd_pos_by_record(uchar* record) override;
  void position(const uchar* record) override;
  int index_init(uint index, bool sorted) override;
  int index_end() override;
  int index_read_map(uchar* record, const uchar* key, key_part_map parts, ha_rkey_function how) override;
  int index_read_last_map(uchar* record, const uchar* key, key_part_map parts) override;
  int index_next(uchar* record) override;
  int index_prev(uchar* record) override;
  int index_first(uchar* record) override;
  int index_last(uchar* record) override;
  int index_next_same(uchar* record, const uchar* key, uint keyBytes) override;
  int read_range_first(const key_range* start, const key_range* end, bool isEqual, bool sorted) override;
  void unlock_row() override;
  void try_semi_consistent_read(bool yes) override;
  bool was_semi_consistent_read() override { return current_.isUnlocked; }

  // handler_ranges.cpp: many ranges in one request.
  ha_rows multi_range_read_info_const(uint index, RANGE_SEQ_IF* ranges, void* rangesArgument, uint rangeCount,
                                      uint* bufferBytes, uint* flags, Cost_estimate* cost) override;
  ha_rows multi_range_read_info(uint index, uint rangeCount, uint keys, uint keyParts, uint* bufferBytes,
                                uint* flags, Cost_estimate* cost) override;
  int multi_range_read_init(RANGE_SEQ_IF* ranges, void* rangesArgument, uint rangeCount, uint mode,
                            HANDLER_BUFFER* buffer) override;
  int multi_range_read_next(range_id_t* range) override;
  int multi_range_read_explain_info(uint mode, char* text, size_t size) override;

  // pushdown.cpp: conditions that the host evaluates.
  const COND* cond_push(const COND* condition) override;
  void cond_pop() override;
  Item* idx_cond_push(uint index, Item* condition) override;

  // handler_direct.cpp: changes that the host makes by itself.
  int info_push(uint kind, void* info) override;
  int direct_update_rows_init(List<Item>* fields) override;
  int direct_update_rows(ha_rows* updated, ha_rows* found) override;
  int direct_delete_rows_init() override;
  int direct_delete_rows(ha_rows* deleted) override;

  // handler_write.cpp.
  int write_row(const uchar* record) override;
  int update_row(const uchar* before, const uchar* after) override;
  int delete_row(const uchar* record) override;
  int update_first_row(const uchar* record) override;
  void start_bulk_insert(ha_rows rows, uint flags) override;
  int end_bulk_insert() override;
  bool start_bulk_update() override;
  int bulk_update_row(const uchar* before, const uchar* after, ha_rows* duplicates) override;
  int exec_bulk_update(ha_rows* duplicates) override;
  bool start_bulk_delete() override;
  int end_bulk_delete() override;
  void get_auto_increment(ulonglong offset, ulonglong increment, ulonglong wanted, ulonglong* first,
                          ulonglong* reserved) override;
  // RowOwner.
  int raiseRefusal(const client::Failure& failure, uint32_t method, std::string_view batch) override;

  // group_by.cpp: queries that get the results of functions over many rows instead of the rows.
  bool mayAggregate() const;
  int boundPlan(st_join_table& plan, wire::OpenCursor& request) const;
  // Sets table, version and scope of the request, and sends it. The answer (FORMATS.md) stands in the reply.
  int readAggregates(wire::OpenCursor request, Reply& reply, std::string_view& answer);

  // handler_statistics.cpp.
  int info(uint flags) override;
  ha_rows records_in_range(uint index, const key_range* min, const key_range* max,
                           page_range* pages) override;
  double scan_time() override;
  double read_time(uint index, uint ranges, ha_rows rows) override;
  ha_rows estimate_rows_upper_bound() override;

  // handler_check.cpp.
  int analyze(THD* thd, HA_CHECK_OPT* options) override;
  int optimize(THD* thd, HA_CHECK_OPT* options) override;
  int check(THD* thd, HA_CHECK_OPT* options) override;

  // The table as this engine knows it. To be called between open() and close().
  Table& sharedTable() const { return *share_; }

 private:
  // What the bounds of a scan mean to the calls that go on from its first row.
  enum class Bound {
    RANGE,  // The scan ends where they do.
    EXACT,  // They hold the rows with a search key, and index_next goes on behind them.
  };

  Session& session() const;

  // handler_open.cpp
  // The table holds the state of a SEQUENCE, in a row that no transaction locks or undoes. The state
  // is read and written by requests of their own, which the server keeps in order.
  bool isSequence() const { return table_share->table_type == TABLE_TYPE_SEQUENCE; }
  void chooseLock(THD* thd, thr_lock_type lockType);
  void beginUse(THD* thd);

  // handler_read.cpp
  void prepareRead();
  bool isAllOfStatement() const;
  bool readsAlone() const;
  wire::Scope readScope(bool alone) const;
  bool isUnique(uint index) const;
  bool isPoint(uint index, const uchar* key, key_part_map parts) const;
  wire::Bounds boundsOf(uint index, const key_range* start, const key_range* end) const;
  wire::Bounds boundsOf(uint index, const KEY_MULTI_RANGE& range) const;
  struct FirstWindow {
    uint32_t bytes;
    uint32_t rows;  // how many there are at most; 0: as many as the bytes hold
  };
  ulonglong limitRows() const;
  FirstWindow firstWindow() const;
  bool takesAllRows() const;
  bool wantsKeys() const;
  wire::OpenCursor scanRequest(uint32_t index, wire::Bounds bounds, bool reverse, bool alone) const;
  int openScan(wire::Bounds bounds, bool reverse, Bound bound, uchar* record);
  int nextOfScan(uchar* record);
  int lockCurrent(uchar* record);
  int step(bool reverse, uchar* record);
  int turn(bool reverse, uchar* record);
  void endScan();
  void giveBack(Cursor& cursor);
  int get(uint32_t index, std::string_view key, std::string filter, uchar* record);
  // Reads one row by its key. Its bytes stand in got_.
  int readRow(uint32_t index, std::string_view key, const std::vector<uint32_t>& columns, std::string filter,
              Row& row);
  int deliver(const Row& row, const Projection& projection, uchar* record);
  bool givesRowsBack() const;
  void sendUnwanted();
  void storePosition(std::string_view primaryKey);
  bool mayRemember() const;
  bool covers(const Projection& projection) const;

  // pushdown.cpp
  std::string filter() const;

  // handler_ranges.cpp
  int takeRange();
  bool nextIsPoint() const;
  bool locksOneByOne() const;
  int takePoints();
  int nextPoint(range_id_t* range);
  int getPoints(bool alone);
  wire::OpenCursor nextScanRequest(bool alone) const;
  int takeScans();
  void openScansAhead();
  int nextOfScans(range_id_t* range);
  void endRanges();

  // handler_direct.cpp
  bool mayChangeDirectly() const;
  bool planDirect();
  bool planRanges(QUICK_SELECT_I& quick);
  bool mayAssign() const;
  int changeDirectly(uint32_t method, wire::Changed& changed);
  bool raiseMisfit(const client::Failure& failure) const;

  // handler_definition.cpp
  bool setsAutoIncrement(const Alter_inplace_info& info) const;
  int nextBehindRows(uint64_t& next);

  // handler_write.cpp
  MayWait mayWait();
  MayWait mayInsertLater();
  int flushStatement();
  uint64_t givenAutoIncrement(const uchar* record) const;
  int nextHiddenKey(int64_t& hiddenKey, uint32_t& epoch);
  RowsToWrite rowsOfTable(uint32_t method, std::string_view rows, uint64_t seen) const;
  int send(uint32_t method, uint64_t seen, MayWait mayWait);
  int flushUnseen();
  void countRows(int64_t added);
  void noteDuplicate(const client::Failure& failure);
  int restoreRefused(const client::Failure& failure, uint32_t method, std::string_view batch);
  int beforeRow(const uchar* record, Row& row, int64_t& hiddenKey);
  void appendOld(const Row& row, const uchar* record, int64_t hiddenKey);
  void forgetCurrent();

  // handler_statistics.cpp
  void refreshStatistics(bool mayWait);
  void showStatistics(uint flags);
  bool isOnlyChoice(uint index) const;
  void setRowsPerKey();
  ulong rowsPerKey(const KEY& key, uint part, const std::vector<uint32_t>& hundredths) const;

  // handler_check.cpp
  int countEntries(THD* thd, uint index, ha_rows& entries, bool& isOrdered);
  bool hasNull(uint index) const;
  int complain(THD* thd, const std::string& what, int error);

  Table* share_ = nullptr;
  MEM_ROOT blobMemory_;
  std::string scratch_;

  // The statement, and what it does with the table.
  wire::Lock lock_ = wire::Lock::NONE;
  wire::Lock storedLock_ = wire::Lock::NONE;
  bool isLockedForWrite_ = false;
  bool skipsLocked_ = false;
  bool isSemiConsistent_ = false;  // scans of the primary key don't wait for rows of other transactions
  // Rows that are read may be updated or deleted, so they are read whole, with their keys.
  bool modifies_ = false;
  // The statement handles duplicate keys itself, so each must be known when its row is written.
  bool ignoresDuplicates_ = false;
  // The statement changes the rows that have the keys already, as REPLACE and ON DUPLICATE KEY UPDATE do, and
  // locks them for that.
  bool changesDuplicates_ = false;

  // Programs that rows have to fulfil to be read, the second one if they are read by the index of
  // pushed_idx_cond. Empty: there is none.
  std::string filter_;
  std::string indexFilter_;

  // The scan.
  Cursor cursor_;
  Window got_;    // what the last GET read
  Window shown_;  // what the GET before read, to whose blobs the record may still point
  Projection projection_;
  Bound bound_ = Bound::RANGE;
  bool isReverse_ = false;
  std::string exactKey_;                 // Bound::EXACT: the bytes with which its keys begin
  const key_range* rangeEnd_ = nullptr;  // the end of the range that is being opened
  CurrentRow current_;
  std::string unwanted_;  // a key batch of rows whose locks are given back with the next request
  Positions positions_;
  bool isSuspended_ = false;  // the scan was closed between two statements, and goes on behind current_

  // A read of many ranges, which are keys of a unique index (points), or are read by cursors (scans).
  struct Ranges {
    struct Point {
      range_id_t range;
      size_t keyOffset;  // where its key stands in `keys`
    };
    struct Scan {
      Cursor cursor;
      range_id_t range;
    };
    bool isDefault = false;  // the server reads one range after another
    bool isOnly = false;     // there is one range
    bool isFirst = true;     // no request was made yet
    bool hasNext = false;    // `next` was taken from the sequence, and not read yet
    KEY_MULTI_RANGE next;
    std::vector<Point> points;
    std::string keys;        // a key batch of the points
    size_t taken = 0;        // how many points have had their row delivered, or have none
    size_t answered = 0;     // how many points have their answer in got_
    size_t batchPoints = 0;  // how many points the next request may have
    std::deque<Scan> scans;  // the first is the one being read
  } ranges_;

  // An UPDATE or DELETE that the host makes by itself.
  struct DirectChange {
    wire::ChangeWhere request;
    bool findsOneRow = false;      // it finds one row at most
    List<Item>* values = nullptr;  // what an UPDATE assigns
  } direct_;

  // Writes.
  std::string rows_;        // the batch that is being written
  std::string refusedRow_;  // a row that was refused, to whose blobs the record points for its message
  bool isWriting_ = false;
  bool isBulkInsert_ = false;         // the server will say when the rows end
  std::optional<bool> leavesTraces_;  // what program::leavesTraces() says of the statement
  // Rows of a table that only this statement sees yet. They are committed without the statement's
  // transaction, many in one batch.
  struct UnseenRows {
    bool isTable = false;  // the table is such a one
    std::string batch;     // the rows that were not sent yet
    uint64_t autoIncrementSeen = 0;
  } unseen_;
  int incrementError_ = 0;  // why get_auto_increment gave no value
  // The sessions in which the statement's auto-increment values, and the numbers in the row, were reserved.
  uint32_t incrementEpoch_ = 0;
  uint32_t valuesEpoch_ = 0;  // 0: the row has none

  // Statistics.
  client::CallPointer statisticsCall_;
  uint64_t shownSample_ = 0;  // the sample whose rows per key the server knows
};

}  // namespace vamos::mariadb
