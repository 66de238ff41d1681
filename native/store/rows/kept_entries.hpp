#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/transactions/operation.hpp"

namespace vamos::store {

// Entries of indexes with opaque parts, which updated rows keep. The store can't make their keys, but where
// another transaction committed them after this one's snapshot they must be written again, so that they show
// with the row, which is this transaction's own now. They are looked for in the index then, however long that
// takes.
class KeptEntries {
 public:
  // indexes: the numbers of those whose entries stay.
  KeptEntries(Transaction& transaction, const Table& table, std::vector<uint32_t> indexes);

  // The rows of a window with keys, all of them locked; it must stand until the next one.
  void begin(std::string_view window);
  // Incomplete: the budget is spent, or doesn't allow I/O that is needed; another call goes on.
  rocksdb::Status find(const Budget& budget);
  // Those of this row.
  rocksdb::Status write(std::string_view primaryKey);

 private:
  struct Entry {
    std::string key;
    std::string value;
  };

  // Through an index, for the entries of these rows.
  struct Search {
    std::unordered_set<std::string_view> primaryKeys;  // not found yet
    KeyRange rest;                                     // not scanned yet
  };

  rocksdb::Status compareRows(const Budget& budget);
  // Whether the row has this index's entry in the snapshot as well.
  bool isInSnapshot(std::string_view row, uint32_t index) const;
  rocksdb::Status scan(Search& search, const Budget& budget);

  Transaction& transaction_;
  const Table& table_;
  const std::vector<uint32_t> indexes_;
  std::string_view window_;
  size_t offset_ = 0;                                    // in the window: of the row that is compared next
  std::vector<Search> searches_;                         // one an index
  std::unordered_multimap<std::string, Entry> entries_;  // by primary key
  rocksdb::PinnableSlice before_;                        // the row in the snapshot; empty: it is not there
};

}  // namespace vamos::store
