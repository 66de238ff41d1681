#include "store/transactions/commit_queue.hpp"

#include <utility>

namespace vamos::store {

using namespace engine;
namespace {

// What was committed as WRITTEN or MEMORY reaches the disk after at most this time.
constexpr auto syncInterval = std::chrono::seconds(1);

}  // namespace

CommitQueue::CommitQueue(const Database& database, Done done)
    : database_(database), done_(std::move(done)), thread_([this] { work(); }) {}

void CommitQueue::add(const Group& group) {
  const std::lock_guard guard(mutex_);
  queue_.insert(queue_.end(), group.begin(), group.end());
  if (queue_.size() == group.size()) hasWork_.notify_one();
}

void CommitQueue::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard(mutex_);
    isStopping_ = true;
    hasWork_.notify_one();
  }
  thread_.join();
}

void CommitQueue::work() {
  Clock::time_point nextSync = Clock::now() + syncInterval;
  std::unique_lock guard(mutex_);
  while (true) {
    hasWork_.wait_until(guard, nextSync, [this] { return isStopping_ || !queue_.empty(); });
    const Group group = std::exchange(queue_, {});
    const bool isLast = isStopping_ && group.empty();
    guard.unlock();
    if (!group.empty()) commit(group);
    if (isLast || Clock::now() >= nextSync) {
      syncOlder();
      nextSync = Clock::now() + syncInterval;
    }
    if (isLast) return;
    guard.lock();
  }
}

// What was written without a sync, also past this queue: blobs are.
void CommitQueue::syncOlder() {
  const uint64_t sequence = database_.base().GetLatestSequenceNumber();
  if (sequence == syncedSequence_) return;
  if (!database_.flush(true).ok()) return;
  syncedSequence_ = sequence;
  database_.syncEnds();
}

void CommitQueue::commit(const Group& group) {
  Group ended;
  Group written;
  Group synced;
  for (const auto& operation : group) {
    write(*operation);
    if (operation->durability == Durability::MEMORY || !operation->outcome.ok()) {
      ended.push_back(operation);
    } else {
      (operation->durability == Durability::SYNCED ? synced : written).push_back(operation);
    }
  }
  if (!ended.empty()) done_(ended);
  if (!written.empty()) flush(written, false);
  if (synced.empty()) return;
  syncs_++;
  flush(synced, true);
}

void CommitQueue::write(CommitOperation& operation) {
  if (database_.hasFailed()) {
    operation.outcome = database_.fatal();
    if (operation.transaction && !operation.transaction->isPrepared()) operation.transaction->end();
    return;
  }
  try {
    if (operation.transaction) {
      writeEnd(*operation.transaction, operation.ending);
    } else if (const rocksdb::Status status = database_.write(operation.records); !status.ok()) {
      database_.refuseFor(status);
    }
  } catch (StoreError& error) {
    operation.outcome =
        database_.hasFailed() ? unknown() : Outcome::failure(error.code, std::move(error.message));
  }
}

void CommitQueue::writeEnd(Transaction& transaction, Ending ending) {
  try {
    switch (ending) {
      case Ending::COMMIT:
        transaction.commitWrites();
        commits_ += transaction.commitCount;
        break;
      case Ending::PREPARE:
        transaction.prepareWrites();
        return;
      case Ending::ROLLBACK:
        transaction.rollbackPreparedWrites();
        break;
    }
  } catch (const StoreError&) {
    // A prepared one that can't end stays, with its locks.
    if (!transaction.isPrepared()) transaction.end();
    throw;
  }
  transaction.end();
}

void CommitQueue::flush(const Group& group, bool isSynced) {
  if (!database_.flush(isSynced).ok()) {
    for (const auto& operation : group) operation->outcome = unknown();
  }
  done_(group);
}

Outcome CommitQueue::unknown() const {
  return Outcome::failure(
      ErrorCode::OUTCOME_UNKNOWN,
      "whether this was committed is not known until the root is opened again: " + database_.fatal().message);
}

}  // namespace vamos::store
