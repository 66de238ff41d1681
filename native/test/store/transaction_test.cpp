#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;

namespace {

std::pair<uint32_t, uint32_t> duplicate(const Outcome& outcome) {
  REQUIRE(outcome.code == ErrorCode::DUPLICATE_KEY);
  Reader reader(outcome.detail);
  const uint32_t index = reader.u32();
  return {index, reader.u32()};
}

}  // namespace

TEST_CASE_FIXTURE(StoreFixture, "committed rows are seen, rolled back ones are not") {
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{1, "ann", "oslo"}, {2, "", "rome"}})).count == 2);
  CHECK(read(one, 1) == Texts{"1/ann/oslo"});
  CHECK(read(0, 1) == Texts{"-"});
  CHECK(commit(one, Durability::SYNCED).ok());
  CHECK(read(0, 2) == Texts{"2//rome"});

  const uint64_t two = begin();
  CHECK(wait(remove(two, {{1, "ann", "oslo"}})).ok());
  CHECK(read(two, 1) == Texts{"-"});
  store->rollback(two);
  CHECK(read(0, 1) == Texts{"1/ann/oslo"});
  CHECK(wait(get(two, 1)).code == ErrorCode::NO_TRANSACTION);
}

TEST_CASE_FIXTURE(StoreFixture, "a duplicate key names its index and row, and undoes the whole batch") {
  load({{1, "ann", "oslo"}});
  const uint64_t one = begin();
  CHECK(duplicate(wait(insert(one, {{5, "eve", "bonn"}, {1, "bob", "rome"}}))) == std::pair{0U, 1U});
  CHECK(duplicate(wait(insert(one, {{6, "x", "bonn"}, {7, "y", "bonn"}, {8, "ann", "bonn"}}))) ==
        std::pair{1U, 2U});
  CHECK(duplicate(wait(insert(one, {{6, "x", "bonn"}, {6, "y", "bonn"}}))) == std::pair{0U, 1U});
  CHECK(read(one, 5) == Texts{"-"});
  CHECK(wait(insert(one, {{6, "", "bonn"}, {7, "", "bonn"}})).ok());  // NULLs are no duplicates
  CHECK(commit(one).ok());
  CHECK(scan(0, {.index = byCity}) == Texts{"6//bonn", "7//bonn", "1/ann/oslo"});
}

TEST_CASE_FIXTURE(StoreFixture, "an update moves just the entries that differ") {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const uint64_t one = begin();
  CHECK(wait(update(one, {{{1, "ann", "oslo"}, {1, "ann", "bonn"}}})).ok());
  CHECK(wait(update(one, {{{2, "bob", "rome"}, {3, "bob", "rome"}}}))
            .ok());  // a new primary key, its own unique key
  CHECK(duplicate(wait(update(one, {{{1, "ann", "bonn"}, {1, "bob", "bonn"}}}))) == std::pair{1U, 0U});
  CHECK(duplicate(wait(update(one, {{{1, "ann", "bonn"}, {3, "ann", "bonn"}}}))) == std::pair{0U, 0U});
  CHECK(commit(one).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"1/ann/bonn", "3/bob/rome"});
  CHECK(scan(0, {.index = byName}) == Texts{"1/ann/bonn", "3/bob/rome"});
  CHECK(scan(0, {.index = byCity}) == Texts{"1/ann/bonn", "3/bob/rome"});
}

TEST_CASE_FIXTURE(StoreFixture, "what the connector did not read as it is now is not overwritten") {
  load({{1, "ann", "oslo"}});
  const uint64_t one = begin();
  CHECK(wait(remove(one, {{1, "ann", "rome"}})).code == ErrorCode::ROW_CHANGED);
  CHECK(wait(remove(one, {{2, "ann", "oslo"}})).code == ErrorCode::NOT_FOUND);
  CHECK(wait(remove(one, {{1, "ann", "oslo"}})).ok());
}

