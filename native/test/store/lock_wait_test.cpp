#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
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

TEST_CASE_FIXTURE(TwoRows, "a deadlock of three is found immediately, and its victim rolled back") {
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
  CHECK(wait(insert(two, {{55, "", "x"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  store->rollback(one);
  const uint64_t committed = begin(Isolation::READ_COMMITTED);
  CHECK(read(committed, 60, Lock::EXCLUSIVE) == Texts{"-"});
  CHECK(wait(insert(two, {{60, "", "x"}}, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(TwoRows, "a missing key's gap ends at the rows beside it, and is no one's alone") {
  load({{10, "j", "x"}});
  const uint64_t one = begin();
  const uint64_t two = begin();
  for (const uint64_t each : {one, two}) {
    CHECK(rows(wait(get(each, 5, Lock::EXCLUSIVE, Wait::NO_WAIT))) == Texts{"-"});
  }
  const uint64_t three = begin();
  for (const uint32_t number : {4U, 5U, 9U}) {
    CHECK(wait(insert(three, {{number, "", "x"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  }
  CHECK(wait(insert(three, {{11, "", "x"}}, Wait::NO_WAIT)).ok());
  CHECK(wait(get(three, 3, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
  CHECK(wait(get(three, 10, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
  const Answer first = insert(one, {{5, "", "x"}});
  REQUIRE(waitParked(first));
  CHECK(wait(insert(two, {{5, "", "x"}})).code == ErrorCode::DEADLOCK);
  CHECK(wait(first).ok());
}

TEST_CASE_FIXTURE(TwoRows, "a read by unique keys that finds its row locks no gap, and the row alone") {
  const uint64_t one = begin();
  const auto named = [&](uint64_t transaction, const std::string& name) {
    return wait(store->get(transaction, table, byName, keyBatch(nullableKey(name)), Lock::EXCLUSIVE,
                           Wait::NO_WAIT, {}, false));
  };
  CHECK(rows(named(one, "b")) == Texts{"2/b/x"});
  const std::string key = nullableKey("a");
  CHECK(scan(one, {.index = byName, .lower = key, .upper = key, .lock = Lock::EXCLUSIVE}) == Texts{"1/a/x"});
  CHECK(store->statistics().locksHeld == 2);
  const uint64_t two = begin();
  CHECK(named(two, "b").code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(get(two, 1, Lock::SHARED, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(insert(two, {{5, "aa", "x"}, {6, "bb", "x"}}, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(TwoRows, "a locking read of a key that another inserts waits for it") {
  for (const Isolation isolation : {Isolation::REPEATABLE_READ, Isolation::READ_COMMITTED}) {
    CAPTURE(static_cast<int>(isolation));
    const uint64_t one = begin();
    CHECK(wait(insert(one, {{50, "new", "x"}})).ok());
    const uint64_t two = begin(isolation);
    const uint64_t three = begin(isolation);
    const Answer byPrimary = get(two, 50, Lock::SHARED);
    const Answer bySecondary =
        store->get(three, table, byName, keyBatch(nullableKey("new")), Lock::SHARED, Wait::WAIT, {}, false);
    REQUIRE(waitParked(byPrimary));
    REQUIRE(waitParked(bySecondary));
    CHECK(commit(one).ok());
    const auto end = [&](uint64_t transaction, const Answer& answer) {
      CHECK(rows(wait(answer)) == Texts{"50/new/x"});
      store->rollback(transaction);
    };
    end(two, byPrimary);
    end(three, bySecondary);
    const uint64_t four = begin();
    CHECK(wait(remove(four, {{50, "new", "x"}})).ok());
    CHECK(commit(four).ok());
    CHECK(store->statistics().locksHeld == 0);
  }
}

TEST_CASE_FIXTURE(TwoRows,
                  "an insert whose key is there shares its row with others, and waits for who removes it") {
  const uint64_t one = begin();
  const uint64_t two = begin();
  CHECK(wait(insert(one, {{1, "", "x"}})).code == ErrorCode::DUPLICATE_KEY);
  CHECK(wait(insert(two, {{1, "", "x"}}, Wait::NO_WAIT)).code == ErrorCode::DUPLICATE_KEY);
  CHECK(wait(get(two, 1, Lock::EXCLUSIVE, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  store->rollback(one);
  store->rollback(two);
  const uint64_t remover = begin();
  CHECK(wait(remove(remover, {{1, "a", "x"}})).ok());
  const uint64_t three = begin();
  const Answer inserting = insert(three, {{1, "again", "x"}});
  REQUIRE(waitParked(inserting));
  SUBCASE("removed, the key is free") {
    CHECK(commit(remover).ok());
    CHECK(wait(inserting).ok());
    CHECK(commit(three).ok());
    CHECK(read(0, 1) == Texts{"1/again/x"});
  }
  SUBCASE("kept, it is a duplicate") {
    store->rollback(remover);
    CHECK(wait(inserting).code == ErrorCode::DUPLICATE_KEY);
    // The transaction that waited first for the row shares it now.
    const uint64_t four = begin();
    CHECK(wait(get(four, 1, Lock::SHARED, Wait::NO_WAIT)).ok());
  }
}

TEST_CASE_FIXTURE(TwoRows,
                  "an insert that waited for another's insert of its key shares the row that is there then") {
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{50, "", "x"}})).ok());
  const uint64_t two = begin();
  const Answer inserting = insert(two, {{50, "", "x"}});
  REQUIRE(waitParked(inserting));
  CHECK(commit(one).ok());
  CHECK(wait(inserting).code == ErrorCode::DUPLICATE_KEY);
  const uint64_t three = begin();
  CHECK(wait(get(three, 50, Lock::SHARED, Wait::NO_WAIT)).ok());
  CHECK(wait(get(three, 50, Lock::EXCLUSIVE, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
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

TEST_CASE_FIXTURE(TwoRows, "a wait that was just cancelled is part of no deadlock") {
  for (int i = 0; i < 200; i++) {
    const uint64_t one = begin();
    CHECK(wait(get(one, 1, Lock::EXCLUSIVE)).ok());
    const uint64_t two = begin();
    CHECK(wait(get(two, 2, Lock::EXCLUSIVE)).ok());
    const Answer cancelled = get(two, 1, Lock::EXCLUSIVE);
    REQUIRE(waitParked(cancelled));
    store->cancel(cancelled.operation, ErrorCode::CANCELLED);
    const Answer waiting = get(one, 2, Lock::EXCLUSIVE);
    CHECK(wait(cancelled).code == ErrorCode::CANCELLED);
    store->rollback(two);
    REQUIRE(wait(waiting).ok());
    store->rollback(one);
  }
}

TEST_CASE_FIXTURE(TwoRows, "who waited for a row's lock reads what the commit before it wrote") {
  for (uint32_t round = 0; round < 300; round++) {
    const std::string before = round == 0 ? "x" : "city " + std::to_string(round - 1);
    const std::string after = "city " + std::to_string(round);
    const uint64_t one = begin();
    CHECK(wait(update(one, {{{1, "a", before}, {1, "a", after}}})).ok());
    const uint64_t two = begin(Isolation::READ_COMMITTED);
    const Answer reading = get(two, 1, Lock::EXCLUSIVE);
    REQUIRE(waitParked(reading));
    CHECK(commit(one, Durability::MEMORY).ok());
    CHECK(rows(wait(reading)) == std::vector<std::string>{"1/a/" + after});
    store->rollback(two);
  }
}

TEST_CASE_FIXTURE(TwoRows, "a store closes with requests parked and transactions open") {
  const uint64_t one = begin();
  CHECK(wait(remove(one, {{1, "a", "x"}})).ok());
  const uint64_t two = begin();
  REQUIRE(waitParked(get(two, 1, Lock::EXCLUSIVE)));
  reopen();
  CHECK(scan(0, {}).size() == 3);
}
