#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "store/transactions/compactor.hpp"

#include <chrono>
#include <thread>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t rowCount = Compactor::manyTombstones + 2'000;
constexpr uint32_t rowsAtOnce = 2'000;
constexpr uint64_t few = 100;

struct Queue : StoreFixture {
  static std::vector<Row> batch(uint32_t first) {
    std::vector<Row> rows;
    for (uint32_t number = first; number < first + rowsAtOnce; number++) {
      rows.push_back({number, "n" + std::to_string(number), "bonn"});
    }
    return rows;
  }

  void fill() {
    for (uint32_t first = 0; first < rowCount; first += rowsAtOnce) load(batch(first));
    load({{rowCount, "last", "oslo"}});
  }

  // All rows but the last.
  void empty() {
    for (uint32_t first = 0; first < rowCount; first += rowsAtOnce) {
      const uint64_t transaction = begin();
      REQUIRE(wait(remove(transaction, batch(first))).ok());
      REQUIRE(commit(transaction).ok());
    }
  }

  // Tombstones that are stepped over to read the first row, or to count all.
  uint64_t readFirst(bool isReverse = false) {
    const uint64_t before = store->statistics().tombstonesRead;
    const uint64_t cursor = openCursor(0, {.index = byNumber,
                                           .upper = isReverse ? numberKey(rowCount - 1) : "~",
                                           .reverse = isReverse,
                                           .limitRows = 1});
    CHECK(rows(wait(store->fetch(cursor, 1))).size() == (isReverse ? 0 : 1));
    store->closeCursor(cursor);
    return store->statistics().tombstonesRead - before;
  }
  uint64_t count() {
    const uint64_t before = store->statistics().tombstonesRead;
    const uint64_t cursor = openCursor(0, {.index = byCity, .aggregates = {{}}});
    CHECK(wait(store->fetch(cursor, 1)).count == 1);
    store->closeCursor(cursor);
    return store->statistics().tombstonesRead - before;
  }

  void untilCompacted(uint64_t ranges) {
    while (store->statistics().rangesCompacted < ranges) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(Queue, "what a read steps over in front of the first row is gone for the next read") {
  fill();
  empty();
  CHECK(readFirst() >= rowCount);
  untilCompacted(1);
  CHECK(readFirst() < few);
  CHECK(store->statistics().rangesCompacted == 1);
}

TEST_CASE_FIXTURE(Queue, "what a backward read steps over is gone for the next one") {
  fill();
  empty();
  CHECK(readFirst(true) >= rowCount);
  untilCompacted(1);
  CHECK(readFirst(true) < few);
}

TEST_CASE_FIXTURE(Queue, "what a count steps over is gone for the next one") {
  fill();
  empty();
  CHECK(count() >= rowCount);
  untilCompacted(1);
  CHECK(count() < few);
}

TEST_CASE_FIXTURE(Queue, "few tombstones among many rows are left alone") {
  fill();
  const uint64_t transaction = begin();
  REQUIRE(wait(remove(transaction, batch(0))).ok());
  REQUIRE(commit(transaction).ok());
  CHECK(readFirst() >= rowsAtOnce);
  CHECK(readFirst() >= rowsAtOnce);
  CHECK(store->statistics().rangesCompacted == 0);
}

TEST_CASE_FIXTURE(Queue, "what an older snapshot keeps is not tried for in vain, and dropped after it") {
  fill();
  const uint64_t reader = begin();
  CHECK(read(reader, 1).size() == 1);
  empty();
  CHECK(readFirst() >= rowCount);
  untilCompacted(1);
  for (int i = 0; i < 20; i++) {
    CHECK(readFirst() >= rowCount);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(store->statistics().rangesCompacted == 1);
  CHECK(read(reader, 1) == std::vector<std::string>{"1/n1/bonn"});
  REQUIRE(commit(reader).ok());
  while (readFirst() >= few) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST_CASE_FIXTURE(Queue, "a store closes while a range is compacted") {
  fill();
  empty();
  CHECK(readFirst() >= rowCount);
  reopen();
  CHECK(read(0, rowCount) == std::vector<std::string>{std::to_string(rowCount) + "/last/oslo"});
}
