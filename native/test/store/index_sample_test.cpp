#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cmath>

#include "protocol/tables_messages.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos::test;

namespace {

// Rows per key of the first parts, as the sample says.
struct Sampled {
  uint64_t rows = 0;
  uint64_t rowBytes = 0;
  uint64_t entryBytes = 0;
  std::vector<std::vector<double>> perKey;
};

struct SampleFixture : StoreFixture {
  Sampled sample(uint64_t rows) {
    const Outcome outcome = wait(store->sample(table, rows));
    REQUIRE(outcome.ok());
    vamos::wire::TableSample message;
    REQUIRE(vamos::wire::TableSample::decode(outcome.result, message));
    Sampled sampled{message.rows, message.rowBytes, message.entryBytes, {}};
    for (const auto& index : message.indexes) {
      std::vector<double>& perKey = sampled.perKey.emplace_back();
      for (const uint32_t hundredths : index.hundredthsPerKey) perKey.push_back(hundredths / 100.0);
    }
    return sampled;
  }

  // In pieces that a transaction has room for.
  template <typename MakeRow>
  void fill(uint32_t rows, MakeRow makeRow) {
    std::vector<Row> batch;
    for (uint32_t number = 0; number < rows; number++) {
      batch.push_back(makeRow(number));
      if (batch.size() == 5000 || number + 1 == rows) {
        load(batch);
        batch.clear();
      }
    }
  }
};

void checkNear(double value, double expected, double factor) {
  CAPTURE(value);
  CAPTURE(expected);
  CHECK(value <= expected * factor);
  CHECK(value >= expected / factor);
}

}  // namespace

TEST_CASE_FIXTURE(SampleFixture,
                  "a small table is counted: rows per key of all prefixes, with NULLs as one") {
  CHECK(sample(0).perKey == std::vector<std::vector<double>>{{0}, {0}, {0, 0}});
  load({{1, "", "Bern"}, {2, "", "Bern"}, {3, "a", "Bern"}, {4, "b", "Rome"}});
  // The number that the caller has may be off.
  const Sampled sampled = sample(7);
  CHECK(sampled.rows == 4);
  CHECK(sampled.perKey == std::vector<std::vector<double>>{{1}, {1.33}, {2, 1}});
  CHECK(sampled.rowBytes > 20);
  CHECK(sampled.entryBytes > 20);
}

TEST_CASE_FIXTURE(SampleFixture, "rows per key of a large table are about right, however its values lie") {
  constexpr uint32_t count = 40'000;
  const auto city = [](uint32_t number) -> std::string {
    switch (number % 4) {
      case 0:  // half of them in runs of a hundred
      case 1:
        return "run" + std::to_string(number / 200);
      case 2:  // a quarter alike
        return "alike";
      default:
        return "each" + std::to_string(number);
    }
  };
  fill(count, [&](uint32_t number) -> Row {
    return {number * 1000 + number % 7, number % 3 == 0 ? "" : "n" + std::to_string(number), city(number)};
  });
  const double cities = count / 200.0 + 1 + count / 4.0;
  const double names = count * 2 / 3.0 + 1;
  for (const bool isInFiles : {false, true}) {
    CAPTURE(isInFiles);
    if (isInFiles) reopen();
    const Sampled sampled = sample(count);
    CHECK(sampled.rows == count);
    CHECK(sampled.perKey[byNumber][0] == 1);
    checkNear(sampled.perKey[byName][0], count / names, 1.25);
    checkNear(sampled.perKey[byCity][0], count / cities, 1.4);
    CHECK(sampled.perKey[byCity][1] == 1);
    checkNear(static_cast<double>(sampled.rowBytes), 35, 1.3);
  }
}

TEST_CASE_FIXTURE(SampleFixture, "few values of a large table, and long runs of rows alike, are told apart") {
  constexpr uint32_t count = 40'000;
  uint32_t values = 0;
  SUBCASE("few") { values = 40; }
  SUBCASE("runs that few windows meet the end of") { values = 400; }
  fill(count, [&](uint32_t number) -> Row { return {number, "", "city" + std::to_string(number % values)}; });
  reopen();
  const double perKey = sample(count).perKey[byCity][0];
  if (values == 40) CHECK(perKey == count / 40.0);
  checkNear(perKey, count / static_cast<double>(values), 1.6);
}

TEST_CASE_FIXTURE(SampleFixture, "a table of deleted rows alone has a sample, too") {
  constexpr uint32_t count = 24'000;
  for (uint32_t first = 0; first < count; first += 4000) {
    std::vector<Row> rows;
    for (uint32_t number = first; number < first + 4000; number++) rows.push_back({number, "", "city"});
    load(rows);
    const uint64_t transaction = begin();
    REQUIRE(wait(remove(transaction, rows)).ok());
    REQUIRE(commit(transaction).ok());
  }
  for (const uint32_t rows : {0U, count, 2 * count}) CHECK(sample(rows).perKey.size() == 3);
  const Outcome missing = wait(store->sample(99, 1));
  CHECK(missing.code == vamos::ErrorCode::TABLE_MISSING);
}
