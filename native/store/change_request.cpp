#include "engine/rows/changes.hpp"
#include "protocol/limits.hpp"
#include "store/store.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr size_t maxKeysBytesHere = 16 << 10;
constexpr size_t maxProgramBytesHere = 1 << 10;

std::vector<Assignment> checkAssignments(const Table& table, const ChangeOptions& options) {
  std::vector<Assignment> assignments;
  std::vector<bool> seen(table.row.columnCount());
  std::string refusal;
  for (const auto& [column, code] : options.assignments) {
    if (column >= seen.size() || seen[column])
      refuse(ErrorCode::BAD_REQUEST, "assignments name columns of the table, each once");
    seen[column] = true;
    std::optional<Assignment> assignment = Assignment::make(table.row, column, code, refusal);
    if (!assignment)
      refuse(ErrorCode::BAD_REQUEST, "assignment to column " + std::to_string(column) + ": " + refusal);
    assignments.push_back(std::move(*assignment));
  }
  if (options.deletes != assignments.empty())
    refuse(ErrorCode::BAD_REQUEST, "an update assigns columns, a delete none");
  return assignments;
}

bool hasOneKey(std::string_view keys) {
  Reader reader(keys);
  std::string_view key;
  return readKey(reader, key) && reader.atEnd();
}

std::shared_ptr<Cursor> makeCursor(std::shared_ptr<Transaction> transaction,
                                   std::shared_ptr<const Table> table, const ChangeOptions& options,
                                   std::optional<Program> filter) {
  for (const CursorOptions& bounds : options.ranges) {
    if (bounds.lower.value_or("").size() > maxKeyBytes || bounds.upper.value_or("").size() > maxKeyBytes) {
      refuse(ErrorCode::BAD_REQUEST, "a bound is longer than a key may be");
    }
  }
  auto cursor = std::make_shared<Cursor>();
  cursor->transaction = std::move(transaction);
  cursor->table = std::move(table);
  cursor->options.index = options.index;
  cursor->options.reverse = options.reverse;
  cursor->options.limitRows = options.limitRows;
  cursor->options.wait = options.wait;
  cursor->options.semiConsistent = options.semiConsistent;
  cursor->awaitsWanted = true;
  cursor->projection.withKeys = true;
  cursor->filter = std::move(filter);
  cursor->lock = Lock::EXCLUSIVE;
  return cursor;
}

}  // namespace

Answer Store::change(uint64_t number, ChangeOptions options) {
  Target target;
  if (auto failure = findTarget(number, options.table, Access::READ, target)) return {0, std::move(*failure)};
  const auto& [transaction, table] = target;
  if (!transaction) refuse(ErrorCode::NO_TRANSACTION, "a change needs a transaction");
  if (transaction->isReadOnly()) {
    return {0, Outcome::failure(ErrorCode::READ_ONLY, "the transaction was begun as read-only")};
  }
  if (options.wait == Wait::SKIP_LOCKED) refuse(ErrorCode::BAD_REQUEST, "a write can't skip locked rows");
  if (transaction->isShared()) options.wait = Wait::NO_WAIT;
  if (options.index >= table->indexes.size() || (options.keys && !table->indexes[options.index].isUnique)) {
    refuse(ErrorCode::INDEX_MISSING, "the table has no such index " + std::to_string(options.index));
  }
  if (options.semiConsistent && (options.deletes || options.index != 0 || options.keys)) {
    refuse(ErrorCode::BAD_REQUEST, "only an update by ranges of the primary key is semi-consistent");
  }
  std::string refusal;
  std::optional<Program> filter;
  if (!options.filter.empty()) {
    filter = Program::makeFilter(table->row, options.filter, refusal);
    if (!filter) refuse(ErrorCode::BAD_REQUEST, "filter: " + refusal);
  }
  size_t programBytes = 0;
  for (const auto& [column, code] : options.assignments) programBytes += code.size();
  if (programBytes > maxAssignmentProgramBytes)
    refuse(ErrorCode::BAD_REQUEST, "assignments of more than 256 KiB");
  Change change;
  change.assignments = checkAssignments(*table, options);
  change.table = table;
  change.deletes = options.deletes;
  change.index = options.index;
  change.limitRows = options.limitRows;
  change.wait = options.wait;
  const bool mayRunHere = options.keys && options.keys->size() <= maxKeysBytesHere &&
                          options.filter.size() + programBytes <= maxProgramBytesHere;
  if (options.keys) {
    change.keys = *options.keys;
    if (filter) change.filter = std::make_shared<const Program>(std::move(*filter));
  } else {
    change.cursor = makeCursor(transaction, table, options, std::move(filter));
    change.ranges = std::move(options.ranges);
  }
  const bool isOneRow = options.keys && options.index == 0 && hasOneKey(*options.keys);
  const uint64_t locks = transaction->lockMark();
  Answer answer = run(
      std::make_shared<ChangeOperation>(++lastNumber_, transaction, source_, std::move(change)), mayRunHere);
  // A row that a shared transaction wrote is locked by it: who has to lock its one row has seen none of
  // those.
  answer.outcome.standsAlone = transaction->isShared() && isOneRow && answer.outcome.ok() &&
                               answer.outcome.changed == 0 && transaction->lockMark() > locks;
  return answer;
}

}  // namespace vamos::store
