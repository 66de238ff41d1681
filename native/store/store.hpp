#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/rows/cursor.hpp"
#include "store/transactions/commit_queue.hpp"
#include "store/transactions/rocks_source.hpp"
#include "store/transactions/scheduler.hpp"
#include "store/upkeep/verify.hpp"

namespace vamos::store {

using engine::Cursor;
using engine::LockTable;
using engine::Source;

// A call's answer: immediately, or the number under which its outcome comes later.
struct Answer {
  uint64_t operation = 0;  // 0: outcome is the answer
  Outcome outcome;

  static Answer failure(ErrorCode code, std::string message) {
    return {0, Outcome::failure(code, std::move(message))};
  }
};

// A GET as it came (tables.proto), for answerGets: the caller has looked up the table that it names.
struct GetCall {
  uint32_t id = 0;
  uint64_t transaction = 0;  // the stream's; 0: it has none
  uint32_t table = 0;        // the store's number
  std::string_view body;
  size_t replyBytes = 0;  // 0: not answered
  size_t keys = 0;
};

// The store of one root; host/modules/tables/binding.ts documents each call. All calls come from one thread,
// the owner, and none waits for a lock or a disk, except where said.
class Store {
 public:
  // notify: called from any thread when takeEvents() has something; not again until it was called.
  // Throws StoreError.
  Store(const StoreOptions& options, std::function<void()> notify);
  ~Store() { close(); }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // With operation 0: the log could not be written, and the store refuses all further reads and writes.
  // Commits under way end with OUTCOME_UNKNOWN then.
  std::vector<Event> takeEvents();

  void defineTable(const TableLayout& layout);
  void dropTable(uint32_t table);

  uint64_t begin(Isolation isolation, bool readOnly, bool snapshotNow);
  uint64_t beginShared();
  void beginStatement(uint64_t transaction);
  Answer write(uint64_t transaction, uint32_t table, WriteKind kind, std::string_view batch, Wait wait,
               Lock duplicateLock = Lock::SHARED);
  Answer get(uint64_t transaction, uint32_t table, uint32_t index, std::string_view keys, Lock lock,
             Wait wait, std::vector<uint32_t> columns, bool withKeys, std::string_view filter = {});
  // Answers those GETs of a frame that it can answer immediately and well, and no other: what locks, fails,
  // is not in memory or is large stays as it is. Appends their replies (vamos.proto), at most maxBytes, and
  // says of each call how many bytes and keys that was.
  void answerGets(std::span<GetCall> calls, size_t maxBytes, std::string& replies);
  uint64_t openCursor(uint64_t transaction, CursorOptions options);
  Answer fetch(uint64_t cursor, uint64_t windowBytes);
  void closeCursor(uint64_t cursor);
  // The outcome's count: rows found; `changed`: how many of them were changed.
  Answer change(uint64_t transaction, ChangeOptions options);

  void unlock(uint64_t transaction, uint32_t table, std::string_view keys);

  std::vector<uint64_t> end(Ending ending, const std::vector<uint64_t>& transactions, Durability durability);
  void setXid(uint64_t transaction, std::string xid);
  std::vector<PreparedTransaction> prepared();
  void numberCommit(uint64_t transaction, std::string_view stream, const CommitMark& mark);
  // Number 0: none is known.
  CommitMark lastCommit(std::string_view stream);
  void forgetCommits(std::string_view streams);
  void rollback(uint64_t transaction);
  void setSavepoint(uint64_t transaction);
  void rollbackToSavepoint(uint64_t transaction);
  void releaseSavepoint(uint64_t transaction);
  void cancel(uint64_t operation, ErrorCode code);

  Answer writeBlob(uint64_t blob, uint64_t offset, std::string_view data);
  void adoptBlob(uint64_t transaction, uint64_t blob);
  void removeBlob(uint64_t transaction, uint64_t blob);
  void discardBlob(uint64_t blob);
  Answer readBlob(uint64_t transaction, uint64_t blob, uint64_t offset, uint64_t lengthBytes);

