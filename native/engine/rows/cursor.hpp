#pragma once

#include <memory>
#include <optional>

#include "engine/operation.hpp"
#include "engine/program/aggregate.hpp"
#include "engine/program/program.hpp"
#include "engine/program/projection.hpp"
#include "engine/rows/index_rows.hpp"

namespace vamos::engine {

// Where a scan stands between two windows.
struct Cursor {
  std::shared_ptr<Transaction> transaction;  // nothing: a snapshot of its own
  std::shared_ptr<const Table> table;
  CursorOptions options;
  Projection projection;
  std::optional<Program> filter;
  std::optional<Aggregates> aggregates;
  Lock lock = Lock::NONE;
  bool awaitsWanted = false;  // semi-consistent: waits for locked rows that pass the filter
  KeyRange rest;              // not scanned yet
  uint64_t rows = 0;          // that passed the filter so far
  uint64_t rowsRead = 0;
  std::optional<View> view;            // plain reads; its writes are looked up anew for each window
  bool isBusy = false;                 // owner thread only
  std::optional<IndexRows> indexRows;  // a plain read that needs no more than the index has

  // Once all but the place of the scan is set.
  void chooseSource();
};

// Reads the next window of a cursor; all of them together, where they are aggregated.
//
// The filter comes after the lock: where no gaps are locked, a row that doesn't pass gives its lock back.
//
// A locking scan takes each step twice: it finds the next entry, locks the gap up to it and its row, and then
// looks whether anything was committed meanwhile; if so, it looks again, now that nothing there can change
// any more.
//
// A semi-consistent scan is that of an UPDATE under READ COMMITTED: it locks no gaps, and looks at a row that
// another transaction has locked as it was last committed. One that does not pass the filter is left out. Of
// one that passes, either the lock is awaited, or it is given unlocked, at the end of its window: no row
// behind it is locked before the reader has decided whether to wait for it.
class FetchOperation : public Operation {
 public:
  FetchOperation(uint64_t number, std::shared_ptr<Cursor> cursor, Source& source, size_t windowBytes);

  const std::shared_ptr<Cursor> cursor;

 protected:
  Progress run(const Budget& budget) override;
  // Nobody saw this window's rows: the next fetch begins where this one did.
  void undo() override;

 private:
  enum class Step { OK, LEFT_OUT, AT_END, PARKED, AGAIN, FAILED };

  Progress read(const Budget& budget);
  // What this window's scan went over so far.
  KeyRange scannedRange() const;
  bool isPrimary() const { return cursor->options.index == 0; }
  bool locksGaps() const { return transaction->locksGaps() && !cursor->options.semiConsistent; }
  // The entry is the one that the bounds give whole: there can be no other, so no gap needs a lock.
  bool isOnlyOne(std::string_view entry) const;
  bool isFull() const;
  bool isAtLimit() const;
  void openWalk();
  // Onto the entry that comes next; AT_END: there is none.
  Step seek();
  static Step stepOf(Found found);
  // The current entry is done with.
  void pass();
  Step plainStep();
  Step entryStep();
  Step appendEntry(std::string_view entry, std::string_view primaryKey, const std::string& rowKey);
  Step readAndAppend(const std::string& rowKey);
  Step plainSecondaryRows();
  Step lockingStep();
  // The lock of the entry's row is held, or waited for, while the operation pauses.
  Step pauseAt(std::string_view entry, const std::string& rowKey, Step step);
  // A semi-consistent scan met a row that another transaction has locked.
  Step anothersRow(const std::string& rowKey);
  Step locked(LockAnswer answer);
  Step lockedEnd();
  // Under READ COMMITTED: gives back the lock of an earlier go if its entry is not at this position any more.
  void checkPaused(Step found);
  bool looksAtGaps() const;
  // Whether nothing was committed in the index since the walk was begun.
  bool isUnchanged() const;
  Step lockGap(const KeyRange& gap);
  bool pointsTo(std::string_view primaryKey) const;
  // LEFT_OUT: the filter says no.
  Step append(std::string_view primaryKey, std::string_view row);
  Step fail(Outcome failure);
  Step failEntry();
  Step failRow();
  Progress finish(bool atEnd);

  Source& source_;
  const size_t windowBytes_;
  const KeyRange startRest_;
  const uint64_t startRows_;
  View view_;
  bool cachedOnly_ = false;  // this go
  std::unique_ptr<Walk> walk_;
  bool isPositioned_ = false;
  uint64_t rowsFromIndex_ = 0;
  uint64_t steppedOver_ = 0;  // entries of removed rows
  size_t bytesRead_ = 0;      // since the clock was asked
  uint64_t lockMark_ = 0;     // before the first lock of the entry that comes next
  bool hasBegunEntry_ = false;
  // The entry at whose row the operation paused, and that row: nothing where it did not.
  std::string pausedEntry_;
  std::string pausedRow_;
  uint64_t changes_ = 0;  // what the source's counter of changes was just before the walk began
  std::string primaryKey_;
  std::string awaitedRow_;  // in a semi-consistent scan, the key of a row that is wanted and must be locked
  StoredValue value_;
  StoredValues values_;
};

}  // namespace vamos::engine
