#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace vamos::mariadb {

// Counts the rows that this server has added to a table, less those that it has removed, since the host last
// told how many rows the table has.
struct AddedRows {
  std::atomic<int64_t> committed{0};
  std::atomic<int64_t> uncommitted{0};  // by transactions that are open, whenever they began
};

// The rows that a transaction has added to its tables, in the order of its statements.
class RowsOfTransaction {
 public:
  void add(const std::shared_ptr<AddedRows>& table, uint32_t statement, int64_t added);
  // How far the transaction has come: takeBack() undoes what was added since.
  size_t mark() const { return entries_.size(); }
  void takeBack(size_t mark);
  void takeBackStatement(uint32_t statement);
  // The transaction was committed.
  void commit();

 private:
  struct Entry {
    std::shared_ptr<AddedRows> table;
    uint32_t statement;
    int64_t added;
  };

  std::vector<Entry> entries_;
};

}  // namespace vamos::mariadb
