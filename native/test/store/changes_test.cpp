#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;
using I = Instruction;

namespace {

constexpr uint8_t name = 1;
constexpr uint8_t city = 2;

class Changes : public StoreFixture {
 public:
  static ChangeOptions update(std::vector<std::pair<uint32_t, std::string>> assignments) {
    ChangeOptions options;
    options.table = table;
    options.assignments = std::move(assignments);
    options.ranges = {{}};
    return options;
  }
  static ChangeOptions removal() {
    ChangeOptions options;
    options.table = table;
    options.deletes = true;
    options.ranges = {{}};
    return options;
  }

  // Rows found and changed.
  std::pair<uint64_t, uint64_t> counts(uint64_t transaction, ChangeOptions options) {
    const Outcome outcome = wait(store->change(transaction, std::move(options)));
    REQUIRE(outcome.message == "");
    return {outcome.count, outcome.changed};
  }
  ErrorCode code(uint64_t transaction, ChangeOptions options) {
    try {
      return wait(store->change(transaction, std::move(options))).code;
    } catch (const StoreError& error) {
      return error.code;
    }
  }
  // Each index's rows, in the transaction's eyes.
  std::vector<Texts> byAll(uint64_t transaction) {
    return {scan(transaction, {.index = byNumber}), scan(transaction, {.index = byName}),
            scan(transaction, {.index = byCity})};
  }
};

}  // namespace

TEST_CASE_FIXTURE(Changes, "a change of one key is done synchronously where it is cached" *
                               doctest::skip(isOverMemory())) {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const std::string keys = keyBatch(numberKey(2));
  const uint64_t one = begin();
  ChangeOptions options = update({{city, text("bonn")}});
  options.keys = keys;
  options.ranges.clear();
  const Answer answer = store->change(one, options);
  CHECK(answer.operation == 0);
  CHECK(answer.outcome.count == 1);
  CHECK(byAll(one) == std::vector<Texts>{{"1/ann/oslo", "2/bob/bonn"},
                                         {"1/ann/oslo", "2/bob/bonn"},
                                         {"2/bob/bonn", "1/ann/oslo"}});
  options = removal();
  options.keys = keys;
  options.ranges.clear();
  CHECK(store->change(one, options).operation == 0);
  CHECK(commit(one).ok());
  CHECK(byAll(0) == std::vector<Texts>{{"1/ann/oslo"}, {"1/ann/oslo"}, {"1/ann/oslo"}});
}

TEST_CASE_FIXTURE(Changes, "a filter holds for all keys of a change, however many") {
  std::vector<Row> rows;
  std::string keys;
  for (uint32_t i = 0; i < 200; i++) {
    rows.push_back({i, "n" + std::to_string(i), i % 2 == 0 ? "oslo" : "rome"});
    keys += keyBatch(numberKey(i));
  }
  load(rows);
  const uint64_t one = begin();
  ChangeOptions options = removal();
  options.keys = keys;
  options.ranges.clear();
  options.filter = column(city) + text("oslo") + test::compare(I::EQUAL);
  CHECK(counts(one, options) == std::pair<uint64_t, uint64_t>{100, 100});
  CHECK(scan(one, {.filter = options.filter}).empty());
  CHECK(scan(one, {}).size() == 100);
  CHECK(commit(one).ok());
}

TEST_CASE_FIXTURE(Changes, "a change that fails in a later window takes all of it back") {
  std::vector<Row> rows;
  const std::string pad(1000, 'x');
  for (uint32_t i = 0; i < 600; i++) rows.push_back({i, "n" + std::to_string(i), pad});
  load(rows);
  const uint64_t one = begin();
  // The first takes a name that only the last one has.
  CHECK(code(one, update({{city, text("short")}, {name, text("n599")}})) == ErrorCode::DUPLICATE_KEY);
  CHECK(scan(one, {.index = byCity}, 1 << 20).size() == 600);
  CHECK(read(one, 0) == Texts{"0/n0/" + pad});
  CHECK(counts(one, update({{city, text("short")}})) == std::pair<uint64_t, uint64_t>{600, 600});
  CHECK(commit(one).ok());
}

TEST_CASE_FIXTURE(Changes, "NULL moves an entry of a unique index to those that are not checked") {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});
  const uint64_t one = begin();
  CHECK(counts(one, update({{name, null(ValueType::BYTES)}})).second == 2);
  CHECK(scan(one, {.index = byName}) == Texts{"1//oslo", "2//rome"});
  CHECK(counts(one, update({{name, column(city)}})).second == 2);
  CHECK(scan(one, {.index = byName}) == Texts{"1/oslo/oslo", "2/rome/rome"});
  CHECK(commit(one).ok());
}

