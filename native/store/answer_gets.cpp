#include "engine/rows/get.hpp"
#include "protocol/tables_messages.hpp"
#include "store/store.hpp"
#include "wire/session_messages.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr auto loopBudget = std::chrono::microseconds(500);
// More are read in several calls.
constexpr size_t maxKeys = 64;

// 0: the batch breaks its format, or has more than maxKeys.
size_t countKeys(std::string_view batch) {
  Reader reader(batch);
  size_t count = 0;
  std::string_view key;
  while (!reader.atEnd()) {
    if (++count > maxKeys || !readKey(reader, key)) return 0;
  }
  return count;
}

}  // namespace

void Store::answerGets(std::span<GetCall> calls, size_t maxBytes, std::string& replies) {
  if (database_.hasFailed()) return;
  const Budget budget{true, Clock::now() + loopBudget};
  wire::Get get;
  for (GetCall& call : calls) {
    if (budget.isSpent()) return;
    if (!wire::Get::decode(call.body, get) || get.scope.inTransaction != (call.transaction != 0) ||
        get.lock != wire::Lock::NONE || get.scope.wait == wire::Wait::SKIP_LOCKED || !get.filter.empty()) {
      continue;
    }
    const size_t keys = countKeys(get.keys);
    Target target;
    if (keys == 0 || findTarget(call.transaction, call.table, Access::READ, target)) continue;
    const Table& table = *target.table;
    if (get.index >= table.indexes.size() || !table.indexes[get.index].isUnique ||
        !Projection::isValid(table, get.columns)) {
      continue;
    }
    GetOperation operation(0, std::move(target.transaction), source_, target.table,
                           {.index = get.index,
                            .keys = get.keys,
                            .projection = {std::move(get.columns), get.withKeys},
                            .filter = {}});
    if (operation.go(budget) != Progress::DONE || !operation.outcome.ok()) continue;
    const std::string& window = operation.outcome.result;
    if (replies.size() + window.size() + overheadBytes > maxBytes) return;
    const size_t before = replies.size();
    const std::string body = wire::Rows{.window = window, .count = keys}.encode();
    wire::appendReply(replies, {.id = call.id, .body = body, .failure = {}});
    call.replyBytes = replies.size() - before;
    call.keys = keys;
  }
}

}  // namespace vamos::store
