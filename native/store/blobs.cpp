#include "store/blobs.hpp"

#include <rocksdb/write_batch.h>

#include <algorithm>

namespace vamos::store {

using namespace engine;

Progress WriteBlobOperation::run(const Budget&) {
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  if (offset_ == 0) status = batch.Put(recordKey64(RecordKind::PENDING_BLOB, blob_), "");
  if (status.ok()) status = batch.Put(chunkKey(blob_, offset_), toSlice(data_.bytes()));
  if (status.ok()) status = database_.write(batch);
  return done(status.ok() ? Outcome{} : database_.failure(status));
}

Progress ReadBlobOperation::run(const Budget& budget) {
  // As every scan: an iterator over the block cache alone may end too early.
  if (budget.cachedOnly) return Progress::AGAIN;
  const View view = transaction ? transaction->statementView() : View{};
  std::string number;
  appendBigEndian64(number, blob_);
  const KeyRange chunks = prefixRange(spaceKey(blobSpace, number));
  const rocksdb::Slice low(chunks.low);
  const rocksdb::Slice high(chunks.high);
  rocksdb::ReadOptions options = RocksSource::readOptions(view, false);
  options.iterate_lower_bound = &low;
  options.iterate_upper_bound = &high;
  const std::unique_ptr<rocksdb::Iterator> iterator(database_.base().NewIterator(options));
  // The chunk that holds the offset begins at it or before.
  iterator->SeekForPrev(chunkKey(blob_, offset_));
  if (!iterator->Valid() && iterator->status().ok()) {
    return done(Outcome::failure(ErrorCode::BLOB_MISSING, "blob " + std::to_string(blob_) + " is not there"));
  }
  uint64_t position = offset_;
  for (; iterator->Valid() && outcome.result.size() < lengthBytes_; iterator->Next()) {
    const uint64_t start = bigEndian64(toView(iterator->key()).substr(12));
    const std::string_view data = toView(iterator->value());
    // Past its end, or a chunk is missing.
    if (start > position || position - start >= data.size()) break;
    const std::string_view part = data.substr(position - start, lengthBytes_ - outcome.result.size());
    outcome.result.append(part);
    position += part.size();
  }
  const rocksdb::Status status = iterator->status();
  return done(status.ok() ? std::move(outcome) : database_.failure(status));
}

}  // namespace vamos::store
