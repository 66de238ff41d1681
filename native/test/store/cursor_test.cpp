#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "protocol/tables_messages.hpp"
#include "test/store/cities.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;

TEST_CASE_FIXTURE(Cities, "a cursor gives the index's order, both ways, whatever the window") {
  for (const uint64_t window : {1, 30, 60, 1000, 1 << 20}) {
    CAPTURE(window);
    CHECK(numbers(0, {.index = byNumber}, window) == "123456");
    CHECK(numbers(0, {.index = byNumber, .reverse = true}, window) == "654321");
    CHECK(numbers(0, {.index = byCity}, window) == "123456");
    CHECK(numbers(0, {.index = byCity, .reverse = true}, window) == "654321");
    CHECK(numbers(0, {.index = byName}, window) == "561234");  // NULLs first
    CHECK(numbers(0, {.index = byName, .reverse = true}, window) == "432165");
  }
}

TEST_CASE_FIXTURE(StoreFixture, "a cursor goes back over its transaction's own rows, window by window") {
  const uint64_t transaction = begin();
  REQUIRE(wait(insert(transaction, {{1, "a", "bonn"}, {2, "b", "bonn"}, {3, "c", "oslo"}})).ok());
  for (const uint32_t index : {byNumber, byName, byCity}) {
    CAPTURE(index);
    const Texts forwards = scan(transaction, {.index = index}, 1);
    CHECK(forwards.size() == 3);
    CHECK(scan(transaction, {.index = index, .reverse = true}, 1) ==
          Texts(forwards.rbegin(), forwards.rend()));
  }
}

TEST_CASE_FIXTURE(Cities, "bounds are prefixes of keys, inclusive or exclusive") {
  const std::string two = numberKey(2);
  const std::string four = numberKey(4);
  CHECK(numbers(0, {.lower = two, .upper = four}) == "234");
  CHECK(numbers(0, {.lower = two, .upper = four, .lowerExclusive = true}) == "34");
  CHECK(numbers(0, {.lower = two, .upper = four, .upperExclusive = true, .reverse = true}) == "32");
  CHECK(numbers(0, {.lower = four, .upper = two}).empty());
  CHECK(numbers(0, {.index = byCity, .lower = textKey("bonn"), .upper = textKey("bonn")}) == "12");
  CHECK(numbers(0, {.index = byCity, .lower = "bonn", .upper = "bonn"}) == "123");
  CHECK(numbers(0, {.index = byCity, .lower = "bonn", .lowerExclusive = true}) == "456");
  CHECK(numbers(0, {.index = byCity, .upper = "o", .upperExclusive = true, .reverse = true}) == "321");
  CHECK(numbers(0, {.index = byCity, .lower = "", .lowerExclusive = true}).empty());
  CHECK(numbers(0, {.lower = std::string(8, '\xFF')}).empty());
}

TEST_CASE_FIXTURE(Cities, "limit, count and projection") {
  CHECK(numbers(0, {.limitRows = 2}, 1) == "12");
  CHECK(numbers(0, {.index = byCity, .reverse = true, .limitRows = 4}, 1 << 20) == "6543");
  const uint64_t counter = openCursor(0, {.index = byCity, .lower = textKey("bonn"), .aggregates = {{}}});
  const Outcome counted = wait(store->fetch(counter, 1));
  CHECK(counted.count == 6);
  CHECK(counted.atEnd);

  const uint64_t cursor =
      openCursor(0, {.index = byCity, .limitRows = 1, .columns = {2, 0}, .withKeys = true});
  const std::string window = wait(store->fetch(cursor, 100)).result;
  Reader reader(window);
  std::string expected(1, '\0');
  appendU32(expected, 1);
  appendU32(expected, 4);
  CHECK(reader.lengthPrefixed(100) == expected + "bonn");
  CHECK(reader.lengthPrefixed(100) == numberKey(1));
  CHECK(reader.atEnd());
}

TEST_CASE_FIXTURE(Cities,
                  "a cursor keeps its view, and sees what its own transaction writes between windows") {
  const uint64_t one = begin();
  const uint64_t cursor = openCursor(one, {});
  CHECK(rows(wait(store->fetch(cursor, 1))) == Texts{"1/a/bonn"});
  load({{7, "", "x"}});
  CHECK(wait(remove(one, {{2, "b", "bonn"}, {6, "", "rome"}})).ok());
  CHECK(wait(update(one, {{{3, "c", "bonnet"}, {3, "c", "new"}}})).ok());
  CHECK(wait(insert(one, {{9, "", "own"}})).ok());
  CHECK(rows(wait(store->fetch(cursor, 1 << 20))) == Texts{"3/c/new", "4/d/oslo", "5//rome", "9//own"});
  CHECK(numbers(one, {.index = byCity, .reverse = true}) == "59431");
  CHECK(numbers(one, {.index = byCity}, 1 << 20) == "13495");
  CHECK(numbers(0, {}) == "1234567");
  CHECK(commit(one).ok());
  CHECK(wait(store->fetch(cursor, 1)).code == ErrorCode::CURSOR_MISSING);
}

TEST_CASE_FIXTURE(Cities, "a cursor outside any transaction keeps the view of its opening") {
  const uint64_t cursor = openCursor(0, {});
  const uint64_t writer = begin();
  CHECK(wait(remove(writer, {{4, "d", "oslo"}})).ok());
  CHECK(commit(writer).ok());
  const Outcome outcome = wait(store->fetch(cursor, 1 << 20));
  CHECK(outcome.count == 6);
  store->closeCursor(cursor);
}

