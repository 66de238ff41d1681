#include "engine/source.hpp"

namespace vamos::engine {

// The transaction holds the lock of each row that it changed. So an entry that is not among its writes is
// present if and only if the latest committed row has it.
Found View::ownsEntry(std::string_view entry, std::string_view rowKey, bool cachedOnly) const {
  if (writes == nullptr || snapshot == nullptr || writes->isEmpty()) return Found::ROW;
  if (!writes->has(rowKey) || writes->has(entry)) return Found::ROW;
  StoredValue value;
  const Found found = View{source, nullptr, nullptr}.get(entry, cachedOnly, value);
  if (found != Found::ROW) return found;
  std::string_view primaryKey;
  const bool isItsOwn =
      entryPrimaryKey(entry, value.bytes(), primaryKey) && primaryKey == rowKey.substr(sizeof(uint32_t));
  return isItsOwn ? Found::ROW : Found::ABSENT;
}

}  // namespace vamos::engine
