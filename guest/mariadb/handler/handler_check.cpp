// ANALYZE and CHECK TABLE.
#include <key.h>
#include <sql_class.h>
#include <sql_priv.h>

#include <cstring>

#include "mariadb/handler/handler.hpp"
#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

// The host takes a sample, which it keeps, so tables that are opened later know it, too.
int ha_vamos::analyze(THD*, HA_CHECK_OPT*) {
  Reply reply;
  wire::TableStatistics statistics;
  const wire::Statistics request{.table = share_->number};
  if (session().callAlone(wire::Method::ANALYZE_TABLE, request.encode(), reply, Work::LONG) != 0 ||
      !wire::TableStatistics::decode(reply.body, statistics)) {
    return HA_ADMIN_FAILED;
  }
  share_->setStatistics(statistics);
  return HA_ADMIN_OK;
}

// The host compacts by itself; the server makes the table anew where somebody asks for more.
int ha_vamos::optimize(THD*, HA_CHECK_OPT*) { return HA_ADMIN_TRY_ALTER; }

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
