#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/engine/program_code.hpp"
#include "test/store/cities.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using I = Instruction;
using Texts = std::vector<std::string>;

namespace {

// Columns of the fixture's table.
const Code number = column(0);
const Code name = column(1);
const Code city = column(2);

Code is(const Code& value, const Code& other) { return value + other + vamos::test::compare(I::EQUAL); }
Code isAbove(const Code& value, const Code& other) {
  return value + other + vamos::test::compare(I::GREATER);
}

struct FilteredCities : Cities {
  Answer getWhere(uint64_t transaction, uint32_t number, const Code& filter, Lock lock = Lock::NONE,
                  uint32_t index = byNumber, Wait mode = Wait::WAIT) {
    const std::string key = index == byName ? nullableKey(std::string(1, static_cast<char>('a' + number - 1)))
                                            : numberKey(number);
    return store->get(transaction, table, index, keyBatch(key), lock, mode, {}, false, filter);
  }
  bool isLocked(uint32_t number) {
    const uint64_t other = begin();
    const Outcome outcome = wait(get(other, number, Lock::EXCLUSIVE, Wait::NO_WAIT));
    store->rollback(other);
    return outcome.code == ErrorCode::LOCK_NOT_AVAILABLE;
  }
  std::string locked() {
    std::string result;
    for (uint32_t number = 1; number <= 6; number++) {
      if (isLocked(number)) result += std::to_string(number);
    }
    return result;
  }
};

// A filter that no row passes and that takes long for each.
Code endless() {
  Code code = is(name, text("nobody"));
  for (int i = 0; i < 2500; i++) code = code + is(number, integer(-1)) + op(I::OR);
  return code;
}

}  // namespace

TEST_CASE_FIXTURE(FilteredCities,
                  "a filtered cursor gives the rows that pass, in the index's order, both ways") {
  const Code inBonnOrRome = city + text("bonn") + text("rome") + in(2);
  for (const uint64_t window : {1, 30, 60, 1 << 20}) {
    for (const uint32_t index : {byNumber, byCity}) {
      CAPTURE(window);
      CAPTURE(index);
      CHECK(numbers(0, {.index = index, .filter = inBonnOrRome}, window) == "1256");
      CHECK(numbers(0, {.index = index, .reverse = true, .filter = inBonnOrRome}, window) == "6521");
    }
    CHECK(numbers(0, {.index = byName, .filter = inBonnOrRome}, window) == "5612");
    CHECK(numbers(0, {.filter = isAbove(number, integer(9))}, window).empty());
    // NULL is not true, nor is what NOT makes of it.
    CHECK(numbers(0, {.filter = is(name, text("a"))}, window) == "1");
    CHECK(numbers(0, {.filter = is(name, text("a")) + op(I::NOT)}, window) == "234");
  }
}

TEST_CASE_FIXTURE(FilteredCities,
                  "a limit counts the rows that pass, a projection need not have the filter's columns") {
  for (const uint64_t window : {1, 1 << 20}) {
    for (const uint32_t index : {byNumber, byCity}) {
      CHECK(numbers(0, {.index = index, .limitRows = 2, .filter = isAbove(number, integer(2))}, window) ==
            "34");
      CHECK(numbers(0, {.index = index, .reverse = true, .limitRows = 1, .filter = is(city, text("bonn"))},
                    window) == "2");
    }
  }
  const uint64_t cursor = openCursor(0, {.columns = {2}, .withKeys = true, .filter = is(name, text("d"))});
  const Outcome outcome = wait(store->fetch(cursor, 1000));
  CHECK(outcome.count == 1);
  Reader reader(outcome.result);
  CHECK(reader.lengthPrefixed(100) == "\0\4\0\0\0oslo"s);
  CHECK(reader.lengthPrefixed(100) == numberKey(4));
  CHECK(reader.atEnd());
}

TEST_CASE_FIXTURE(FilteredCities, "a filter sees what its transaction wrote") {
  const uint64_t one = begin();
  CHECK(wait(update(one, {{{4, "d", "oslo"}, {4, "d", "bonn"}}, {{1, "a", "bonn"}, {1, "a", "oslo"}}})).ok());
  CHECK(wait(insert(one, {{7, "", "bonn"}})).ok());
  for (const uint32_t index : {byNumber, byCity})
    CHECK(numbers(one, {.index = index, .filter = is(city, text("bonn"))}) == "247");
  CHECK(numbers(0, {.filter = is(city, text("bonn"))}) == "12");
}

