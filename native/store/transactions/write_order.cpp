#include "store/transactions/write_order.hpp"

#include "engine/keys.hpp"
#include "store/transactions/database.hpp"

namespace vamos::store {

using namespace engine;
namespace {

// RocksDB before 9.2 mixes up the places of keys with those of range deletions, and then loses keys (its
// issue 5118). So a range deletion, which begins at the four bytes of a space or in the space of blobs, has
// none.
class PlacesOfSpaces : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "vamos.PlacesOfSpaces"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), spaceBytes}; }
  bool InDomain(const rocksdb::Slice& key) const override {
    if (key.size() <= spaceBytes) return false;
    const uint32_t space = bigEndian32(toView(key));
    return space >= firstTableSpace && space <= lastTableSpace;
  }

 private:
  static constexpr size_t spaceBytes = sizeof(uint32_t);
};

}  // namespace

std::shared_ptr<const rocksdb::SliceTransform> placesOfSpaces() { return std::make_shared<PlacesOfSpaces>(); }

bool sortWrites(rocksdb::WriteBatchWithIndex& writes, rocksdb::WriteBatch& sorted) {
  const std::unique_ptr<rocksdb::WBWIIterator> own(writes.NewIterator());
  rocksdb::Slice last;
  rocksdb::Status status;
  for (own->SeekToFirst(); status.ok() && own->Valid(); own->Next()) {
    const rocksdb::WriteEntry entry = own->Entry();
    if (!last.empty() && entry.key == last) return false;
    last = entry.key;
    if (entry.type == rocksdb::kPutRecord) {
      status = sorted.Put(entry.key, entry.value);
    } else if (entry.type == rocksdb::kDeleteRecord) {
      status = sorted.Delete(entry.key);
    } else {
      return false;
    }
  }
  return status.ok() && own->status().ok();
}

}  // namespace vamos::store