TEST_CASE_FIXTURE(Cities, "a locking scan locks what it returned, nothing ahead") {
  const uint64_t one = begin();
  CHECK(numbers(one, {.limitRows = 2, .lock = Lock::EXCLUSIVE}) == "12");
  const uint64_t two = begin();
  CHECK(wait(get(two, 2, Lock::SHARED, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(get(two, 3, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
  CHECK(numbers(two, {.lock = Lock::EXCLUSIVE, .wait = Wait::SKIP_LOCKED}) == "3456");
  CHECK(numbers(two, {.index = byCity, .reverse = true, .lock = Lock::SHARED, .wait = Wait::SKIP_LOCKED}) ==
        "6543");
  const uint64_t cursor = openCursor(two, {.lock = Lock::EXCLUSIVE, .wait = Wait::NO_WAIT});
  CHECK(wait(store->fetch(cursor, 1000)).code == ErrorCode::LOCK_NOT_AVAILABLE);
}

TEST_CASE_FIXTURE(Cities, "nothing can be inserted where a locking scan has been") {
  const uint64_t scanner = begin();
  CHECK(
      numbers(scanner,
              {.index = byCity, .lower = "o", .upper = "s", .upperExclusive = true, .lock = Lock::SHARED}) ==
      "456");
  const uint64_t writer = begin();
  CHECK(wait(insert(writer, {{20, "", "paris"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(insert(writer, {{20, "", "riga"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(insert(writer, {{21, "", "split"}}, Wait::NO_WAIT)).ok());
  const Answer waiting = insert(writer, {{22, "", "paris"}});
  CHECK(waitParked(waiting));
  store->rollback(scanner);
  CHECK(wait(waiting).ok());

  const uint64_t committed = begin(Isolation::READ_COMMITTED);
  // Further up are the writer's rows, for which such a scan waits.
  CHECK(
      numbers(committed,
              {.index = byCity, .lower = "r", .upper = "s", .upperExclusive = true, .lock = Lock::SHARED}) ==
      "56");
  CHECK(wait(insert(writer, {{23, "", "rostock"}}, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(Cities, "a locking scan waits for a row, then goes on with what was committed there") {
  const uint64_t writer = begin();
  CHECK(wait(update(writer, {{{3, "c", "bonnet"}, {3, "c", "zurich"}}})).ok());
  CHECK(wait(insert(writer, {{30, "", "bern"}})).ok());
  const uint64_t scanner = begin();
  const uint64_t cursor = openCursor(scanner, {.index = byCity, .upper = "c", .lock = Lock::EXCLUSIVE});
  const Answer fetched = store->fetch(cursor, 1 << 20);
  CHECK(waitParked(fetched));
  CHECK(commit(writer).ok());
  CHECK(rows(wait(fetched)) == Texts{"30//bern", "1/a/bonn", "2/b/bonn"});
}

TEST_CASE_FIXTURE(Cities, "a fetch that fails loses no row: the next one begins where it did") {
  const uint64_t holder = begin();
  CHECK(wait(get(holder, 3, Lock::EXCLUSIVE)).ok());
  const uint64_t scanner = begin();
  const uint64_t cursor = openCursor(scanner, {.limitRows = 4, .lock = Lock::SHARED});
  const Answer fetched = store->fetch(cursor, 1 << 20);
  REQUIRE(waitParked(fetched));
  store->cancel(fetched.operation, ErrorCode::LOCK_TIMEOUT);
  CHECK(wait(fetched).code == ErrorCode::LOCK_TIMEOUT);
  store->rollback(holder);
  CHECK(rows(wait(store->fetch(cursor, 1 << 20))) == Texts{"1/a/bonn", "2/b/bonn", "3/c/bonnet", "4/d/oslo"});
}

TEST_CASE_FIXTURE(Cities, "in a SERIALIZABLE transaction plain reads lock") {
  const uint64_t one = begin(Isolation::SERIALIZABLE);
  CHECK(read(one, 1) == Texts{"1/a/bonn"});
  CHECK(numbers(one, {.lower = numberKey(5)}) == "56");
  const uint64_t two = begin();
  CHECK(wait(remove(two, {{1, "a", "bonn"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(insert(two, {{7, "", "x"}}, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
}

TEST_CASE_FIXTURE(StoreFixture, "a scan over data on the disk gives the same rows as from memory" *
                                    doctest::skip(isOverMemory())) {
  for (uint32_t first = 0; first < 20000; first += 500) {
    std::vector<Row> batch;
    for (uint32_t i = first; i < first + 500; i++) {
      batch.push_back({i, "n" + std::to_string(i), "c" + std::to_string(i % 7) + std::string(100, 'p')});
    }
    load(batch);
  }
  const std::vector<std::string> fromMemory = scan(0, {.index = byCity}, 100000);
  CHECK(fromMemory.size() == 20000);
  reopen();  // with an empty block cache, smaller than the data
  CHECK(scan(0, {.index = byCity}, 100000) == fromMemory);
  CHECK(scan(0, {.index = byCity}, 2000) == fromMemory);
  std::vector<std::string> backwards = scan(0, {.index = byCity, .reverse = true}, 50000);
  std::reverse(backwards.begin(), backwards.end());
  CHECK(backwards == fromMemory);
  const Estimate all = store->estimate(table);
  CHECK(all.rows > 10000);
  CHECK(all.rows < 40000);
  const Outcome range =
      wait(store->estimateRange(table, byNumber, {.lower = numberKey(10), .upper = numberKey(19)}));
  wire::Estimated estimated;
  REQUIRE((range.ok() && wire::Estimated::decode(range.result, estimated)));
  CHECK(estimated.rows == 10);
  store->dropTable(table);
  store->defineTable({table, indexes(), columns()});
  while (!scan(0, {}).empty()) std::this_thread::yield();
}
