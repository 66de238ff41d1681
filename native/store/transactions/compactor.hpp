#pragma once

#include <rocksdb/db.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "store/transactions/types.hpp"

namespace vamos::store {

// Drops tombstones that reads have to step over.
//
// A removed key stays in RocksDB as a tombstone until a compaction drops both. RocksDB compacts what has
// grown too large, so where all rows of a range went (the front of a queue), the tombstones may stay for
// long, and each MIN() or COUNT(*) steps over all of them. A read that met many has their range compacted in
// the background.
//
// That is done for one range at a time, takes at most a tenth of the time, and is not repeated for a space
// before there can be more to drop.
class Compactor {
 public:
  // A range with this many tombstones is compacted.
  static constexpr uint64_t manyTombstones = 10'000;

  explicit Compactor(rocksdb::DB& base) : base_(base) {}
  // Ends a compaction that is under way.
  ~Compactor();
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  // A read stepped over many tombstones within the range, which is of one space. From any thread; waits for
  // nothing.
  void compact(const KeyRange& range);
  uint64_t doneCount() const { return done_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Last {
    uint64_t sequence = 0;  // the sequence number of the database when the compaction began
    bool wasHeld = false;   // a snapshot that was older may have kept tombstones
  };

  bool isDue(uint32_t space) const;
  uint64_t oldestSnapshot() const;
  void run();

  rocksdb::DB& base_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<KeyRange> next_;
  bool isRunning_ = false;
  Clock::time_point notBefore_ = Clock::time_point::min();
  std::map<uint32_t, Last> last_;  // by space
  std::atomic<bool> isStopped_ = false;
  std::atomic<uint64_t> done_ = 0;
  std::thread thread_;  // from the first compaction on
};

}  // namespace vamos::store
