#pragma once

#include <atomic>
#include <cstdint>

namespace vamos::mariadb {

// Rows that this server added to a table, less those that it removed, since the host was last heard of it.
struct AddedRows {
  std::atomic<int64_t> committed{0};
  std::atomic<int64_t> uncommitted{0};  // by transactions that are open, whenever they began
};

}  // namespace vamos::mariadb