  Answer putRecords(const std::vector<Record>& records, bool synced);
  // Reads from the disk if it must: there are few records.
  std::vector<Record> getRecords(std::string_view prefix);
  // The files of the store as of one moment, which stay until they are released: see HoldFilesOperation.
  Answer holdFiles();
  Answer releaseFiles();
  // Begins to verify these tables. removedSpaces are those of tables that are being removed. See
  // Verification.
  uint64_t openVerification(const std::vector<uint32_t>& tables, const std::vector<uint32_t>& removedSpaces);
  // The outcome's result: how far it is and what it found since the last step, as JSON.
  Answer verify(uint64_t verification, uint64_t maxBytes);
  void closeVerification(uint64_t verification);
  // Estimates the rows of a whole table, fast and roughly.
  Estimate estimate(uint32_t table);
  // The outcome's result: an Estimated (tables.proto).
  Answer estimateRange(uint32_t table, uint32_t index, const CursorOptions& bounds);
  // The outcome's result: a TableSample (tables.proto) of a table with so many rows.
  Answer sample(uint32_t table, uint64_t rows);
  Statistics statistics();

  // Forgets what waits and what is open, and waits until all that was asked to be committed is on the disk.
  // May be called from another thread, as the last call of all.
  void close();

 private:
  using TransactionPointer = std::shared_ptr<Transaction>;
  using TablePointer = std::shared_ptr<const Table>;

  // Nothing, if it is not open (any more).
  TransactionPointer findTransaction(uint64_t number) const;
  // The same, but throws; also if an operation of its own is under way.
  TransactionPointer idleTransaction(uint64_t number) const;
  // Nothing: ok. Else why the transaction can't start an operation; 0 as number: none wanted.
  std::optional<Outcome> checkTransaction(uint64_t number, TransactionPointer& transaction) const;
  TablePointer findTable(uint32_t number) const;
  // What a request works on.
  struct Target {
    TransactionPointer transaction;  // nothing: it runs outside of any
    TablePointer table;
  };
  enum class Access {
    ADD,   // new rows only
    READ,  // rows that are there, which it may go on to change
  };
  // Nothing: ok. SNAPSHOT_TOO_OLD: the transaction can't read the table. InnoDB refuses reads that lock, too,
  // though these don't read by the snapshot, and lets rows be added.
  std::optional<Outcome> findTarget(uint64_t transaction, uint32_t table, Access access,
                                    Target& target) const;
  Answer run(const std::shared_ptr<Operation>& operation, bool mayRunHere);
  static Answer runAtOnce(Operation& operation, bool mayRunHere);
  void stop(const std::shared_ptr<Operation>& operation, ErrorCode code);
  void settleTransaction(const TransactionPointer& transaction);
  void forget(const TransactionPointer& transaction);
  // Takes over the transactions that an earlier process left prepared in the log, before anything else can
  // run.
  void adoptPrepared();
  void blobsCommitted(const Transaction& transaction);
  void discardBlobs(const Transaction& transaction);
  void removeBlobLater(uint64_t blob, RecordKind kind);
  // Throws where the database has failed.
  void checkUsable() const;

  const StoreOptions options_;
  Database database_;
  RocksSource rocks_;
  const std::unique_ptr<Source> cached_;  // nothing: rows are not cached
  Source& source_;                        // what transactions run over
  LockTable locks_;
  std::unordered_map<uint32_t, TablePointer> tables_;
  std::unordered_map<uint64_t, TransactionPointer> transactions_;
  std::unordered_map<uint64_t, std::shared_ptr<Cursor>> cursors_;
  std::unordered_map<uint64_t, std::shared_ptr<Operation>> operations_;
  std::unordered_map<uint64_t, uint64_t> pendingBlobs_;  // their lengths so far
  uint64_t lastNumber_ = 0;
  std::atomic<uint64_t> fileHolds_{0};
  std::unordered_map<uint64_t, std::shared_ptr<Verification>> verifications_;
  bool isFailureTold_ = false;
  bool isClosed_ = false;
  // Last: their threads use the rest.
  Scheduler scheduler_;
  CommitQueue commits_;
};

}  // namespace vamos::store
