#pragma once

#include <memory>

#include "store/operation.hpp"
#include "wire/batch.hpp"

namespace vamos::store {

// Inserts, updates or deletes the rows of a batch, row by row. A failure undoes the whole batch; its locks
// stay, but for those of rows that it inserted.
class WriteOperation : public Operation {
 public:
  WriteOperation(uint64_t number, std::shared_ptr<Transaction> transaction, const Database& database,
                 uint64_t maxTransactionBytes, std::shared_ptr<const Table> table, WriteKind kind,
                 std::string_view batch, Wait wait, LockMode duplicateLock);

  void keepInput() override { batch_.keep(); }

 protected:
  Progress run(const Budget& budget) override;
  void undo() override;

 private:
  // OK: go on. Else why not: parked, budget, or a failure in outcome.
  enum class Step { OK, PARKED, AGAIN, FAILED };

  Step row(const Budget& budget);
  bool parse();
  Step lock(LockAnswer answer);
  Step fail(ErrorCode code, std::string message, std::string detail = {});
  Step failStatus(const rocksdb::Status& status);
  Step lockAndCheckOld(const Budget& budget);
  Step lockAndCheckNew(const Budget& budget);
  // Whether a unique entry's key is free; if so, it is locked for this transaction to insert.
  Step lockAndCheckUnique(const std::string& key, size_t index, const Budget& budget);
  Step writeEntries();
  // Whether the new row's entry of this index is another one than the old row's.
  bool isNewEntry(size_t index) const;

  const Database& database_;
  const uint64_t maxTransactionBytes_;
  const std::shared_ptr<const Table> table_;
  const WriteKind kind_;
  Input batch_;
  const Wait wait_;
  const LockMode duplicateLock_;  // of the row that has an inserted one's key already

  bool hasBegun_ = false;
  uint64_t lockMark_ = 0;  // before the batch's first lock
  bool hasWritten_ = false;
  size_t offset_ = 0;  // in the batch: where the current row begins
  size_t next_ = 0;    // and where it ends
  uint32_t rows_ = 0;
  OldRow old_;
  NewRow new_;
  rocksdb::PinnableSlice value_;
};

}  // namespace vamos::store
