#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/transaction.hpp"

namespace vamos::store {

// Entries of indexes with opaque parts, which updated rows keep. The store can't make their keys, but where
// another transaction committed them after this one's snapshot they must be written again, so that they show
// with the row, which is this transaction's own now. They are looked for in the index then, however long that
// takes.
class KeptEntries {
 public:
  // indexes: the numbers of those whose entries stay.
  KeptEntries(Transaction& transaction, const Table& table, std::vector<uint32_t> indexes);

  // Of the rows of a window with keys, all of them locked. Incomplete: cachedOnly, and it needs the disk.
  rocksdb::Status find(std::string_view window, bool cachedOnly);
  // Those of this row.
  rocksdb::Status write(std::string_view primaryKey);

 private:
  struct Entry {
    std::string key;
    std::string value;
  };

  // Whether the row has this index's entry in the snapshot as well.
  bool isInSnapshot(std::string_view row, uint32_t index) const;
  rocksdb::Status scan(uint32_t index, const std::unordered_set<std::string_view>& primaryKeys);

  Transaction& transaction_;
  const Table& table_;
  const std::vector<uint32_t> indexes_;
  std::unordered_multimap<std::string, Entry> entries_;  // by primary key
  rocksdb::PinnableSlice before_;                        // the row in the snapshot; empty: it is not there
};

}  // namespace vamos::store
