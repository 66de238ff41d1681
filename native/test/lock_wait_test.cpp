#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "store_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

using Texts = std::vector<std::string>;

namespace {

struct TwoRows : StoreFixture {
  TwoRows() { load({{1, "a", "x"}, {2, "b", "x"}, {3, "c", "x"}}); }
};

}  // namespace

TEST_CASE_FIXTURE(TwoRows, "a write that meets a lock parks at its row and goes on from there") {
  const uint64_t one = begin();
  CHECK(wait(get(one, 2, Lock::EXCLUSIVE)).ok());
  const uint64_t two = begin();
  const Answer removing = remove(two, {{1, "a", "x"}, {2, "b", "x"}, {3, "c", "x"}});
  REQUIRE(waitParked(removing));
  CHECK(store->statistics().operationsParked == 1);
  CHECK(wait(get(one, 1, Lock::SHARED, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(get(one, 3, Lock::SHARED, Wait::NO_WAIT)).ok());  // not there yet
  CHECK(commit(one).ok());
  CHECK(wait(removing).count == 3);
  CHECK(commit(two).ok());
  CHECK(scan(0, {}).empty());
}

TEST_CASE_FIXTURE(TwoRows, "a wait ended with a code undoes its request and keeps the transaction") {
  const uint64_t one = begin();
  CHECK(wait(get(one, 2, Lock::EXCLUSIVE)).ok());
  const uint64_t two = begin();
  const Answer removing = remove(two, {{1, "a", "x"}, {2, "b", "x"}});
  REQUIRE(waitParked(removing));
  store->cancel(removing.operation, ErrorCode::LOCK_TIMEOUT);
  CHECK(wait(removing).code == ErrorCode::LOCK_TIMEOUT);
  CHECK(read(two, 1) == Texts{"1/a/x"});
  store->cancel(removing.operation, ErrorCode::CANCELLED);  // too late is no error
  store->rollback(one);
  CHECK(wait(remove(two, {{2, "b", "x"}})).ok());
  CHECK(commit(two).ok());
  CHECK(scan(0, {}) == Texts{"1/a/x", "3/c/x"});
}

TEST_CASE_FIXTURE(TwoRows, "a deadlock of three is found at once, and its victim rolled back") {
  const uint64_t one = begin();
  const uint64_t two = begin();
  const uint64_t three = begin();
  CHECK(wait(remove(one, {{1, "a", "x"}})).ok());
  CHECK(wait(remove(two, {{2, "b", "x"}})).ok());
  CHECK(wait(remove(three, {{3, "c", "x"}})).ok());
  const Answer first = get(one, 2, Lock::EXCLUSIVE);
  REQUIRE(waitParked(first));
  const Answer second = get(two, 3, Lock::EXCLUSIVE);
  REQUIRE(waitParked(second));
  CHECK(wait(get(three, 1, Lock::SHARED)).code == ErrorCode::DEADLOCK);
  CHECK(wait(get(three, 1)).code == ErrorCode::NO_TRANSACTION);
  CHECK(rows(wait(second)) == Texts{"3/c/x"});
  CHECK(commit(two).ok());
  CHECK(rows(wait(first)) == Texts{"-"});
  CHECK(store->statistics().deadlocks == 1);
}

TEST_CASE_FIXTURE(TwoRows, "two transactions that insert one unique key: the second waits for the first") {
  const uint64_t one = begin();
  const uint64_t two = begin();
  CHECK(wait(insert(one, {{10, "same", "x"}})).ok());
  const Answer inserting = insert(two, {{11, "same", "x"}});
  REQUIRE(waitParked(inserting));
  SUBCASE("a commit makes it a duplicate") {
    CHECK(commit(one).ok());
    CHECK(wait(inserting).code == ErrorCode::DUPLICATE_KEY);
  }
  SUBCASE("a rollback lets it in") {
    store->rollback(one);
    CHECK(wait(inserting).ok());
  }
}

TEST_CASE_FIXTURE(TwoRows, "a unique key that is being removed is not free before the commit") {
  const uint64_t one = begin();
  CHECK(wait(update(one, {{{1, "a", "x"}, {1, "z", "x"}}})).ok());
  const uint64_t two = begin();
  const Answer inserting = insert(two, {{11, "a", "x"}});
  REQUIRE(waitParked(inserting));
  CHECK(commit(one).ok());
  CHECK(wait(inserting).ok());
}

TEST_CASE_FIXTURE(TwoRows, "a key locked where nothing is can't be inserted by others") {
  const uint64_t one = begin();
  CHECK(read(one, 50, Lock::EXCLUSIVE) == Texts{"-"});
  const uint64_t two = begin();
  CHECK(wait(insert(two, {{50, "", "x"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(insert(one, {{50, "", "x"}}, Wait::NO_WAIT)).ok());
  const uint64_t committed = begin(Isolation::READ_COMMITTED);
  CHECK(read(committed, 60, Lock::EXCLUSIVE) == Texts{"-"});
  CHECK(wait(insert(two, {{60, "", "x"}}, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(TwoRows, "sixty-four parked requests hold no thread, and a commit gets past them") {
  const uint64_t holder = begin();
  CHECK(wait(remove(holder, {{1, "a", "x"}})).ok());
  std::vector<uint64_t> transactions;
  std::vector<Answer> waiting;
  for (int i = 0; i < 64; i++) {
    transactions.push_back(begin());
    waiting.push_back(get(transactions.back(), 1, Lock::EXCLUSIVE));
    REQUIRE(waitParked(waiting.back()));
  }
  CHECK(store->statistics().operationsParked == 64);
  CHECK(scan(0, {}, 1 << 20).size() == 3);  // on a thread: there are two
  const uint64_t other = begin();
  CHECK(wait(remove(other, {{3, "c", "x"}})).ok());
  CHECK(commit(other, Durability::SYNCED).ok());
  CHECK(commit(holder).ok());
  for (size_t i = 0; i < waiting.size(); i++) {  // in the order in which they asked
    CHECK(wait(waiting[i]).ok());
    CHECK(commit(transactions[i]).ok());
  }
  CHECK(store->statistics().operationsParked == 0);
  CHECK(store->statistics().locksHeld == 0);
}

TEST_CASE_FIXTURE(TwoRows, "rolling back a transaction whose request is parked ends both") {
  const uint64_t one = begin();
  CHECK(wait(get(one, 1, Lock::EXCLUSIVE)).ok());
  const uint64_t two = begin();
  CHECK(wait(get(two, 2, Lock::EXCLUSIVE)).ok());
  const Answer waiting = get(two, 1, Lock::EXCLUSIVE);
  REQUIRE(waitParked(waiting));
  CHECK(wait(get(two, 2)).code == ErrorCode::BAD_REQUEST);  // one operation at a time
  store->rollback(two);
  CHECK(wait(waiting).code == ErrorCode::CANCELLED);
  CHECK(wait(get(two, 2)).code == ErrorCode::NO_TRANSACTION);
  CHECK(wait(get(one, 2, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(TwoRows, "a store closes with requests parked and transactions open") {
  const uint64_t one = begin();
  CHECK(wait(remove(one, {{1, "a", "x"}})).ok());
  const uint64_t two = begin();
  REQUIRE(waitParked(get(two, 1, Lock::EXCLUSIVE)));
  reopen();
  CHECK(scan(0, {}).size() == 3);
}
