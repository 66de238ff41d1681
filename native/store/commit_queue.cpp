#include "store/commit_queue.hpp"

#include <algorithm>
#include <utility>

namespace vamos::store {
namespace {

// What was committed as WRITTEN or MEMORY reaches the disk after at most this time.
constexpr auto syncInterval = std::chrono::seconds(1);

}  // namespace

CommitQueue::CommitQueue(const Database& database, Done done)
    : database_(database), done_(std::move(done)), thread_([this] { work(); }) {}

void CommitQueue::add(std::shared_ptr<CommitOperation> operation) {
  const std::lock_guard guard(mutex_);
  queue_.push_back(std::move(operation));
  if (queue_.size() == 1) hasWork_.notify_one();
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
  // A failure stops all later writes: they report it.
  if (database_.base().FlushWAL(true).ok()) syncedSequence_ = sequence;
}

void CommitQueue::commit(const Group& group) {
  Group waiting;
  for (const auto& operation : group) {
    write(*operation);
    if (operation->durability == Durability::MEMORY || !operation->outcome.ok()) {
      done_(operation);
    } else {
      waiting.push_back(operation);
    }
  }
  sync(waiting);
}

void CommitQueue::write(CommitOperation& operation) {
  rocksdb::Status status;
  if (operation.transaction) {
    status = operation.transaction->commitWrites();
    if (status.ok()) commits_++;
  } else {
    status = database_.base().Write({}, &operation.records);
  }
  if (!status.ok()) operation.outcome = database_.failure(status);
  if (operation.transaction) operation.transaction->end();
}

void CommitQueue::sync(Group& group) {
  const auto isSynced = [](const auto& operation) { return operation->durability == Durability::SYNCED; };
  const auto firstSynced = std::stable_partition(group.begin(), group.end(), std::not_fn(isSynced));
  const auto answer = [this](auto begin, auto end, const rocksdb::Status& status) {
    for (auto operation = begin; operation != end; ++operation) {
      if (!status.ok()) (*operation)->outcome = database_.failure(status);
      done_(*operation);
    }
  };
  if (firstSynced != group.begin()) answer(group.begin(), firstSynced, database_.base().FlushWAL(false));
  if (firstSynced == group.end()) return;
  syncs_++;
  answer(firstSynced, group.end(), database_.base().FlushWAL(true));
}

}  // namespace vamos::store