TEST_CASE_FIXTURE(StoreFixture, "REPEATABLE READ keeps its first view, READ COMMITTED takes a new one") {
  load({{1, "ann", "oslo"}});
  const uint64_t repeatable = begin();
  const uint64_t committed = begin(Isolation::READ_COMMITTED);
  const uint64_t early = store->begin(Isolation::REPEATABLE_READ, false, true);
  CHECK(read(repeatable, 1) == Texts{"1/ann/oslo"});
  CHECK(read(committed, 1) == Texts{"1/ann/oslo"});
  const uint64_t writer = begin();
  CHECK(wait(update(writer, {{{1, "ann", "oslo"}, {1, "ann", "rome"}}})).ok());
  CHECK(commit(writer).ok());
  CHECK(read(repeatable, 1) == Texts{"1/ann/oslo"});
  CHECK(read(committed, 1) == Texts{"1/ann/oslo"});  // still the same statement
  store->beginStatement(committed);
  CHECK(read(committed, 1) == Texts{"1/ann/rome"});
  CHECK(read(early, 1) == Texts{"1/ann/oslo"});
  CHECK(read(repeatable, 1, Lock::SHARED) == Texts{"1/ann/rome"});  // a locking read sees the latest
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a row that the transaction changed itself shows under its present keys only") {
  load(
      {{1, "ada", "oslo"}, {2, "bea", "oslo"}, {3, "cleo", "oslo"}, {4, "dora", "oslo"}, {5, "eve", "oslo"}});
  for (const Isolation isolation : {Isolation::REPEATABLE_READ, Isolation::READ_COMMITTED}) {
    CAPTURE(static_cast<int>(isolation));
    const uint64_t reader = begin(isolation);
    CHECK(read(reader, 1) == Texts{"1/ada/oslo"});
    CHECK(wait(update(reader, {{{5, "eve", "oslo"}, {5, "eve", "turin"}}})).ok());
    const uint64_t cursor = openCursor(reader, {.index = byCity});
    CHECK(rows(wait(store->fetch(cursor, 1))) == Texts{"1/ada/oslo"});  // now it has its snapshot
    store->setSavepoint(reader);

    const uint64_t writer = begin();
    CHECK(wait(update(writer, {{{1, "ada", "oslo"}, {1, "ann", "rome"}},
                               {{2, "bea", "oslo"}, {2, "bob", "rome"}},
                               {{3, "cleo", "oslo"}, {3, "cyd", "rome"}}}))
              .ok());
    CHECK(wait(update(writer, {{{4, "dora", "oslo"}, {4, "dora", "bern"}}})).ok());
    CHECK(commit(writer).ok());
    CHECK(wait(update(reader, {{{1, "ann", "rome"}, {1, "amy", "wien"}},  // both keys once more
                               {{2, "bob", "rome"}, {2, "bob", "rome"}},  // none
                               {{4, "dora", "bern"}, {4, "dee", "bern"}}}))
              .ok());
    CHECK(wait(remove(reader, {{3, "cyd", "rome"}})).ok());

    const Texts rest{"4/dee/bern", "2/bob/rome", "5/eve/turin", "1/amy/wien"};
    CHECK(scan(reader, {.index = byCity}) == rest);
    CHECK(scan(reader, {.index = byCity, .reverse = true}) == Texts(rest.rbegin(), rest.rend()));
    CHECK(scan(reader, {.index = byName}) == Texts{"1/amy/wien", "2/bob/rome", "4/dee/bern", "5/eve/turin"});
    const auto count = [&](CursorOptions options) {
      options.aggregates = {{}};
      return wait(store->fetch(openCursor(reader, options), 1)).count;
    };
    CHECK(count({.index = byCity}) == 4);
    CHECK(count({.index = byName}) == 4);
    // The cursor's own snapshot is older than the changes of both.
    Texts last;
    for (bool atEnd = false; !atEnd;) {
      const Outcome outcome = wait(store->fetch(cursor, 1000));
      for (std::string& row : rows(outcome)) last.push_back(std::move(row));
      atEnd = outcome.atEnd;
    }
    CHECK(last == Texts{"2/bob/rome", "5/eve/turin", "1/amy/wien"});
    const auto named = [&](const std::string& name) {
      return rows(wait(
          store->get(reader, table, byName, keyBatch(nullableKey(name)), Lock::NONE, Wait::WAIT, {}, false)));
    };
    for (const char* name : {"ada", "ann", "bea", "cleo", "cyd", "dora"}) CHECK(named(name) == Texts{"-"});
    CHECK(named("amy") == Texts{"1/amy/wien"});
    CHECK(named("bob") == Texts{"2/bob/rome"});
    CHECK(named("dee") == Texts{"4/dee/bern"});
    CHECK(named("eve") == Texts{"5/eve/turin"});

    store->rollbackToSavepoint(reader);
    if (isolation == Isolation::REPEATABLE_READ) {
      CHECK(scan(reader, {.index = byCity}) ==
            Texts{"1/ada/oslo", "2/bea/oslo", "3/cleo/oslo", "4/dora/oslo", "5/eve/turin"});
    }
    store->rollback(reader);
    const uint64_t back = begin();
    CHECK(wait(update(back, {{{1, "ann", "rome"}, {1, "ada", "oslo"}},
                             {{2, "bob", "rome"}, {2, "bea", "oslo"}},
                             {{3, "cyd", "rome"}, {3, "cleo", "oslo"}},
                             {{4, "dora", "bern"}, {4, "dora", "oslo"}}}))
              .ok());
    CHECK(commit(back).ok());
  }
}

