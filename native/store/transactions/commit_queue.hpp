#pragma once

#include <rocksdb/write_batch.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "store/transactions/database.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

// A transaction's end or preparation, or records to write outside any.
class CommitOperation : public Operation {
 public:
  CommitOperation(uint64_t number, std::shared_ptr<Transaction> transaction, Durability durability,
                  Ending ending = Ending::COMMIT)
      : Operation(number, std::move(transaction)), durability(durability), ending(ending) {}

  const Durability durability;
  const Ending ending;
  rocksdb::WriteBatch records;

 protected:
  Progress run(const Budget&) override { return Progress::DONE; }  // the commit queue carries it out
};

// One thread that writes all commits waiting, then makes them durable with one sync: group commit. A
// transaction's locks go as soon as others can see its rows, before the sync (as in InnoDB); its reply comes
// after. The log keeps the order, so what others build on it can't become durable without it. Where the log
// can't be written, nobody knows what became of the commits under way (OUTCOME_UNKNOWN), and all later ones
// are refused: see Database::hasFailed().
class CommitQueue {
 public:
  using Group = std::vector<std::shared_ptr<CommitOperation>>;
  using Done = std::function<void(const Group&)>;
  // done is called from the queue's thread, with all that ended together.
  CommitQueue(const Database& database, Done done);
  ~CommitQueue() { stop(); }

  void add(const Group& group);
  // Writes what is queued, syncs, and ends the thread.
  void stop();

  uint64_t commitCount() const { return commits_; }
  uint64_t syncCount() const { return syncs_; }

 private:
  void work();
  void commit(const Group& group);
  void write(CommitOperation& operation);
  // Throws StoreError.
  void writeEnd(Transaction& transaction, Ending ending);
  void flush(const Group& group, bool isSynced);
  Outcome unknown() const;
  void syncOlder();

  const Database& database_;
  const Done done_;
  std::mutex mutex_;
  std::condition_variable hasWork_;
  Group queue_;
  bool isStopping_ = false;
  uint64_t syncedSequence_ = 0;  // this queue's thread only
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> syncs_{0};
  std::thread thread_;
};

}  // namespace vamos::store
