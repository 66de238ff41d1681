#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <thread>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;

namespace {

struct Rows : StoreFixture {
  Rows() { load({{1, "a", "x"}, {2, "b", "x"}, {3, "c", "x"}}); }

  // Adds 10, changes 1, removes 2, and takes 3's lock without writing.
  uint64_t prepareOne() {
    const uint64_t one = begin();
    CHECK(wait(insert(one, {{10, "j", "x"}})).ok());
    CHECK(wait(update(one, {{{1, "a", "x"}, {1, "z", "x"}}})).ok());
    CHECK(wait(remove(one, {{2, "b", "x"}})).ok());
    CHECK(wait(get(one, 3, Lock::EXCLUSIVE)).ok());
    CHECK(prepare(one, "xid").ok());
    return one;
  }
  uint64_t only() {
    const std::vector<PreparedTransaction> prepared = store->prepared();
    REQUIRE(prepared.size() == 1);
    CHECK(prepared[0].xid == "xid");
    // The keys are of the table's three indexes.
    CHECK(prepared[0].addedKeys == std::map<uint32_t, int64_t>{{10, 0}, {11, 0}, {12, 0}});
    return prepared[0].transaction;
  }
  ErrorCode tryLock(uint32_t number) {
    const uint64_t other = begin();
    const ErrorCode code = wait(get(other, number, Lock::SHARED, Wait::NO_WAIT)).code;
    store->rollback(other);
    return code;
  }
};

const Texts before{"1/a/x", "2/b/x", "3/c/x"};
const Texts after{"1/z/x", "3/c/x", "10/j/x"};

}  // namespace

TEST_CASE_FIXTURE(Rows, "a prepared transaction is seen by nobody, keeps its locks, and ends as it is told") {
  const uint64_t one = prepareOne();
  CHECK(scan(0, {}) == before);
  for (const uint32_t number : {1U, 2U, 3U, 10U}) CHECK(tryLock(number) == ErrorCode::LOCK_NOT_AVAILABLE);
  SUBCASE("commit") {
    CHECK(end(Ending::COMMIT, one).ok());
    CHECK(scan(0, {}) == after);
  }
  SUBCASE("rollback") {
    CHECK(end(Ending::ROLLBACK, one).ok());
    CHECK(scan(0, {}) == before);
  }
  CHECK(store->prepared().empty());
  CHECK(store->statistics().locksHeld == 0);
  CHECK(end(Ending::COMMIT, one).code == ErrorCode::NO_TRANSACTION);
}

TEST_CASE_FIXTURE(Rows, "a prepared transaction outlives the store with the locks of what it wrote") {
  prepareOne();
  for (int i = 0; i < 2; i++) reopen();
  const uint64_t one = only();
  CHECK(scan(0, {}) == before);
  for (const uint32_t number : {1U, 2U, 10U}) CHECK(tryLock(number) == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(tryLock(3) == ErrorCode::OK);
  const uint64_t other = begin();
  for (const Row& row : {Row{20, "j", "x"}, Row{20, "a", "x"}, Row{20, "b", "x"}, Row{20, "z", "x"}}) {
    CHECK(wait(insert(other, {row}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  }
  store->rollback(other);
  SUBCASE("commit") {
    CHECK(end(Ending::COMMIT, one, Durability::SYNCED).ok());
    reopen();
    CHECK(scan(0, {}) == after);
    CHECK(scan(0, {.index = byName}) == Texts{"3/c/x", "10/j/x", "1/z/x"});
  }
  SUBCASE("rollback") {
    CHECK(end(Ending::ROLLBACK, one, Durability::SYNCED).ok());
    reopen();
    CHECK(scan(0, {}) == before);
  }
  CHECK(store->prepared().empty());
  CHECK(store->statistics().locksHeld == 0);
}

TEST_CASE_FIXTURE(Rows, "one that wrote nothing can be prepared, too") {
  const uint64_t one = begin();
  CHECK(wait(get(one, 1, Lock::EXCLUSIVE)).ok());
  CHECK(prepare(one, "locks").ok());
  CHECK(tryLock(1) == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(end(Ending::COMMIT, one).ok());
  CHECK(tryLock(1) == ErrorCode::OK);
  const uint64_t two = begin();
  CHECK(prepare(two, "nothing").ok());
  reopen();
  for (const PreparedTransaction& prepared : store->prepared()) {
    CHECK(end(Ending::ROLLBACK, prepared.transaction).ok());
  }
  CHECK(scan(0, {}) == before);
}

TEST_CASE_FIXTURE(Rows, "a transaction that rolled back to a savepoint is prepared without what was undone") {
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{10, "j", "x"}})).ok());
  store->setSavepoint(one);
  CHECK(wait(insert(one, {{11, "k", "x"}})).ok());
  store->rollbackToSavepoint(one);
  CHECK(prepare(one, "xid").ok());
  reopen();
  CHECK(end(Ending::COMMIT, store->prepared().at(0).transaction).ok());
  CHECK(scan(0, {}) == Texts{"1/a/x", "2/b/x", "3/c/x", "10/j/x"});
}

TEST_CASE_FIXTURE(Rows, "what can't be prepared or ended is refused") {
  const uint64_t one = begin();
  CHECK_THROWS_AS(store->setXid(one, ""), StoreError);
  CHECK_THROWS_AS(store->setXid(one, std::string(161, 'x')), StoreError);
  CHECK(end(Ending::ROLLBACK, one).code == ErrorCode::BAD_REQUEST);
  CHECK(prepare(one, "xid").ok());
  CHECK(end(Ending::PREPARE, one).code == ErrorCode::BAD_REQUEST);
  CHECK(end(Ending::PREPARE, 12345).code == ErrorCode::NO_TRANSACTION);
  CHECK(end(Ending::COMMIT, one).ok());
}

TEST_CASE_FIXTURE(Rows, "commits leave their numbers with their data, until they are forgotten") {
  const std::string first(20, 's');
  const std::string second = std::string(19, 's') + 't';
  for (const auto& [stream, number] : {std::pair{first, 1U}, {second, 2U}, {first, 3U}}) {
    const uint64_t one = begin();
    CHECK(wait(insert(one, {{100 + number, "", "x"}})).ok());
    store->numberCommit(one, stream, {number, "token " + std::to_string(number)});
    CHECK(commit(one).ok());
  }
  const uint64_t left = begin();
  CHECK(wait(insert(left, {{200, "", "x"}})).ok());
  store->numberCommit(left, second, {9, ""});
  store->rollback(left);
  const uint64_t empty = begin();
  store->numberCommit(empty, second, {10, ""});
  CHECK(commit(empty).ok());
  reopen();
  CHECK(store->lastCommit(first).number == 3);
  CHECK(store->lastCommit(first).token == "token 3");
  CHECK(store->lastCommit(second).number == 2);
  store->forgetCommits(first);
  while (store->lastCommit(first).number != 0) std::this_thread::yield();
  CHECK(store->lastCommit(second).number == 2);
  store->forgetCommits(std::string(16, 's'));
  while (store->lastCommit(second).number != 0) std::this_thread::yield();
}