TEST_CASE_FIXTURE(StoreFixture, "savepoints are a stack; going back undoes rows and keeps their locks") {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{3, "", "x"}})).ok());
  store->setSavepoint(one);
  CHECK(wait(insert(one, {{4, "", "x"}})).ok());
  store->setSavepoint(one);
  CHECK(wait(remove(one, {{2, "bob", "rome"}})).ok());
  const uint64_t two = begin();
  CHECK(wait(get(two, 2, Lock::SHARED, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  store->rollbackToSavepoint(one);
  CHECK(wait(get(two, 2, Lock::SHARED, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(scan(one, {}) == Texts{"1/ann/oslo", "2/bob/rome", "3//x", "4//x"});
  store->rollbackToSavepoint(one);  // it is kept
  store->releaseSavepoint(one);
  store->rollbackToSavepoint(one);
  CHECK(wait(insert(two, {{4, "", "x"}}, Wait::NO_WAIT)).ok());  // but for that of a row that came and went
  store->rollback(two);
  CHECK(scan(one, {}) == Texts{"1/ann/oslo", "2/bob/rome", "3//x"});
  store->releaseSavepoint(one);
  CHECK_THROWS_AS(store->rollbackToSavepoint(one), StoreError);
  CHECK(commit(one).ok());
  CHECK(scan(0, {}) == Texts{"1/ann/oslo", "2/bob/rome", "3//x"});
}

TEST_CASE_FIXTURE(StoreFixture, "a failing batch leaves what came before it") {
  load({{1, "ann", "oslo"}});
  const uint64_t one = begin();
  store->setSavepoint(one);
  CHECK(wait(insert(one, {{2, "", "x"}})).ok());
  CHECK_FALSE(wait(insert(one, {{3, "", "x"}, {1, "", "x"}})).ok());
  CHECK(scan(one, {}) == Texts{"1/ann/oslo", "2//x"});
  store->rollbackToSavepoint(one);
  CHECK(scan(one, {}) == Texts{"1/ann/oslo"});
}

TEST_CASE_FIXTURE(StoreFixture, "a transaction over its limit says so and can still be used") {
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{1, "", "x"}})).ok());
  CHECK(wait(insert(one, {{2, "", std::string(5 << 20, 'x')}})).code == ErrorCode::BAD_REQUEST);  // as a key
  std::vector<Row> rows;
  for (uint32_t i = 10; i < 1000; i++) rows.push_back({i, "", std::string(8000, 'y')});
  CHECK(wait(insert(one, rows)).code == ErrorCode::TRANSACTION_TOO_LARGE);
  CHECK(commit(one).ok());
  CHECK(scan(0, {}) == Texts{"1//x"});
}

TEST_CASE_FIXTURE(StoreFixture, "bytes that are no batch, and numbers that are nothing, are refused") {
  const uint64_t one = begin();
  CHECK(wait(store->write(one, table, WriteKind::INSERT, "garbage", Wait::WAIT)).code ==
        ErrorCode::BAD_REQUEST);
  CHECK(wait(store->write(one, table, WriteKind::INSERT, std::string(300000, '\xFF'), Wait::WAIT)).code ==
        ErrorCode::BAD_REQUEST);
  CHECK(wait(store->get(one, table, byNumber, "x", Lock::NONE, Wait::WAIT, {}, false)).code ==
        ErrorCode::BAD_REQUEST);
  CHECK(wait(store->get(one, table, byCity, "", Lock::NONE, Wait::WAIT, {}, false)).code ==
        ErrorCode::INDEX_MISSING);
  CHECK(wait(store->get(one, table, byNumber, "", Lock::NONE, Wait::WAIT, {3}, false)).code ==
        ErrorCode::BAD_REQUEST);
  CHECK(wait(store->get(one, table, byNumber, "", Lock::NONE, Wait::WAIT, {1, 1}, false)).code ==
        ErrorCode::BAD_REQUEST);
  CHECK(wait(store->get(one, 99, byNumber, "", Lock::NONE, Wait::WAIT, {}, false)).code ==
        ErrorCode::TABLE_MISSING);
  CHECK(wait(store->fetch(12345, 1000)).code == ErrorCode::CURSOR_MISSING);
  CHECK(commit(98765).code == ErrorCode::NO_TRANSACTION);
  CHECK_THROWS_AS(store->setSavepoint(98765), StoreError);
  const uint64_t readOnly = store->begin(Isolation::REPEATABLE_READ, true, false);
  CHECK(wait(insert(readOnly, {{1, "", "x"}})).code == ErrorCode::READ_ONLY);
  CHECK(commit(readOnly).ok());
}

TEST_CASE_FIXTURE(StoreFixture, "simultaneous commits are one group, each with its own answer") {
  std::vector<uint64_t> transactions;
  for (uint32_t i = 0; i < 50; i++) {
    transactions.push_back(begin());
    CHECK(wait(insert(transactions.back(), {{i, "", "x"}})).ok());
  }
  transactions.push_back(123456);
  const std::vector<uint64_t> operations = store->end(Ending::COMMIT, transactions, Durability::SYNCED);
  for (size_t i = 0; i < 50; i++) CHECK(wait(operations[i]).ok());
  CHECK(wait(operations[50]).code == ErrorCode::NO_TRANSACTION);
  CHECK(store->statistics().commits == 50);
  CHECK(store->statistics().syncs == 1);
  CHECK(store->statistics().locksHeld == 0);
  CHECK(store->statistics().transactionsOpen == 0);
  CHECK(scan(0, {}).size() == 50);
}

TEST_CASE_FIXTURE(StoreFixture, "what is committed together is told together") {
  std::vector<uint64_t> transactions;
  for (uint32_t i = 0; i < 16; i++) {
    transactions.push_back(begin());
    CHECK(wait(insert(transactions.back(), {{i, "", "x"}})).ok());
  }
  store->end(Ending::COMMIT, transactions, Durability::SYNCED);
  std::vector<Event> events;
  while (events.empty()) events = store->takeEvents();
  CHECK(events.size() == 16);
}

TEST_CASE_FIXTURE(StoreFixture, "a snapshot that is older than a table's contents does not read the table") {
  const auto redefine = [&](bool isNew) {
    store->defineTable({.table = table, .indexes = indexes(), .columns = columns(), .isNew = isNew});
  };
  load({{1, "ann", "oslo"}});
  const uint64_t old = begin();
  CHECK(read(old, 1) == Texts{"1/ann/oslo"});
  const uint64_t unread = begin();
  load({{2, "bob", "rome"}});
  redefine(false);
  CHECK(read(old, 2) == Texts{"-"});
  redefine(true);
  CHECK(wait(get(old, 2)).code == ErrorCode::SNAPSHOT_TOO_OLD);
  CHECK(wait(get(old, 2, Lock::EXCLUSIVE)).code == ErrorCode::SNAPSHOT_TOO_OLD);
  CHECK(wait(remove(old, {{2, "bob", "rome"}})).code == ErrorCode::SNAPSHOT_TOO_OLD);
  CHECK(wait(store->change(old, {.table = table, .deletes = true, .ranges = {{}}})).code ==
        ErrorCode::SNAPSHOT_TOO_OLD);
  CHECK_THROWS_AS(openCursor(old, {}), StoreError);
  CHECK(wait(insert(old, {{3, "eve", "bonn"}})).ok());
  CHECK(read(unread, 2) == Texts{"2/bob/rome"});
  CHECK(read(begin(Isolation::READ_COMMITTED), 2) == Texts{"2/bob/rome"});
  // It stays so where the table is defined anew for the same rows.
  redefine(false);
  CHECK(wait(get(old, 2)).code == ErrorCode::SNAPSHOT_TOO_OLD);
  CHECK(read(unread, 2) == Texts{"2/bob/rome"});
}
