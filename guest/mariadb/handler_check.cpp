// ANALYZE and CHECK TABLE: walks over the indexes.
#include <key.h>
#include <sql_class.h>
#include <sql_priv.h>

#include <cstring>

#include "mariadb/handler.hpp"
#include "mariadb/session.hpp"

namespace vamos::mariadb {
namespace {

// Entries of an index that ANALYZE reads at most; the rest is taken to be like them.
constexpr ha_rows maxAnalyzed = 1'000'000;

}  // namespace

int ha_vamos::analyze(THD* thd, HA_CHECK_OPT*) {
  std::vector<std::vector<uint64_t>> counts(table_share->keys);
  for (uint index = 0; index < table_share->keys; index++) {
    if (countDistinct(thd, index, counts[index]) != 0) return HA_ADMIN_FAILED;
  }
  Reply reply;
  wire::TableStatistics statistics;
  if (session().callAlone(wire::Method::STATISTICS, wire::Statistics{share_->number}.encode(), reply) != 0 ||
      !wire::TableStatistics::decode(reply.body, statistics)) {
    return HA_ADMIN_FAILED;
  }
  share_->setStatistics(statistics);
  share_->setDistinctKeys(std::move(counts));
  return HA_ADMIN_OK;
}

// The host compacts by itself; the server makes the table anew where somebody asks for more.
int ha_vamos::optimize(THD*, HA_CHECK_OPT*) { return HA_ADMIN_TRY_ALTER; }

// How many different values the first parts of the index have: one part, two, …
int ha_vamos::countDistinct(THD* thd, uint index, std::vector<uint64_t>& distinct) {
  KEY& key = table->key_info[index];
  distinct.assign(key.user_defined_key_parts, 0);
  MY_BITMAP* const readSet = table->read_set;
  table->mark_index_columns(index, &table->tmp_set);
  table->column_bitmaps_set_no_signal(&table->tmp_set, table->write_set);
  std::vector<uchar> last(key.key_length);
  ha_rows rows = 0;
  int error = ha_index_init(index, true);
  if (!error) {
    error = ha_index_first(table->record[0]);
    while (!error && rows < maxAnalyzed && !thd->killed) {
      uint prefixBytes = 0;
      bool differs = rows == 0;
      for (uint part = 0; part < key.user_defined_key_parts; part++) {
        prefixBytes += key.key_part[part].store_length;
        differs = differs || key_cmp_if_same(table, last.data(), index, prefixBytes);
        if (differs) distinct[part]++;
      }
      if (differs) key_copy(last.data(), table->record[0], &key, key.key_length);
      rows++;
      error = ha_index_next(table->record[0]);
    }
    ha_index_end();
  }
  table->column_bitmaps_set_no_signal(readSet, table->write_set);
  if (thd->killed) return HA_ERR_ABORTED_BY_USER;
  if (error && error != HA_ERR_END_OF_FILE) return error;
  const ha_rows all = share_->statistics().rows;
  if (!error && rows > 0 && all > rows) {
    for (uint64_t& count : distinct) count = count * all / rows;
  }
  return 0;
}

// Every index has as many entries as there are rows, and gives them in the order of its keys.
int ha_vamos::check(THD* thd, HA_CHECK_OPT*) {
  table->use_all_columns();  // the statement names none
  ha_rows rows = 0;
  int error = ha_rnd_init(true);
  if (!error) {
    while ((error = ha_rnd_next(table->record[0])) == 0 && !thd->killed) rows++;
    ha_rnd_end();
  }
  if (error && error != HA_ERR_END_OF_FILE) return complain(thd, "reading the rows failed", error);
  for (uint index = 0; index < table_share->keys && !thd->killed; index++) {
    ha_rows entries = 0;
    bool isOrdered = true;
    error = countEntries(thd, index, entries, isOrdered);
    const std::string name(table->key_info[index].name.str, table->key_info[index].name.length);
    if (error) return complain(thd, "reading index " + name + " failed", error);
    if (!isOrdered) return complain(thd, "index " + name + " is not in order", 0);
    if (entries != rows) {
      return complain(thd,
                      "index " + name + " has " + std::to_string(entries) + " entries, the table " +
                          std::to_string(rows) + " rows",
                      0);
    }
  }
  return thd->killed ? HA_ADMIN_FAILED : HA_ADMIN_OK;
}

int ha_vamos::countEntries(THD* thd, uint index, ha_rows& entries, bool& isOrdered) {
  const uint32_t hostIndex = share_->codec->indexOf(index);
  std::string last;
  std::string key;
  int error = ha_index_init(index, true);
  if (error) return error;
  for (error = ha_index_first(table->record[0]); !error && !thd->killed;
       error = ha_index_next(table->record[0])) {
    key.clear();
    const int64_t hiddenKey = share_->codec->hasHiddenKey() ? Codec::hiddenKeyOf(current_.primaryKey) : 0;
    share_->codec->encodeKey(hostIndex, table->record[0], hiddenKey, key);
    if (entries > 0 && (key < last || (key == last && isUnique(index) && !hasNull(index)))) isOrdered = false;
    last.swap(key);
    entries++;
  }
  ha_index_end();
  return error == HA_ERR_END_OF_FILE ? 0 : error;
}

// Whether the record's key in this index has a NULL part.
bool ha_vamos::hasNull(uint index) const {
  const KEY& key = table->key_info[index];
  for (uint part = 0; part < key.user_defined_key_parts; part++) {
    if (key.key_part[part].field->is_null()) return true;
  }
  return false;
}

int ha_vamos::complain(THD* thd, const std::string& what, int error) {
  push_warning_printf(thd, Sql_condition::WARN_LEVEL_WARN, ER_NOT_KEYFILE, "VAMOS: %s", what.c_str());
  if (error) print_error(error, MYF(0));
  return error ? HA_ADMIN_FAILED : HA_ADMIN_CORRUPT;
}

}  // namespace vamos::mariadb
