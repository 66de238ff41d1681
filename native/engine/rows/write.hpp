#pragma once

#include <memory>

#include "engine/rows/row_writer.hpp"

namespace vamos::engine {

// Inserts, updates or deletes the rows of a batch, row by row. A failure undoes the whole batch; its locks
// stay, but for those of rows that it inserted.
class WriteOperation : public Operation {
 public:
  WriteOperation(uint64_t number, const std::shared_ptr<Transaction>& transaction, Source& source,
                 std::shared_ptr<const Table> table, WriteKind kind, std::string_view batch, Wait wait,
                 LockMode duplicateLock);

  void keepInput() override { batch_.keep(); }

 protected:
  Progress run(const Budget& budget) override;
  void undo() override { writer_.undo(); }

 private:
  using Step = RowWriter::Step;

  Step row(const Budget& budget);
  bool parse();
  Step lockAndCheckBefore(const Budget& budget);

  const std::shared_ptr<const Table> table_;
  const WriteKind kind_;
  Input batch_;

  RowWriter writer_;
  size_t offset_ = 0;  // in the batch: where the current row begins
  size_t next_ = 0;    // and where it ends
  uint32_t rows_ = 0;
  StoredValue value_;
};

}  // namespace vamos::engine
