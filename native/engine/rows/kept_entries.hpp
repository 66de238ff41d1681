#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/operation.hpp"

namespace vamos::engine {

// Entries of indexes with opaque parts, which updated rows keep. The store can't make their keys, but where
// another transaction committed them after this one's snapshot they must be written again, so that they show
// with the row, which is this transaction's own now. They are looked for in the index then, however long that
// takes.
class KeptEntries {
 public:
  // indexes: the numbers of those whose entries stay.
  KeptEntries(Transaction& transaction, Source& source, const Table& table, std::vector<uint32_t> indexes);

  // The rows of a window with keys, all of them locked; it must stand until the next one.
  void begin(std::string_view window);
  // DONE, or AGAIN: another call goes on. Throws StoreError.
  Progress find(const Budget& budget);
  // Writes the entries of this row, which find() has found.
  void write(std::string_view primaryKey);

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

  Progress compareRows(const Budget& budget);
  // Whether a row has the same values in an index's columns as it had before, and was there.
  bool hasSameParts(std::string_view row, std::string_view before, uint32_t index) const;
  Progress scan(Search& search, const Budget& budget);

  Transaction& transaction_;
  Source& source_;
  const Table& table_;
  const std::vector<uint32_t> indexes_;
  std::string_view window_;
  size_t offset_ = 0;                                    // in the window: of the row that is compared next
  std::vector<Search> searches_;                         // one an index
  std::unordered_multimap<std::string, Entry> entries_;  // by primary key
  StoredValue before_;                                   // the row in the snapshot
};

}  // namespace vamos::engine