TEST_CASE_FIXTURE(FilteredCities, "what is no filter is refused before anything is read") {
  const auto refusal = [&](const CursorOptions& options) {
    try {
      openCursor(0, options);
    } catch (const StoreError& error) {
      CHECK(error.code == ErrorCode::BAD_REQUEST);
      return error.message;
    }
    return ""s;
  };
  CHECK(refusal({.filter = column(9)}) == "filter: byte 0: the table has no column 9");
  CHECK(refusal({.filter = number}) == "filter: gives INTEGER, and a filter BOOLEAN");
  const auto aggregate = [&](const AggregateOptions& option) {
    return refusal({.aggregates = {{}, option}});
  };
  CHECK(aggregate({AggregateFunction::SUM}) == "aggregate 1: only COUNT is without a value");
  CHECK(aggregate({AggregateFunction::SUM, name}) == "aggregate 1: SUM takes INTEGER or DOUBLE");
  CHECK(aggregate({AggregateFunction::MIN, is(name, name)}) == "aggregate 1: MIN and MAX take no BOOLEAN");
  CHECK(aggregate({AggregateFunction::MIN, number, true}) ==
        "aggregate 1: padding is for MIN and MAX of BYTES");
  CHECK(aggregate({static_cast<AggregateFunction>(4), number}) == "aggregate 1: no such function");
  CHECK(aggregate({AggregateFunction::COUNT, "\xFF"}) == "aggregate 1: byte 0: no instruction has code 255");
  CHECK(refusal({.aggregates = std::vector<AggregateOptions>(257)}) ==
        "at most 256 aggregates in one request");
  const std::string large = number + text(std::string(60000, 'x')) + op(I::IS_NULL) + op(I::IS_NULL);
  CHECK(refusal({.aggregates = std::vector<AggregateOptions>(5, {AggregateFunction::COUNT, large})}) ==
        "the aggregates' programs have at most 262144 bytes together");
  const Outcome outcome = wait(store->get(0, table, byNumber, "", Lock::NONE, Wait::WAIT, {}, false, "\x01"));
  CHECK(outcome.code == ErrorCode::BAD_REQUEST);
  CHECK(outcome.message == "filter: byte 0: the operands go beyond the program's end");
}

TEST_CASE_FIXTURE(FilteredCities,
                  "the filters of open cursors have a limit together, and a closed one makes room") {
  Code code = is(number, integer(1));
  while (code.bytes.size() < maxProgramBytes) code.bytes += op(I::NOT).bytes;
  const CursorOptions options{.filter = code};
  std::vector<uint64_t> cursors;
  const auto open = [&] { cursors.push_back(openCursor(0, options)); };
  for (int i = 0; i < 100; i++) open();
  CHECK_THROWS_AS(for (int i = 0; i < 1000; i++) open(), StoreError);
  CHECK_NOTHROW(openCursor(0, {}));
  store->closeCursor(cursors.back());
  CHECK_NOTHROW(open());
  CHECK_THROWS_AS(open(), StoreError);
}

TEST_CASE_FIXTURE(FilteredCities, "a row that does not pass GET's filter reads as not there") {
  const Code inBonn = is(city, text("bonn"));
  std::string keys;
  for (const uint32_t wanted : {2, 4, 9, 1}) appendLengthPrefixed(keys, numberKey(wanted));
  const uint64_t one = begin();
  for (const Lock lock : {Lock::NONE, Lock::SHARED, Lock::EXCLUSIVE}) {
    const uint64_t transaction = lock == Lock::NONE ? 0 : one;
    CHECK(rows(wait(store->get(transaction, table, byNumber, keys, lock, Wait::WAIT, {}, false, inBonn))) ==
          Texts{"2/b/bonn", "-", "-", "1/a/bonn"});
    for (const uint32_t index : {byNumber, byName}) {
      CHECK(rows(wait(getWhere(transaction, 1, inBonn, lock, index))) == Texts{"1/a/bonn"});
      CHECK(rows(wait(getWhere(transaction, 4, inBonn, lock, index))) == Texts{"-"});
    }
  }
}

