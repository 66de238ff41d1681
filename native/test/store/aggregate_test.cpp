#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using I = Instruction;

namespace {

const Code number = column(0);
const Code name = column(1);
const Code city = column(2);
constexpr auto COUNT = AggregateFunction::COUNT;
constexpr auto SUM = AggregateFunction::SUM;
constexpr auto MIN = AggregateFunction::MIN;
constexpr auto MAX = AggregateFunction::MAX;

std::string u64(uint64_t value) { return fixed(value); }
std::string i128(__int128 value) { return fixed(value); }
std::string i256(__int128 low, __int128 high = 0) { return fixed(low) + fixed(high); }
std::string bytes(std::string_view value) {
  std::string out;
  appendLengthPrefixed(out, value);
  return out;
}

struct Cities : StoreFixture {
  // The one window, without its length.
  std::string aggregate(CursorOptions options, uint64_t transaction = 0) {
    const uint64_t cursor = openCursor(transaction, std::move(options));
    const Outcome outcome = wait(store->fetch(cursor, 1));
    store->closeCursor(cursor);
    CHECK(outcome.atEnd);
    Reader reader(outcome.result);
    std::string row(reader.lengthPrefixed(1 << 20));
    CHECK(reader.atEnd());
    return row;
  }
  void loadCities() {
    load({{1, "a", "bonn"}, {2, "b", "bonn"}, {3, "c", "oslo"}, {5, "", "rome"}, {6, "", "rome"}});
  }
};

}  // namespace

TEST_CASE_FIXTURE(Cities, "aggregates of no rows count none and have no value") {
  const CursorOptions options{
      .aggregates = {{COUNT}, {COUNT, name}, {SUM, number}, {MIN, city}, {MAX, number}}};
  CHECK(aggregate(options) == u64(0) + u64(0) + u64(0) + u64(0) + u64(0));
}

TEST_CASE_FIXTURE(Cities, "COUNT, SUM, MIN and MAX leave NULLs out, through any index, both ways") {
  loadCities();
  for (const uint32_t index : {byNumber, byName, byCity}) {
    for (const bool reverse : {false, true}) {
      CHECK(aggregate({.index = index,
                       .reverse = reverse,
                       .aggregates = {{COUNT},
                                      {COUNT, name},
                                      {SUM, number},
                                      {MIN, number},
                                      {MAX, number},
                                      {MIN, name},
                                      {MAX, city},
                                      {SUM, null(ValueType::INTEGER)}}}) ==
            u64(5) + u64(3) + u64(5) + i256(17) + u64(5) + i128(1) + u64(5) + i128(6) + u64(3) + bytes("a") +
                u64(5) + bytes("rome") + u64(0));
    }
  }
}

TEST_CASE_FIXTURE(Cities,
                  "aggregates are of the rows in bounds, limit and filter, as the transaction sees them") {
  loadCities();
  const Code hasName = name + op(I::IS_NULL) + op(I::NOT);
  const std::vector<AggregateOptions> sum{{COUNT}, {SUM, number}};
  CHECK(aggregate({.filter = hasName, .aggregates = sum}) == u64(3) + u64(3) + i256(6));
  CHECK(aggregate({.limitRows = 2, .filter = hasName, .aggregates = sum}) == u64(2) + u64(2) + i256(3));
  CHECK(aggregate({.index = byCity, .reverse = true, .limitRows = 2, .filter = hasName, .aggregates = sum}) ==
        u64(2) + u64(2) + i256(5));
  CHECK(aggregate({.index = byCity, .lower = "o", .aggregates = sum}) == u64(3) + u64(3) + i256(14));
  const uint64_t one = begin();
  CHECK(wait(insert(one, {{9, "z", "ulm"}})).ok());
  CHECK(wait(remove(one, {{1, "a", "bonn"}})).ok());
  for (const uint32_t index : {byNumber, byCity}) {
    CHECK(aggregate({.index = index, .aggregates = sum}, one) == u64(5) + u64(5) + i256(25));
    CHECK(aggregate({.index = index, .aggregates = {{COUNT}}}, one) == u64(5));
    CHECK(aggregate({.index = index, .limitRows = 4, .aggregates = {{COUNT}}}, one) == u64(4));
  }
}

