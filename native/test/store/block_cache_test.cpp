#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <algorithm>
#include <random>
#include <thread>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::store;
using namespace vamos::test;

namespace {

// Numbers, names and cities that lie apart from one another, so that reads of neighbours find different
// blocks.
Row scattered(uint32_t number) {
  const uint32_t place = number * 2654435761U;
  return {place, std::to_string(place) + "-name", std::to_string(place % 1000)};
}

void fill(StoreFixture& fixture, uint32_t first, uint32_t count) {
  constexpr uint32_t batchRows = 1000;
  for (uint32_t begin = first; begin < first + count; begin += batchRows) {
    std::vector<Row> rows;
    for (uint32_t number = begin; number < std::min(begin + batchRows, first + count); ++number) {
      rows.push_back(scattered(number));
    }
    const uint64_t transaction = fixture.begin();
    REQUIRE(fixture.wait(fixture.insert(transaction, rows)).ok());
    REQUIRE(fixture.commit(transaction).ok());
  }
}

}  // namespace

// A filter that has one block for a whole file soon outgrows its share of the cache. Then the cache can't
// hold it, and each key that is looked up reads it anew: hundreds of KiB for a row of 50 bytes.
TEST_CASE("an insert into a table that has outgrown the cache reads a few small blocks") {
  StoreFixture fixture;
  fixture.options.blockCacheBytes = 1 << 20;
  fixture.options.memtableBytes = 2 << 20;
  fixture.reopen();
  constexpr uint32_t rows = 150'000;
  fill(fixture, 0, rows);

  constexpr uint32_t more = 200;
  const uint64_t before = fixture.store->statistics().blockBytesRead;
  fill(fixture, rows, more);
  const uint64_t bytesARow = (fixture.store->statistics().blockBytesRead - before) / more;
  // A row looks for two keys: its number and its name. Each may read an index's part, a filter's part, and,
  // where a filter errs, a block of rows, in each level.
  MESSAGE("bytes of blocks read for each row: " << bytesARow);
  CHECK(bytesARow < 20'000);
}
