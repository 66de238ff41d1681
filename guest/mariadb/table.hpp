#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "mariadb/codec.hpp"

namespace vamos::mariadb {

// An open table, shared by its handlers (a Handler_share): what the host knows it by, how its rows are coded,
// and what was learnt of it.
class Table : public Handler_share {
 public:
  std::string name;  // as the host knows it: 'database/table', or the path of a temporary one
  std::unique_ptr<Codec> codec;

  // The host's numbers. They change when the table is truncated or redefined.
  uint32_t number = 0;
  std::atomic<uint32_t> version{0};

  // Statistics as last heard, and when: asked for again in the background of a statement, never for each.
  struct Statistics {
    ha_rows rows = 0;
    uint64_t bytes = 0;
    uint64_t heardMs = 0;
  };
  Statistics statistics();
  void setStatistics(ha_rows rows, uint64_t bytes);

  // Auto-increment values (and numbers of hidden keys) reserved at the host and not given out yet.
  struct Range {
    uint64_t next = 0;
    uint64_t end = 0;
  };
  std::mutex mutex;  // of what follows
  Range autoIncrement;
  Statistics statistics_;
};

}  // namespace vamos::mariadb
