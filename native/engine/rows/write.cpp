#include "engine/rows/write.hpp"

#include "wire/crc32c.hpp"

namespace vamos::engine {

WriteOperation::WriteOperation(uint64_t number, const std::shared_ptr<Transaction>& transaction,
                               Source& source, std::shared_ptr<const Table> table, WriteKind kind,
                               std::string_view batch, Wait wait, LockMode duplicateLock)
    : Operation(number, transaction),
      table_(std::move(table)),
      kind_(kind),
      batch_(batch),
      writer_(transaction, source, table_, kind, wait, duplicateLock) {}

Progress WriteOperation::run(const Budget& budget) {
  writer_.begin();
  while (offset_ < batch_.bytes().size()) {
    switch (row(budget)) {
      case Step::OK:
        break;
      case Step::PARKED:
        return Progress::PARKED;
      case Step::AGAIN:
        return Progress::AGAIN;
      case Step::FAILED:
        undo();
        return done(std::move(writer_.outcome));
    }
    offset_ = next_;
    rows_++;
    if (budget.isSpent() && offset_ < batch_.bytes().size()) return Progress::AGAIN;
  }
  writer_.finish();
  outcome.count = rows_;
  return Progress::DONE;
}

WriteOperation::Step WriteOperation::row(const Budget& budget) {
  if (!parse()) {
    return writer_.fail(ErrorCode::BAD_REQUEST,
                        "row " + std::to_string(rows_) + " of the batch breaks its format or a limit");
  }
  Step step = writer_.checkLocks();
  if (step == Step::OK && kind_ != WriteKind::INSERT) step = lockAndCheckBefore(budget);
  return step == Step::OK ? writer_.write(rows_, budget) : step;
}

bool WriteOperation::parse() {
  Reader reader(batch_.bytes(), offset_);
  const size_t indexCount = table_->indexes.size();
  if (kind_ != WriteKind::INSERT && !readOldRow(reader, indexCount, writer_.before)) return false;
  if (kind_ != WriteKind::DELETE) {
    if (!readNewRow(reader, indexCount, writer_.after) || !table_->row.isValid(writer_.after.row))
      return false;
  }
  next_ = reader.offset();
  return true;
}

WriteOperation::Step WriteOperation::lockAndCheckBefore(const Budget& budget) {
  const std::string key = spaceKey(table_->indexes[0].space, writer_.before.entries[0].key);
  if (const Step step = writer_.lockRow(key); step != Step::OK) return step;
  const Found found = transaction->latestView().get(key, budget.cachedOnly, value_);
  if (found == Found::UNKNOWN) return Step::AGAIN;
  const std::string where = "row " + std::to_string(rows_) + " of the request";
  if (found == Found::ABSENT) return writer_.fail(ErrorCode::NOT_FOUND, where + " is not there any more");
  const std::string_view row = value_.bytes();
  if (crc32c(row.data(), row.size()) != writer_.before.fingerprint) {
    return writer_.fail(ErrorCode::ROW_CHANGED,
                        where + " was changed since it was read; read it with a lock");
  }
  return Step::OK;
}

}  // namespace vamos::engine