TEST_CASE_FIXTURE(Cities, "aggregates of a locking scan lock what they are of") {
  loadCities();
  const uint64_t one = begin();
  CHECK(aggregate({.upper = numberKey(2), .lock = Lock::SHARED, .aggregates = {{SUM, number}}}, one) ==
        u64(2) + i256(3));
  const uint64_t two = begin();
  CHECK(wait(get(two, 2, Lock::EXCLUSIVE, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(wait(get(two, 3, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
}

TEST_CASE_FIXTURE(Cities, "a SUM is exact beyond 128 bits, up and down") {
  std::vector<Row> many;
  for (uint32_t i = 1; i <= 40; i++) many.push_back({i, "", "x"});
  load(many);
  const __int128 most = (static_cast<__int128>(1) << 126) - 1;
  // 40 * (2^126 - 1) = 10 * 2^128 - 40.
  CHECK(aggregate({.aggregates = {{SUM, integer(most)}, {SUM, integer(-most)}}}) ==
        u64(40) + i256(-40, 9) + u64(40) + i256(40, -10));
  // 39, 37, … -39.
  const Code alternating = number + integer(-2) + op(I::MULTIPLY) + integer(41) + op(I::ADD);
  CHECK(aggregate({.aggregates = {{SUM, alternating}}}) == u64(40) + i256(0));
}

TEST_CASE_FIXTURE(Cities, "DOUBLEs are added in the order of the scan") {
  load({{1, "", "x"}, {2, "", "x"}, {3, "", "x"}});
  // 1e16 at row 1, 1 at row 2, -1e16 at row 3: (2 - number) * 1e16, and 1 where that is 0, as integers.
  const Code offset = integer(2) + number + op(I::SUBTRACT);
  const Code square = offset + offset + op(I::MULTIPLY);
  const Code value = offset + integer(10'000'000'000'000'000) + op(I::MULTIPLY) + integer(1) + square +
                     op(I::SUBTRACT) + op(I::ADD) + op(I::TO_DOUBLE);
  const double up = (1e16 + 1.0) + -1e16;
  CHECK(aggregate({.aggregates = {{SUM, value}}}) == u64(3) + fixed(up));
  CHECK(aggregate({.aggregates = {{MIN, value}, {MAX, value}}}) ==
        u64(3) + fixed(-1e16) + u64(3) + fixed(1e16));
}

TEST_CASE_FIXTURE(Cities, "of equal ones MIN and MAX keep the first met") {
  load({{1, "", "b "}, {2, "", "b"}, {3, "", "b  "}, {4, "", "a\t"}, {5, "", "a"}});
  const auto extremes = [&](bool reverse, bool isPadded) {
    return aggregate({.reverse = reverse, .aggregates = {{MIN, city, isPadded}, {MAX, city, isPadded}}});
  };
  CHECK(extremes(false, true) == u64(5) + bytes("a\t") + u64(5) + bytes("b "));
  CHECK(extremes(true, true) == u64(5) + bytes("a\t") + u64(5) + bytes("b  "));
  CHECK(extremes(false, false) == u64(5) + bytes("a") + u64(5) + bytes("b  "));
}

TEST_CASE_FIXTURE(Cities, "what MIN and MAX keep is theirs: rows may go from memory") {
  for (uint32_t first = 0; first < 20000; first += 500) {
    std::vector<Row> batch;
    for (uint32_t i = first; i < first + 500; i++) {
      batch.push_back({i, "", "c" + std::to_string(i * 7919 % 20011) + std::string(100, 'p')});
    }
    load(batch);
  }
  reopen();
  std::string least;
  std::string most;
  for (uint32_t i = 0; i < 20000; i++) {
    const std::string value = "c" + std::to_string(i * 7919 % 20011) + std::string(100, 'p');
    if (least.empty() || value < least) least = value;
    most = std::max(most, value);
  }
  for (const uint32_t index : {byNumber, byCity}) {
    CHECK(aggregate({.index = index, .aggregates = {{MIN, city}, {MAX, city}, {COUNT}}}) ==
          u64(20000) + bytes(least) + u64(20000) + bytes(most) + u64(20000));
  }
}

TEST_CASE_FIXTURE(Cities, "an aggregate that was undone begins anew") {
  loadCities();
  const uint64_t holder = begin();
  CHECK(wait(get(holder, 3, Lock::EXCLUSIVE)).ok());
  const uint64_t scanner = begin();
  const uint64_t cursor = openCursor(scanner, {.lock = Lock::SHARED, .aggregates = {{COUNT}, {MAX, city}}});
  const Answer fetched = store->fetch(cursor, 1);
  REQUIRE(waitParked(fetched));
  store->cancel(fetched.operation, ErrorCode::LOCK_TIMEOUT);
  CHECK(wait(fetched).code == ErrorCode::LOCK_TIMEOUT);
  store->rollback(holder);
  const Outcome outcome = wait(store->fetch(cursor, 1));
  CHECK(outcome.count == 5);
  CHECK(outcome.result == bytes(u64(5) + u64(5) + bytes("rome")));
}
