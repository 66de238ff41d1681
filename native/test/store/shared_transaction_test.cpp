#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;

TEST_CASE_FIXTURE(StoreFixture,
                  "a shared transaction's writes are committed by one record, and each counts") {
  const uint64_t shared = store->beginShared();
  CHECK(insert(shared, {{1, "ann", "oslo"}}).outcome.count == 1);
  CHECK(insert(shared, {{2, "bob", "rome"}, {3, "cay", "rome"}}).outcome.count == 2);
  CHECK(read(0, 1) == Texts{"-"});
  CHECK(commit(shared, Durability::SYNCED).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"1/ann/oslo", "2/bob/rome", "3/cay/rome"});
  const Statistics statistics = store->statistics();
  CHECK(statistics.commits == 2);
  CHECK(statistics.syncs == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a write that fails in a shared transaction leaves nothing of itself") {
  load({{1, "ann", "oslo"}});
  const uint64_t shared = store->beginShared();
  CHECK(insert(shared, {{2, "bob", "rome"}}).outcome.ok());
  CHECK(insert(shared, {{5, "bob", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(remove(shared, {{9, "eve", "rome"}}).outcome.code == ErrorCode::NOT_FOUND);
  CHECK(insert(shared, {{3, "cay", "rome"}, {4, "ann", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(commit(shared).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"1/ann/oslo", "2/bob/rome"});
  CHECK(store->statistics().locksHeld == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "a write in a shared transaction waits for nobody, whatever it asks for") {
  load({{1, "ann", "oslo"}});
  const uint64_t holder = begin();
  REQUIRE(wait(update(holder, {{{1, "ann", "oslo"}, {1, "ann", "bonn"}}})).ok());
  const uint64_t shared = store->beginShared();
  CHECK(remove(shared, {{1, "ann", "oslo"}}, Wait::WAIT).outcome.code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(insert(shared, {{2, "bob", "rome"}}).outcome.ok());
  // Also one that others began to wait behind is not waited for.
  const uint64_t waiting = begin();
  const Answer parked = remove(waiting, {{1, "ann", "oslo"}});
  REQUIRE(waitParked(parked));
  CHECK(commit(shared).ok());
  store->rollback(holder);
  CHECK(wait(parked.operation).ok());
  CHECK(commit(waiting).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"2/bob/rome"});
}

TEST_CASE_FIXTURE(StoreFixture, "what would take a thread is undone in a shared transaction") {
  std::vector<Row> rows;
  for (uint32_t number = 0; number < 20'000; number++) rows.push_back({number, "", std::string(20, 'x')});
  const uint64_t shared = store->beginShared();
  CHECK(insert(shared, {{30'000, "ann", "oslo"}}).outcome.ok());
  CHECK(insert(shared, rows).outcome.code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(commit(shared).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"30000/ann/oslo"});
}

TEST_CASE_FIXTURE(StoreFixture, "a shared transaction that is rolled back leaves nothing") {
  const uint64_t shared = store->beginShared();
  CHECK(insert(shared, {{1, "ann", "oslo"}}).outcome.ok());
  store->rollback(shared);
  CHECK(read(0, 1) == Texts{"-"});
  CHECK(store->statistics().locksHeld == 0);
  CHECK(store->statistics().transactionsOpen == 0);
  CHECK(store->statistics().commits == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "a row that a failing write overwrote is as the write before it left it") {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const uint64_t shared = store->beginShared();
  CHECK(update(shared, {{{1, "ann", "oslo"}, {1, "eve", "bonn"}}}).outcome.ok());
  CHECK(update(shared, {{{1, "eve", "bonn"}, {1, "ann", "kyiv"}}, {{2, "bob", "x"}, {2, "bob", "y"}}})
            .outcome.code == ErrorCode::ROW_CHANGED);
  CHECK(commit(shared).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"1/eve/bonn", "2/bob/rome"});
  CHECK(scan(0, {.index = byName}) == Texts{"2/bob/rome", "1/eve/bonn"});
  CHECK(scan(0, {.index = byCity}) == Texts{"1/eve/bonn", "2/bob/rome"});
}

TEST_CASE_FIXTURE(StoreFixture, "nobody waits for what a failing write in a shared transaction locked") {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const uint64_t shared = store->beginShared();
  CHECK(update(shared, {{{1, "ann", "oslo"}, {1, "ann", "bonn"}}}).outcome.ok());
  const uint64_t locksHeld = store->statistics().locksHeld;
  CHECK(remove(shared, {{2, "eve", "rome"}}).outcome.code == ErrorCode::ROW_CHANGED);
  CHECK(insert(shared, {{3, "bob", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(remove(shared, {{1, "ann", "bonn"}, {2, "eve", "rome"}}).outcome.code == ErrorCode::ROW_CHANGED);
  CHECK(store->statistics().locksHeld == locksHeld);
  const uint64_t other = begin();
  CHECK(get(other, 2, Lock::EXCLUSIVE, Wait::NO_WAIT).outcome.ok());
  CHECK(get(other, 1, Lock::EXCLUSIVE, Wait::NO_WAIT).outcome.code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(commit(shared).ok());
  CHECK(get(other, 1, Lock::EXCLUSIVE, Wait::NO_WAIT).outcome.ok());
}

// Undoing takes time in proportion to the whole transaction.
TEST_CASE_FIXTURE(StoreFixture, "a shared transaction that is large, or had to undo, takes no more writes") {
  load({{1, "ann", "oslo"}});
  const uint64_t large = store->beginShared();
  uint32_t number = 10;
  while (insert(large, {{number, "", std::string(1'000, 'x')}}).outcome.ok()) REQUIRE(++number < 1'000);
  CHECK(number > 20);
  CHECK(insert(large, {{2, "bob", "rome"}}).outcome.code == ErrorCode::TRANSACTION_TOO_LARGE);
  const uint64_t undone = store->beginShared();
  CHECK(insert(undone, {{3, "cay", "rome"}}).outcome.ok());
  CHECK(insert(undone, {{4, "", "rome"}, {1, "", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(insert(undone, {{5, "dan", "rome"}}).outcome.code == ErrorCode::TRANSACTION_TOO_LARGE);
  CHECK(commit(large).ok());
  CHECK(commit(undone).ok());
  CHECK(scan(0, {.index = byNumber}).size() == 1 + (number - 10) + 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a write that changes nothing is no commit") {
  const uint64_t shared = store->beginShared();
  CHECK(insert(shared, {{1, "ann", "oslo"}}).outcome.ok());
  CHECK(insert(shared, {}).outcome.ok());
  CHECK(commit(shared).ok());
  CHECK(store->statistics().commits == 1);
}