TEST_CASE_FIXTURE(Changes, "what a layout or a request gets wrong is refused") {
  load({{1, "ann", "oslo"}});
  const uint64_t one = begin();
  CHECK(code(one, update({{9, text("x")}})) == ErrorCode::BAD_REQUEST);
  CHECK(code(one, update({{city, text("x")}, {city, text("y")}})) == ErrorCode::BAD_REQUEST);
  CHECK(code(one, update({{city, integer(1)}})) == ErrorCode::BAD_REQUEST);
  CHECK(code(one, update({})) == ErrorCode::BAD_REQUEST);
  ChangeOptions options = removal();
  options.index = 3;
  CHECK(code(one, options) == ErrorCode::INDEX_MISSING);
  options = removal();
  options.wait = Wait::SKIP_LOCKED;
  CHECK(code(one, options) == ErrorCode::BAD_REQUEST);
  options = removal();
  options.ranges = {{.lower = std::string(maxKeyBytes + 1, 'x')}};
  CHECK(code(one, options) == ErrorCode::BAD_REQUEST);
  CHECK(code(one + 1, removal()) == ErrorCode::NO_TRANSACTION);
  CHECK(code(store->begin(Isolation::REPEATABLE_READ, true, false), removal()) == ErrorCode::READ_ONLY);
  CHECK_THROWS_AS(store->defineTable({8, {{20, true, {{3}}}}, columns()}), StoreError);
  CHECK(read(one, 1) == Texts{"1/ann/oslo"});
}

TEST_CASE_FIXTURE(
    Changes, "rows that others committed after the snapshot show whole under every index, once changed") {
  bool isOpaque = false;
  SUBCASE("keys that the store makes") {}
  SUBCASE("keys that only the connector can make") { isOpaque = true; }
  store->defineTable(
      {table, {{10, true, {{0}}}, {11, true, {{1, false, isOpaque}}}, {12, false, {{2}}}}, columns()});
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}});

  const uint64_t one = begin();
  CHECK(read(one, 1) == Texts{"1/ann/oslo"});  // now it has its snapshot
  const uint64_t other = begin();
  CHECK(wait(StoreFixture::update(other, {{{2, "bob", "rome"}, {2, "bea", "rome"}}})).ok());
  CHECK(wait(insert(other, {{3, "cyd", "rome"}})).ok());
  CHECK(commit(other).ok());
  CHECK(byAll(one) == std::vector<Texts>{{"1/ann/oslo", "2/bob/rome"},
                                         {"1/ann/oslo", "2/bob/rome"},
                                         {"1/ann/oslo", "2/bob/rome"}});

  ChangeOptions options = update({{city, text("bonn")}});
  CHECK(counts(one, options) == std::pair<uint64_t, uint64_t>{3, 3});
  const Texts mine{"1/ann/bonn", "2/bea/bonn", "3/cyd/bonn"};
  CHECK(byAll(one) == std::vector<Texts>{mine, mine, mine});
  CHECK(commit(one).ok());
  CHECK(byAll(0) == std::vector<Texts>{mine, mine, mine});
}

TEST_CASE_FIXTURE(Changes,
                  "a change in a shared transaction stands alone where it changed and saw nothing of it" *
                      doctest::skip(isOverMemory())) {
  load({{1, "ann", "oslo"}, {2, "bob", "rome"}, {3, "cay", "rome"}});
  const uint64_t shared = store->beginShared();
  const auto standsAlone = [&](uint32_t number, ChangeOptions options) {
    const std::string keys = keyBatch(numberKey(number));
    options.ranges = {};
    options.keys = keys;
    const Outcome outcome = wait(store->change(shared, std::move(options)));
    REQUIRE(outcome.ok());
    return outcome.standsAlone;
  };
  CHECK(standsAlone(9, removal()));
  CHECK(standsAlone(2, update({{city, text("rome")}})));
  CHECK_FALSE(standsAlone(1, removal()));
  CHECK_FALSE(standsAlone(1, removal()));
  CHECK_FALSE(standsAlone(2, update({{city, text("bonn")}})));
  CHECK_FALSE(standsAlone(2, update({{city, text("bonn")}})));
  CHECK(insert(shared, {{4, "dan", "oslo"}}).outcome.ok());
  CHECK_FALSE(standsAlone(4, update({{city, text("oslo")}})));
  CHECK(standsAlone(9, removal()));
  CHECK(standsAlone(3, update({{city, text("rome")}})));
  // What it only looked at it has not locked.
  const uint64_t other = begin();
  CHECK(wait(get(other, 3, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
  CHECK(wait(get(other, 9, Lock::EXCLUSIVE, Wait::NO_WAIT)).ok());
  CHECK(wait(get(other, 2, Lock::EXCLUSIVE, Wait::NO_WAIT)).code == ErrorCode::LOCK_NOT_AVAILABLE);
  CHECK(commit(shared).ok());
  CHECK(byAll(0)[0] == Texts{"2/bob/bonn", "3/cay/rome", "4/dan/oslo"});
  CHECK(store->statistics().commits == 4);  // the rows that were there, and three changes
}

TEST_CASE_FIXTURE(Changes,
                  "a change by another unique index never stands alone" * doctest::skip(isOverMemory())) {
  load({{1, "ann", "oslo"}});
  const uint64_t shared = store->beginShared();
  ChangeOptions options = removal();
  const std::string keys = keyBatch(nullableKey("eve"));
  options.ranges = {};
  options.index = byName;
  options.keys = keys;
  const Outcome outcome = wait(store->change(shared, std::move(options)));
  CHECK(outcome.ok());
  CHECK_FALSE(outcome.standsAlone);
  store->rollback(shared);
}
