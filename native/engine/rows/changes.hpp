#pragma once

#include <memory>
#include <vector>

#include "engine/program/assignment.hpp"
#include "engine/rows/cursor.hpp"
#include "engine/rows/kept_entries.hpp"
#include "engine/rows/row_writer.hpp"

namespace vamos::engine {

// Which rows are to be changed, and how; checked. What is read comes from ranges or from keys.
struct Change {
  std::shared_ptr<const Table> table;
  bool deletes = false;
  std::vector<Assignment> assignments;  // none of a column in the primary key, nor in an index that is read
  std::shared_ptr<Cursor> cursor;       // locks what it reads, and gives primary keys; nothing: keys
  std::vector<CursorOptions> ranges;    // the bounds that the cursor is to have, one after another
  uint32_t index = 0;                   // the unique index that the keys belong to
  std::string_view keys;
  std::shared_ptr<const Program> filter;  // which of the rows with these keys are changed
  uint64_t limitRows = 0;
  Wait wait = Wait::WAIT;
};

// Deletes or updates rows where they are: locks and reads some, changes them, goes on. A failure undoes it
// all; its locks stay, but for those of index entries that it made.
class ChangeOperation : public Operation {
 public:
  ChangeOperation(uint64_t number, const std::shared_ptr<Transaction>& transaction, Source& source,
                  Change change);

  void keepInput() override;

 protected:
  Progress run(const Budget& budget) override;
  void undo() override { writer_.undo(); }

 private:
  using Step = RowWriter::Step;
  // READY: its rows can be changed.
  enum class Reading { RUNNING, DONE, READY };

  bool hasDistinctKeys() const;
  bool hasDistinctRanges() const;
  // False: there is no more to read.
  bool startReading();
  // DONE: READY, or a failure in outcome.
  Progress read(const Budget& budget);
  std::shared_ptr<Operation> nextKeys();
  Step row(const Budget& budget);
  // Makes what the current row becomes, and its entries, unless it stays as it is.
  Step makeRow();
  Step makeEntries(std::string_view row, std::vector<std::string>& keys, std::vector<Entry>& entries);
  void removeBlobs();
  Progress fail(Outcome failure);

  Source& source_;
  const Change change_;
  Input keys_;
  RowWriter writer_;
  AssignedRow assigned_;
  KeptEntries kept_;
  std::vector<uint32_t> blobColumns_;  // whose blobs go with a changed row

  bool isChecked_ = false;
  size_t keysOffset_ = 0;  // where the next key begins
  size_t range_ = 0;       // the current one
  bool isRangeBegun_ = false;
  std::shared_ptr<Operation> reading_;
  Reading state_ = Reading::RUNNING;
  size_t offset_ = 0;  // in what was read: where the current row begins
  size_t next_ = 0;    // and where it ends
  bool isMade_ = false;
  bool isChanged_ = false;
  std::string_view row_;  // as it was
  std::vector<std::string> keysBefore_;
  std::vector<std::string> keysAfter_;
  uint64_t found_ = 0;
  uint64_t changed_ = 0;
};

}  // namespace vamos::engine
