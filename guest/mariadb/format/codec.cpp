#include "mariadb/format/codec.hpp"

#include <algorithm>

#include "wire/batch.hpp"

namespace vamos::mariadb {

std::unique_ptr<Codec> Codec::make(const TABLE_SHARE& share, std::string& refusal) {
  std::unique_ptr<Codec> codec(new Codec);
  const bool isKeyHidden = share.primary_key >= MAX_KEY;
  if (!codec->rows_.make(share, isKeyHidden, refusal)) return nullptr;
  codec->hiddenKey_ = codec->rows_.hiddenColumn();
  codec->indexes_.resize(share.keys + (isKeyHidden ? 1 : 0));
  codec->indexOf_.resize(share.keys);
  uint32_t next = 1;
  for (uint number = 0; number < share.keys; number++) {
    const uint32_t hostIndex = number == share.primary_key ? 0 : next++;
    codec->indexOf_[number] = hostIndex;
    if (!codec->indexes_[hostIndex].make(share, share.key_info[number], codec->rows_, refusal)) {
      return nullptr;
    }
  }
  return codec;
}

void Codec::appendHiddenKey(int64_t hiddenKey, std::string& out) {
  const uint64_t bits = static_cast<uint64_t>(hiddenKey) ^ (uint64_t{1} << 63);
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(bits >> shift));
}

int64_t Codec::hiddenKeyOf(std::string_view primaryKey) {
  if (primaryKey.size() != 8) return 0;
  uint64_t bits = 0;
  for (const char byte : primaryKey) bits = bits << 8 | static_cast<uint8_t>(byte);
  return static_cast<int64_t>(bits ^ (uint64_t{1} << 63));
}

uint32_t Codec::maxPrimaryKeyBytes() const {
  return hasHiddenKey() ? 8 : static_cast<uint32_t>(std::min(indexes_[0].maxKeyBytes(), maxKeyBytes));
}

bool Codec::readsAs(const Codec& other) const {
  if (indexes_.size() != other.indexes_.size() || !rows_.readsAs(other.rows_)) return false;
  for (size_t index = 0; index < indexes_.size(); index++) {
    if (!indexes_[index].readsAs(other.indexes_[index])) return false;
  }
  return true;
}

bool Codec::encodeKey(uint32_t index, const uchar* record, int64_t hiddenKey, std::string& out) const {
  if (index == 0 && hasHiddenKey()) {
    appendHiddenKey(hiddenKey, out);
    return false;
  }
  return indexes_[index].encode(record, out);
}

void Codec::appendEntries(const uchar* record, int64_t hiddenKey, std::string& batch) const {
  constexpr size_t headBytes = 1 + 4;
  for (uint32_t index = 0; index < indexes_.size(); index++) {
    const size_t start = batch.size();
    batch.append(headBytes, '\0');
    const bool hasNull = encodeKey(index, record, hiddenKey, batch);
    batch[start] = hasNull ? 1 : 0;
    const auto keyBytes = static_cast<uint32_t>(batch.size() - start - headBytes);
    std::memcpy(&batch[start + 1], &keyBytes, sizeof keyBytes);
    appendU32(batch, 0);
  }
}

bool Codec::sameKey(uint32_t index, const uchar* left, const uchar* right) const {
  return (index == 0 && hasHiddenKey()) || indexes_[index].same(left, right);
}

bool Codec::encodeSearchKey(uint serverIndex, const uchar* key, key_part_map parts, std::string& out) const {
  const uint32_t index = indexOf_[serverIndex];
  return indexes_[index].encodeSearchKey(key, parts, index == 0 || hasHiddenKey() ? nullptr : &indexes_[0],
                                         out);
}

}  // namespace vamos::mariadb
