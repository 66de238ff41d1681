#include "store/transactions/cached_source.hpp"

#include "store/transactions/cached_walk.hpp"

namespace vamos::store {
namespace {

// What a read of several keys holds.
struct FoundValues : StoredValues::Holder {
  std::array<std::string, StoredValues::maxCount> bytes;
  // The keys that the cache did not know, and their places among all keys.
  std::array<std::string, StoredValues::maxCount> missedKeys;
  std::array<size_t, StoredValues::maxCount> places;
  StoredValues missed;
};

const RocksWrites* writesOf(const View& view) { return static_cast<const RocksWrites*>(view.writes); }

uint64_t momentOf(const View& view) { return view.snapshot ? view.snapshot->sequence : cache::latest; }

// The transaction's own write of a key, if there is one.
bool findOwn(const RocksWrites* own, std::string_view key, Found& found, std::string& bytes) {
  std::optional<std::string_view> value;
  if (own == nullptr || !own->find(key, value)) return false;
  if (value) bytes.assign(*value);
  found = value ? Found::ROW : Found::ABSENT;
  return true;
}

}  // namespace

Found CachedSource::get(const View& view, std::string_view key, bool cachedOnly, StoredValue& value) {
  if (!cache::isCached(key)) return rocks_.get(view, key, cachedOnly, value);
  Found found = Found::UNKNOWN;
  {
    auto& bytes = value.holder<std::string>();
    if (!findOwn(writesOf(view), key, found, bytes)) found = cache_.get(key, momentOf(view), bytes);
    value.set(found == Found::ROW ? std::string_view(bytes) : std::string_view());
  }
  if (found != Found::UNKNOWN) return found;
  const uint64_t asOf = view.snapshot ? view.snapshot->sequence : database_.base().GetLatestSequenceNumber();
  found = rocks_.get({&rocks_, nullptr, view.snapshot}, key, cachedOnly, value);
  cache_.fill(key, asOf, found, value.bytes());
  return found;
}

void CachedSource::multiGet(const View& view, std::span<const std::string> keys, bool cachedOnly,
                            StoredValues& values) {
  if (!values.holder) values.holder = std::make_unique<FoundValues>();
  auto& holder = static_cast<FoundValues&>(*values.holder);
  const RocksWrites* own = writesOf(view);
  size_t missed = 0;
  for (size_t i = 0; i < keys.size(); i++) {
    Found& found = values.found[i];
    std::string& bytes = holder.bytes[i];
    if (!findOwn(own, keys[i], found, bytes)) found = cache_.get(keys[i], momentOf(view), bytes);
    values.bytes[i] = found == Found::ROW ? std::string_view(bytes) : std::string_view();
    if (found != Found::UNKNOWN) continue;
    holder.places[missed] = i;
    holder.missedKeys[missed++] = keys[i];
  }
  if (missed == 0) return;
  const uint64_t asOf = view.snapshot ? view.snapshot->sequence : database_.base().GetLatestSequenceNumber();
  rocks_.multiGet({&rocks_, nullptr, view.snapshot}, {holder.missedKeys.data(), missed}, cachedOnly,
                  holder.missed);
  for (size_t i = 0; i < missed; i++) {
    const Found found = holder.missed.found[i];
    const std::string_view bytes = found == Found::ROW ? holder.missed.bytes[i] : std::string_view();
    values.found[holder.places[i]] = found;
    values.bytes[holder.places[i]] = bytes;
    cache_.fill(holder.missedKeys[i], asOf, found, bytes);
  }
}

std::unique_ptr<Walk> CachedSource::walk(const View& view, const KeyRange& range,
                                         const WalkOptions& options) {
  if (!cache::isCached(range.low)) return rocks_.walk(view, range, options);
  return std::make_unique<CachedWalk>(database_, view, range, options);
}

}  // namespace vamos::store