TEST_CASE_FIXTURE(FilteredCities, "READ COMMITTED: a row that does not pass gives its lock back") {
  const Code inRome = is(city, text("rome"));
  for (const uint32_t index : {byNumber, byName, byCity}) {
    const uint64_t one = begin(Isolation::READ_COMMITTED);
    CHECK(numbers(one, {.index = index, .lock = Lock::EXCLUSIVE, .filter = inRome}) == "56");
    CHECK(locked() == "56");
    store->rollback(one);
  }
  for (const uint32_t index : {byNumber, byName}) {
    const uint64_t one = begin(Isolation::READ_COMMITTED);
    CHECK(rows(wait(getWhere(one, 4, inRome, Lock::EXCLUSIVE, index))) == Texts{"-"});
    CHECK(rows(wait(getWhere(one, 3, is(city, text("bonnet")), Lock::EXCLUSIVE, index))) ==
          Texts{"3/c/bonnet"});
    CHECK(locked() == "3");
    store->rollback(one);
  }
}

TEST_CASE_FIXTURE(FilteredCities, "REPEATABLE READ: a row that does not pass stays locked") {
  const Code inRome = is(city, text("rome"));
  for (const uint32_t index : {byNumber, byCity}) {
    const uint64_t one = begin();
    CHECK(numbers(one, {.index = index, .lock = Lock::EXCLUSIVE, .filter = inRome}) == "56");
    CHECK(locked() == "123456");
    store->rollback(one);
  }
  const uint64_t one = begin();
  CHECK(rows(wait(getWhere(one, 4, inRome, Lock::EXCLUSIVE))) == Texts{"-"});
  CHECK(locked() == "4");
}

TEST_CASE_FIXTURE(FilteredCities, "READ COMMITTED: a lock that the transaction had before stays") {
  const Code inRome = is(city, text("rome"));
  const uint64_t one = begin(Isolation::READ_COMMITTED);
  CHECK(read(one, 2, Lock::EXCLUSIVE) == Texts{"2/b/bonn"});
  CHECK(wait(update(one, {{{3, "c", "bonnet"}, {3, "c", "nice"}}})).ok());
  CHECK(numbers(one, {.lock = Lock::EXCLUSIVE, .filter = inRome}) == "56");
  CHECK(rows(wait(getWhere(one, 2, inRome, Lock::EXCLUSIVE))) == Texts{"-"});
  CHECK(locked() == "2356");
}

TEST_CASE_FIXTURE(FilteredCities,
                  "READ COMMITTED: a row that was waited for and does not pass gives its lock back, too") {
  const uint64_t holder = begin();
  CHECK(wait(update(holder, {{{2, "b", "bonn"}, {2, "b", "ulm"}}})).ok());
  const uint64_t scanner = begin(Isolation::READ_COMMITTED);
  const uint64_t cursor = openCursor(scanner, {.lock = Lock::EXCLUSIVE, .filter = is(city, text("bonn"))});
  const Answer fetched = store->fetch(cursor, 1 << 20);
  REQUIRE(waitParked(fetched));
  CHECK(commit(holder).ok());
  CHECK(rows(wait(fetched)) == Texts{"1/a/bonn"});
  CHECK(locked() == "1");
}

TEST_CASE_FIXTURE(FilteredCities, "a scan whose filter passes nothing gives way and can be cancelled") {
  for (uint32_t first = 100; first < 100100; first += 1000) {
    std::vector<Row> batch;
    for (uint32_t i = first; i < first + 1000; i++) batch.push_back({i, "", "x"});
    load(batch);
  }
  // As many as there are threads; each would take some seconds.
  std::vector<Answer> scans;
  for (const uint32_t index : {byNumber, byCity})
    scans.push_back(store->fetch(openCursor(0, {.index = index, .filter = endless()}), 1 << 20));
  CHECK(numbers(0, {.upper = numberKey(3)}) == "123");
  for (const Answer& scan : scans) store->cancel(scan.operation, ErrorCode::CANCELLED);
  for (const Answer& scan : scans) CHECK(wait(scan).code == ErrorCode::CANCELLED);
}
