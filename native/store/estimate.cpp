#include <rocksdb/table_properties.h>

#include "store/store.hpp"

namespace vamos::store {
namespace {

// Ranges of so few rows are counted, if they are in memory.
constexpr uint64_t countedRows = 64;

}  // namespace

Estimate Store::estimate(uint32_t tableNumber, uint32_t index, const CursorOptions& bounds) {
  const TablePointer table = findTable(tableNumber);
  if (!table) refuse(ErrorCode::TABLE_MISSING, "table " + std::to_string(tableNumber) + " is not defined");
  if (index >= table->indexes.size()) {
    refuse(ErrorCode::INDEX_MISSING, "the table has no index " + std::to_string(index));
  }
  const KeyRange range = boundsRange(table->indexes[index].space, bounds);
  if (range.isEmpty()) return {};
  rocksdb::DB& base = database_.base();

  Estimate counted;
  rocksdb::Slice high(range.high);
  rocksdb::ReadOptions cached;
  cached.read_tier = rocksdb::kBlockCacheTier;
  cached.iterate_upper_bound = &high;
  const std::unique_ptr<rocksdb::Iterator> iterator(base.NewIterator(cached));
  for (iterator->Seek(range.low); iterator->Valid() && counted.rows < countedRows; iterator->Next()) {
    counted.rows++;
    counted.bytes += iterator->key().size() + iterator->value().size();
  }
  if (!iterator->Valid() && iterator->status().ok()) return counted;

  const rocksdb::Range rocksRange{rocksdb::Slice(range.low), high};
  Estimate result;
  base.GetApproximateMemTableStats(rocksRange, &result.rows, &result.bytes);
  uint64_t fileBytes = 0;
  base.GetApproximateSizes(&rocksRange, 1, &fileBytes, rocksdb::DB::SizeApproximationFlags::INCLUDE_FILES)
      .PermitUncheckedError();
  // The rows counted tell this index's row size best; the files tell how well it packs.
  rocksdb::TablePropertiesCollection files;
  base.GetPropertiesOfTablesInRange(base.DefaultColumnFamily(), &rocksRange, 1, &files)
      .PermitUncheckedError();
  uint64_t rawBytes = 0;
  uint64_t packedBytes = 0;
  uint64_t entries = 0;
  for (const auto& [name, properties] : files) {
    rawBytes += properties->raw_key_size + properties->raw_value_size;
    packedBytes += properties->data_size;
    entries += properties->num_entries;
  }
  if (packedBytes > 0 && entries > 0) {
    const double unpackedBytes =
        static_cast<double>(fileBytes) * static_cast<double>(rawBytes) / static_cast<double>(packedBytes);
    const double rowBytes = counted.rows > 0
                                ? static_cast<double>(counted.bytes) / static_cast<double>(counted.rows)
                                : static_cast<double>(rawBytes) / static_cast<double>(entries);
    result.rows += static_cast<uint64_t>(unpackedBytes / std::max(rowBytes, 1.0));
    result.bytes += static_cast<uint64_t>(unpackedBytes);
  }
  result.rows = std::max(result.rows, counted.rows);
  result.bytes = std::max(result.bytes, counted.bytes);
  return result;
}

}  // namespace vamos::store
