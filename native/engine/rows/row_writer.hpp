#pragma once

#include <memory>
#include <vector>

#include "engine/operation.hpp"
#include "wire/batch.hpp"

namespace vamos::engine {

// Inserts, updates or deletes rows one by one, with their index entries, for one operation. The locks and
// checks of a row come first and can be done over; its writes come last.
class RowWriter {
 public:
  // OK: go on. Else why not: parked, budget, or a failure in outcome.
  enum class Step { OK, PARKED, AGAIN, FAILED };

  RowWriter(std::shared_ptr<Transaction> transaction, Source& source, std::shared_ptr<const Table> table,
            WriteKind kind, Wait wait, LockMode duplicateLock);

  // The row at hand; each has one entry an index. An insert has no row before it, a delete none after it.
  OldRow before;
  NewRow after;
  // Whose entries the row's change may touch, in order; the others stay as they are, whatever stands for them
  // above.
  std::vector<uint32_t> indexes;
  Outcome outcome;

  // Before the first row; more calls do nothing.
  void begin();
  // All rows are done.
  void finish() { transaction_->writes().unmark(); }
  // Takes back what was written since `begin`. The locks stay, but for those of rows that were inserted.
  void undo();

  Step checkLocks();
  Step lockRow(std::string_view rowKey);
  // number: of the row, for messages. The caller holds the lock of the row before.
  Step write(uint32_t number, const Budget& budget);
  // With the commit its chunks go.
  void removeBlob(uint64_t blob);

  Step fail(ErrorCode code, std::string message, std::string detail = {});
  // What was read contradicts itself.
  Step failCorrupted(std::string_view what);

 private:
  Step lock(LockAnswer answer);
  Step lockKeysBefore();
  Step lockAndCheckAfter(uint32_t number, const Budget& budget);
  // Whether a unique entry's key is free; if so, it is locked for this transaction to insert.
  Step lockAndCheckUnique(const std::string& key, size_t index, uint32_t number, const Budget& budget);
  void writeEntries();
  // Whether the entry after is another one than the entry before.
  bool isNewEntry(size_t index) const;

  const std::shared_ptr<Transaction> transaction_;
  Source& source_;
  const std::shared_ptr<const Table> table_;
  const WriteKind kind_;
  const Wait wait_;
  const LockMode duplicateLock_;  // how to lock the row that has the key of an inserted one already

  bool hasBegun_ = false;
  uint64_t lockMark_ = 0;    // before the first lock
  size_t removedBlobs_ = 0;  // before the first row
  bool hasWritten_ = false;
  std::vector<std::string> freeKeys_;  // the first row's, locked to be inserted
  StoredValue value_;
};

}  // namespace vamos::engine
