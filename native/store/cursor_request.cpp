#include <algorithm>

#include "store/store.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr uint64_t maxWindowBytesHere = 64 << 10;  // a larger one is not for the event loop
constexpr size_t maxHeldFilterBytes = 128 << 20;   // the filters of all open cursors together

}  // namespace

uint64_t Store::openCursor(uint64_t number, CursorOptions options) {
  Target target;
  if (auto failure = findTarget(number, options.table, Access::READ, target)) {
    refuse(failure->code, std::move(failure->message));
  }
  auto cursor = std::make_shared<Cursor>();
  cursor->transaction = std::move(target.transaction);
  cursor->table = std::move(target.table);
  if (options.index >= cursor->table->indexes.size()) {
    refuse(ErrorCode::INDEX_MISSING, "the table has no index " + std::to_string(options.index));
  }
  if (!Projection::isValid(*cursor->table, options.columns)) {
    refuse(ErrorCode::BAD_REQUEST, "a projection names columns of the table, each once");
  }
  if (options.lower.value_or("").size() > maxKeyBytes || options.upper.value_or("").size() > maxKeyBytes) {
    refuse(ErrorCode::BAD_REQUEST, "a bound is longer than a key may be");
  }
  std::string refusal;
  if (!options.filter.empty()) {
    cursor->filter = Program::makeFilter(cursor->table->row, options.filter, refusal);
    if (!cursor->filter) refuse(ErrorCode::BAD_REQUEST, "filter: " + refusal);
    size_t heldBytes = cursor->filter->heldBytes();
    for (const auto& [number, open] : cursors_) heldBytes += open->filter ? open->filter->heldBytes() : 0;
    if (heldBytes > maxHeldFilterBytes) {
      refuse(ErrorCode::BAD_REQUEST, "the filters of the open cursors would take more than " +
                                         std::to_string(maxHeldFilterBytes) + " bytes; close some first");
    }
  }
  if (!options.aggregates.empty()) {
    cursor->aggregates = Aggregates::make(cursor->table->row, options.aggregates, refusal);
    if (!cursor->aggregates) refuse(ErrorCode::BAD_REQUEST, refusal);
  }
  cursor->lock = cursor->transaction ? cursor->transaction->readLock(options.lock) : options.lock;
  if (!cursor->transaction) {
    if (cursor->lock != Lock::NONE) refuse(ErrorCode::BAD_REQUEST, "a locking read needs a transaction");
    cursor->view = View{&source_, nullptr, source_.snapshot()};
  }
  const bool maySemiConsist =
      cursor->lock == Lock::EXCLUSIVE && options.index == 0 && options.aggregates.empty();
  if (options.semiConsistent && !maySemiConsist) {
    refuse(ErrorCode::BAD_REQUEST,
           "only a scan of rows by the primary key that locks exclusively is semi-consistent");
  }
  cursor->rest = boundsRange(cursor->table->indexes[options.index].space, options);
  cursor->projection = {options.columns, options.withKeys};
  options.filter.clear();
  options.aggregates.clear();
  cursor->options = std::move(options);
  cursor->chooseSource();
  cursors_.emplace(++lastNumber_, std::move(cursor));
  return lastNumber_;
}

Answer Store::fetch(uint64_t number, uint64_t windowBytes) {
  const auto found = cursors_.find(number);
  if (found == cursors_.end()) {
    return Answer::failure(ErrorCode::CURSOR_MISSING, "cursor " + std::to_string(number) + " is not open");
  }
  const std::shared_ptr<Cursor> cursor = found->second;
  if (cursor->isBusy || (cursor->transaction && cursor->transaction->isBusy)) {
    return Answer::failure(ErrorCode::BAD_REQUEST,
                           "an operation of the cursor or its transaction is under way");
  }
  windowBytes = std::clamp<uint64_t>(windowBytes, 1, maxWindowBytes);
  cursor->isBusy = true;
  Answer result = run(std::make_shared<FetchOperation>(++lastNumber_, cursor, source_, windowBytes),
                      windowBytes <= maxWindowBytesHere);
  if (result.operation == 0) cursor->isBusy = false;
  return result;
}

void Store::closeCursor(uint64_t number) { cursors_.erase(number); }

}  // namespace vamos::store
