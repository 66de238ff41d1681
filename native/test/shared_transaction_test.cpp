#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "store_fixture.hpp"

using namespace vamos;
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
  CHECK(insert(shared, {{3, "cay", "rome"}, {4, "ann", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(insert(shared, {{5, "bob", "rome"}}).outcome.code == ErrorCode::DUPLICATE_KEY);
  CHECK(remove(shared, {{9, "eve", "rome"}}).outcome.code == ErrorCode::NOT_FOUND);
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
