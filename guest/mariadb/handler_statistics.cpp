// What the optimizer asks.
#include <sql_class.h>
#include <sql_priv.h>

#include <algorithm>

#include "mariadb/handler.hpp"
#include "mariadb/session.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

// Different keys of a part are guessed so, where no ANALYZE counted them: as many rows share a value.
constexpr ulong guessedRowsPerKey = 10;
// Of a range that nothing depends on, one row in so many is in it.
constexpr ulong guessedRowsPerMatch = 10;

}  // namespace

// Asked for ahead, and taken when its answer is there anyhow: requests of a connection are answered in order.
void ha_vamos::refreshStatistics() {
  if (statisticsCall_) {
    Reply reply;
    wire::TableStatistics statistics;
    const client::CallPointer call = std::exchange(statisticsCall_, nullptr);
    if (session().take(call, reply) && wire::TableStatistics::decode(reply.body, statistics)) {
      share_->setStatistics(statistics);
    }
  } else if (share_->statistics().isStale) {
    statisticsCall_ = session().askLater(wire::Method::STATISTICS, wire::Statistics{share_->number}.encode());
  }
}

int ha_vamos::info(uint flags) {
  if (flags & HA_STATUS_VARIABLE) {
    if (!(flags & HA_STATUS_NO_LOCK)) refreshStatistics();
    const Table::Statistics known = share_->statistics();
    // The optimizer would take 0 as certain. SHOW TABLE STATUS doesn't, and where history of a table moves on
    // to its next partition, the server looks for an empty one.
    const bool mayBeNone = (flags & (HA_STATUS_TIME | HA_STATUS_OPEN)) != 0;
    stats.records = known.rows == 0 && !mayBeNone ? 1 : known.rows;
    stats.data_file_length = known.bytes;
    stats.index_file_length = 0;
    stats.deleted = 0;
    stats.mean_rec_length = known.rows == 0 ? 0 : static_cast<ulong>(known.bytes / known.rows);
  }
  if (flags & HA_STATUS_CONST) {
    stats.block_size = 16384;
    setRowsPerKey();
  }
  if (flags & HA_STATUS_ERRKEY) errkey = duplicateIndex_;
  if (flags & HA_STATUS_AUTO) stats.auto_increment_value = share_->nextAutoIncrement();
  return 0;
}

void ha_vamos::setRowsPerKey() {
  const std::vector<std::vector<uint64_t>> distinct = share_->distinctKeys();
  const auto rows = static_cast<double>(share_->statistics().rows);
  for (uint index = 0; index < table_share->keys; index++) {
    KEY& key = table->key_info[index];
    if (!key.rec_per_key) continue;
    for (uint part = 0; part < key.user_defined_key_parts; part++) {
      ulong count = 1;
      if (isUnique(index) && part + 1 == key.user_defined_key_parts) {
        count = 1;
      } else if (index < distinct.size() && part < distinct[index].size() && distinct[index][part] > 0) {
        count = static_cast<ulong>(rows / static_cast<double>(distinct[index][part]));
      } else {
        const double guessed =
            std::min<double>(guessedRowsPerKey * (key.user_defined_key_parts - part), rows / 2);
        count = static_cast<ulong>(guessed);
      }
      key.rec_per_key[part] = std::max<ulong>(count, 1);
    }
  }
}

// A range of the only index, which the rows stand in, is never worse than all of it; and there is no other
// table whose place depends on it.
bool ha_vamos::isOnlyChoice(uint index) const {
  const LEX* lex = ha_thd()->lex;
  return table_share->keys == 1 && index == table_share->primary_key && !lex->describe &&
         lex->query_tables == table->pos_in_table_list && !lex->query_tables->next_global;
}

ha_rows ha_vamos::records_in_range(uint index, const key_range* min, const key_range* max, page_range*) {
  if (min && max && min->keypart_map == max->keypart_map && min->flag == HA_READ_KEY_EXACT &&
      isPoint(index, min->key, min->keypart_map) && min->length == max->length &&
      std::memcmp(min->key, max->key, min->length) == 0) {
    return 1;
  }
  if (isOnlyChoice(index)) {
    return std::max<ha_rows>(share_->statistics().rows / guessedRowsPerMatch, 1);
  }
  wire::Estimate request;
  request.table = share_->number;
  request.version = share_->version;
  request.index = share_->codec->indexOf(index);
  request.bounds = boundsOf(index, min, max);
  std::string body = request.encode();
  if (const std::optional<ha_rows> known = share_->estimate(body)) return *known;
  Reply reply;
  wire::Estimated estimated;
  const std::string range = body;
  if (session().callAlone(wire::Method::ESTIMATE, std::move(body), reply) != 0 ||
      !wire::Estimated::decode(reply.body, estimated)) {
    return std::max<ha_rows>(share_->statistics().rows / 2, 1);
  }
  // 0 would be taken as certain.
  const ha_rows rows = std::max<ha_rows>(estimated.rows, 1);
  share_->setEstimate(range, rows);
  return rows;
}

double ha_vamos::scan_time() {
  const Table::Statistics known = share_->statistics();
  return static_cast<double>(known.bytes) / 16384 + 1;
}

double ha_vamos::read_time(uint index, uint ranges, ha_rows rows) {
  if (index == table_share->primary_key && index != MAX_KEY) {
    // The rows stand together.
    const double all = std::max<double>(static_cast<double>(share_->statistics().rows), 1);
    return ranges + std::min(1.0, static_cast<double>(rows) / all) * scan_time();
  }
  return static_cast<double>(ranges) + static_cast<double>(rows);
}

ha_rows ha_vamos::estimate_rows_upper_bound() { return HA_POS_ERROR; }

}  // namespace vamos::mariadb
