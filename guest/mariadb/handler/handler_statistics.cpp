// Answers what the optimizer asks.
#include <sql_class.h>
#include <sql_priv.h>

#include <algorithm>

#include "mariadb/handler/handler.hpp"
#include "mariadb/session/session.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

// As many rows share the values of all parts but the last of an index where no sample tells; of fewer parts,
// as many more.
constexpr ulong guessedRowsPerKey = 10;
// SHOW TABLE STATUS and information_schema show what was heard so long ago.
constexpr ulonglong shownAgeUs = 1'000'000;
// One row in so many is taken to be in a range that no choice depends on.
constexpr ulong guessedRowsPerMatch = 10;

}  // namespace

// Mostly asked for ahead, and taken when its answer is there anyhow: requests of a connection are answered in
// order. But where this server has changed much of the table, as in a load, the next plan waits for it.
void ha_vamos::refreshStatistics(bool mayWait) {
  const Table::Statistics known = share_->statistics();
  wire::Statistics request{.table = share_->number, .knownSample = known.sample};
  Reply reply;
  wire::TableStatistics heard;
  if (known.isOutgrown || (mayWait && known.ageUs > shownAgeUs)) {
    request.fresh = true;
    statisticsCall_ = nullptr;
    if (session().callAlone(wire::Method::STATISTICS, request.encode(), reply) == 0 &&
        wire::TableStatistics::decode(reply.body, heard)) {
      share_->setStatistics(heard);
    }
  } else if (statisticsCall_) {
    const client::CallPointer call = std::exchange(statisticsCall_, nullptr);
    if (session().waitAlone(call, reply) && wire::TableStatistics::decode(reply.body, heard)) {
      share_->setStatistics(heard);
    }
  } else if (known.isStale) {
    statisticsCall_ = session().askLater(wire::Method::STATISTICS, request.encode());
  }
}

int ha_vamos::info(uint flags) {
  if (flags & (HA_STATUS_VARIABLE | HA_STATUS_TIME)) refreshStatistics((flags & HA_STATUS_TIME) != 0);
  showStatistics(flags);
  // For a partitioned table the server takes the rows per key of its largest partition.
  if ((flags & HA_STATUS_VARIABLE) && share_->statistics().sample != shownSample_) {
    shownSample_ = share_->statistics().sample;
    if (table->file == this) {
      setRowsPerKey();
    } else {
      table->file->info(HA_STATUS_CONST | HA_STATUS_NO_LOCK);
    }
  }
  return 0;
}

void ha_vamos::showStatistics(uint flags) {
  const Table::Statistics known = share_->statistics();
  if (flags & HA_STATUS_VARIABLE) {
    // The optimizer would take 0 as certain. SHOW TABLE STATUS doesn't, and where history of a table moves on
    // to its next partition, the server looks for an empty one.
    const bool mayBeNone = (flags & (HA_STATUS_TIME | HA_STATUS_OPEN)) != 0;
    stats.records = known.rows == 0 && !mayBeNone ? 1 : known.rows;
    stats.data_file_length = known.bytes + known.blobBytes;
    stats.index_file_length = known.indexBytes;
    stats.deleted = 0;
    stats.mean_rec_length = known.rows == 0 ? 0 : static_cast<ulong>(stats.data_file_length / known.rows);
  }
  if (flags & HA_STATUS_CONST) {
    stats.block_size = 16384;
    stats.create_time = static_cast<ulong>(known.createdMs / 1000);
    setRowsPerKey();
  }
  if (flags & HA_STATUS_TIME) stats.update_time = static_cast<ulong>(known.updatedMs / 1000);
  if (flags & HA_STATUS_ERRKEY) {
    const Session* session = Session::find(ha_thd());
    errkey = session ? session->duplicateIndex() : static_cast<uint>(-1);
  }
  if (flags & HA_STATUS_AUTO) stats.auto_increment_value = share_->nextAutoIncrement();
}

void ha_vamos::setRowsPerKey() {
  shownSample_ = share_->statistics().sample;
  const std::vector<wire::IndexStatistics> indexes = share_->indexStatistics();
  for (uint index = 0; index < table_share->keys; index++) {
    KEY& key = table->key_info[index];
    if (!key.rec_per_key) continue;
    const uint32_t hostIndex = share_->codec->indexOf(index);
    const std::vector<uint32_t> none;
    const std::vector<uint32_t>& hundredths =
        hostIndex < indexes.size() ? indexes[hostIndex].hundredthsPerKey : none;
    for (uint part = 0; part < key.ext_key_parts; part++) {
      key.rec_per_key[part] = rowsPerKey(key, part, hundredths);
    }
  }
}

// Rows that share the values of the index's first parts up to this one. It may be a part of the primary key,
// which the server has behind the index's own parts (extended keys).
ulong ha_vamos::rowsPerKey(const KEY& key, uint part, const std::vector<uint32_t>& hundredths) const {
  if (key.algorithm == HA_KEY_ALG_LONG_HASH) return 1;
  size_t place = part;
  if (part >= key.user_defined_key_parts) {
    const KEY& primary = table->key_info[table_share->primary_key];
    for (uint behind = 0; behind < primary.user_defined_key_parts; behind++) {
      if (primary.key_part[behind].fieldnr == key.key_part[part].fieldnr) {
        place = key.user_defined_key_parts + behind;
      }
    }
  }
  if (place < hundredths.size() && hundredths[place] != 0) {
    // As InnoDB does: the server favours scans of the table too much.
    return std::max<ulong>(hundredths[place] / 200, 1);
  }
  const bool isUnique = (key.flags & HA_NOSAME) != 0 && part + 1 == key.user_defined_key_parts;
  if (isUnique || part >= key.user_defined_key_parts) return 1;
  const ulong guessed = guessedRowsPerKey * (key.user_defined_key_parts - part);
  return std::clamp<ulong>(share_->statistics().rows / 2, 1, guessed);
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
  // 0 would be taken as certain, and a guess may be of more rows than there are.
  const ha_rows rows = std::max<ha_rows>(std::min<ha_rows>(estimated.rows, share_->statistics().rows), 1);
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
