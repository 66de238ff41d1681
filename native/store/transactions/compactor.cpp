#include "store/transactions/compactor.hpp"

#include <utility>

namespace vamos::store {

using namespace engine;
namespace {

constexpr int restPerWork = 9;
// Spaces that are remembered, at most; a forgotten one may be compacted once too often.
constexpr size_t maxSpaces = 10'000;

}  // namespace

Compactor::~Compactor() {
  {
    const std::lock_guard lock(mutex_);
    isStopped_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Compactor::compact(const KeyRange& range) {
  const std::lock_guard lock(mutex_);
  const uint32_t space = bigEndian32(range.low);
  if (isStopped_ || isRunning_ || Clock::now() < notBefore_ || !isDue(space)) return;
  const uint64_t sequence = base_.GetLatestSequenceNumber();
  if (last_.size() >= maxSpaces) last_.clear();
  last_[space] = {sequence, oldestSnapshot() < sequence};
  isRunning_ = true;
  next_ = range;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_all();
}

// Whether there can be more to drop than the last compaction dropped: something was written since, or a
// snapshot that kept tombstones is gone.
bool Compactor::isDue(uint32_t space) const {
  const auto found = last_.find(space);
  if (found == last_.end()) return true;
  const Last& last = found->second;
  return base_.GetLatestSequenceNumber() - last.sequence >= manyTombstones ||
         (last.wasHeld && oldestSnapshot() >= last.sequence);
}

uint64_t Compactor::oldestSnapshot() const {
  uint64_t sequence = 0;
  base_.GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &sequence);
  return sequence == 0 ? UINT64_MAX : sequence;
}

void Compactor::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return isStopped_ || next_; });
    if (isStopped_) return;
    const KeyRange range = *std::exchange(next_, std::nullopt);
    lock.unlock();
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.canceled = &isStopped_;
    // Else a file that nothing else overlaps is moved down as it is, tombstones and all.
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    const rocksdb::Slice low(range.low);
    const rocksdb::Slice high(range.high);
    const auto begun = Clock::now();
    // What fails here fails elsewhere, too, and is told there.
    base_.CompactRange(options, &low, &high).PermitUncheckedError();
    done_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
    notBefore_ = Clock::now() + restPerWork * (Clock::now() - begun);
    isRunning_ = false;
  }
}

}  // namespace vamos::store
