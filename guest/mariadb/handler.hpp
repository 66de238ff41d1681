#pragma once

#include <handler.h>
#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "mariadb/cursor.hpp"
#include "mariadb/positions.hpp"
#include "mariadb/table.hpp"
#include "wire/tables.hpp"

namespace vamos::mariadb {

class Session;

// One use of a table by one statement. The members stand in files by concern, as below.
class ha_vamos final : public handler {
 public:
  ha_vamos(handlerton* hton, TABLE_SHARE* share);
  ~ha_vamos() override = default;

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
  uint max_supported_record_length() const override;
  uint max_supported_keys() const override;
  uint max_supported_key_length() const override;
  uint max_supported_key_part_length() const override;
  bool primary_key_is_clustered() override { return true; }
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
  int read_range_next() override;
  void unlock_row() override;

  // handler_ranges.cpp: many ranges in one request.
  ha_rows multi_range_read_info_const(uint index, RANGE_SEQ_IF* ranges, void* rangesArgument,
                                      uint rangeCount, uint* bufferBytes, uint* flags,
                                      Cost_estimate* cost) override;
  ha_rows multi_range_read_info(uint index, uint rangeCount, uint keys, uint keyParts, uint* bufferBytes,
                                uint* flags, Cost_estimate* cost) override;
  int multi_range_read_init(RANGE_SEQ_IF* ranges, void* rangesArgument, uint rangeCount, uint mode,
                            HANDLER_BUFFER* buffer) override;
  int multi_range_read_next(range_id_t* range) override;
  int multi_range_read_explain_info(uint mode, char* text, size_t size) override;

  // handler_write.cpp.
  int write_row(const uchar* record) override;
  int update_row(const uchar* before, const uchar* after) override;
  int delete_row(const uchar* record) override;
  int delete_all_rows() override;
  void start_bulk_insert(ha_rows rows, uint flags) override;
  int end_bulk_insert() override;
  void get_auto_increment(ulonglong offset, ulonglong increment, ulonglong wanted, ulonglong* first,
                          ulonglong* reserved) override;
  // Rows of this handler that waited in the session were refused: raises the error that its statement shows,
  // with the values of the row that the failure names. `batch` is what was sent. The session calls it, in the
  // handler's thread, before it reports the failure as the error returned; print_error then adds nothing.
  int raiseRefusal(const client::Failure& failure, uint32_t method, std::string_view batch);

  // handler_statistics.cpp.
  int info(uint flags) override;
  ha_rows records_in_range(uint index, const key_range* min, const key_range* max, page_range* pages) override;
  double scan_time() override;
  double read_time(uint index, uint ranges, ha_rows rows) override;
  double keyread_time(uint index, uint ranges, ha_rows rows) override;
  ha_rows estimate_rows_upper_bound() override;
  int analyze(THD* thd, HA_CHECK_OPT* options) override;
  int check(THD* thd, HA_CHECK_OPT* options) override;

  // The table as this engine knows it; from open() to close().
  Table& table_() const { return *share_; }

 private:
  Session& session() const;

  Table* share_ = nullptr;
};

}  // namespace vamos::mariadb
