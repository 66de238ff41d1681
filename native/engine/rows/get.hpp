#pragma once

#include <memory>
#include <optional>

#include "engine/operation.hpp"
#include "engine/program/program.hpp"
#include "engine/program/projection.hpp"
#include "engine/rows/index_rows.hpp"

namespace vamos::engine {

// Reads the rows of keys of a unique index, in order, locking them if asked to.
class GetOperation : public Operation {
 public:
  struct Request {
    uint32_t index = 0;
    std::string_view keys;
    Lock lock = Lock::NONE;
    Wait wait = Wait::WAIT;
    Projection projection;
    std::shared_ptr<const Program> filter;  // a row that doesn't pass reads as not there
  };
  // Without a transaction: of the latest committed rows.
  GetOperation(uint64_t number, std::shared_ptr<Transaction> transaction, Source& source,
               std::shared_ptr<const Table> table, Request request);

  void keepInput() override { keys_.keep(); }

 protected:
  Progress run(const Budget& budget) override;

 private:
  enum class Step { FOUND, MISSING, PARKED, AGAIN, FAILED };

  static Step stepOf(Found found);
  Progress runPlain(const Budget& budget);
  // One key of the primary key: the common case, without room for many.
  Progress runPlainOne(std::string_view key, const Budget& budget);
  // The row of an entry of a secondary index, which has this value. It stands in value_ or in indexRows_,
  // its primary key in primaryKey_.
  Step rowOfEntry(std::string_view entry, std::string_view value, bool cachedOnly, std::string_view& row);
  Progress runLocking(const Budget& budget);
  Step lockedRow(std::string_view key, const Budget& budget);
  // Nothing has the key: its gap is locked, where gaps are. FOUND: something has it now.
  Step lockMissing(const View& view, const std::string& key, const Budget& budget);
  // MISSING: the gap around the key is known.
  Step gapOf(const View& view, const std::string& key, const Budget& budget, KeyRange& gap);
  // FOUND: the lock is held; MISSING: it is to be skipped.
  Step lockKey(std::string_view key, LockMode mode);
  Step read(const View& view, std::string_view key, const Budget& budget);
  Step fail(Outcome failure);
  // MISSING: the row doesn't pass the filter; FAILED: it doesn't check.
  Step filter(std::string_view row);
  // Counts and appends it. False: the outcome says why not.
  bool append(std::string_view primaryKey, std::string_view row);
  Outcome badKeys() const;

  Source& source_;
  const std::shared_ptr<const Table> table_;
  const Request request_;
  Input keys_;
  std::optional<View> view_;            // plain reads
  std::optional<IndexRows> indexRows_;  // as Cursor::indexRows
  uint64_t rowsFromIndex_ = 0;
  size_t offset_ = 0;      // in the keys
  uint64_t lockMark_ = 0;  // before the first lock of the current key
  // The key whose lock was waited for, or is held while something is fetched that tells whether the lock is
  // needed. Nothing: there is none.
  std::string awaitedRow_;
  bool hasBegunKey_ = false;
  std::string primaryKey_;  // the primary key of the row that was found
  StoredValue value_;
};

}  // namespace vamos::engine
