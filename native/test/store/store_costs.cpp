// What requests to the store cost, for a counter of instructions: `npm run costs` runs it under callgrind.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cstdlib>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#endif

#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t rowCount = 2000;
constexpr uint8_t city = 2;

// VAMOS_ROUNDS says how often each test case repeats its request while callgrind counts. Before that it makes
// a tenth of the rounds, which open files and fill caches.
uint32_t rounds() {
  const char* text = std::getenv("VAMOS_ROUNDS");
  return text == nullptr ? 1 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

class Costs : public StoreFixture {
 public:
  Costs() {
    std::vector<Row> rows;
    for (uint32_t i = 0; i < rowCount; i++) rows.push_back(row(i));
    load(rows);
    // A store that opens has its rows in files. In a memtable their cost would depend on the heights that its
    // skip list drew.
    reopen();
  }

  // Makes the request in as many rounds as are wanted, of which only the later ones count.
  template <typename Request>
  static void repeat(Request request) {
    const uint32_t unmeasured = rounds() / 10 + 1;
    for (uint32_t i = 0; i < unmeasured; i++) request(i);
    CALLGRIND_START_INSTRUMENTATION;
    for (uint32_t i = 0; i < rounds(); i++) request(unmeasured + i);
    CALLGRIND_STOP_INSTRUMENTATION;
  }

  static Row row(uint32_t number) {
    return {number, "name" + std::to_string(number), "city" + std::to_string(number % 50)};
  }
  static std::string keys(uint32_t first, uint32_t count) {
    std::string batch;
    for (uint32_t i = 0; i < count; i++) batch += keyBatch(numberKey((first + i * 7) % rowCount));
    return batch;
  }
  void getEach(uint64_t transaction, uint32_t count, uint32_t index = byNumber, Lock lock = Lock::NONE) {
    repeat([&](uint32_t i) {
      const std::string batch =
          index == byNumber ? keys(i * 13, count) : keyBatch(nullableKey(row(i * 13 % rowCount).name));
      if (!wait(store->get(transaction, table, index, batch, lock, Wait::WAIT, {}, false)).ok()) std::abort();
    });
  }
  // In one window.
  void scanEach(uint64_t transaction, const CursorOptions& options) {
    repeat([&](uint32_t) {
      const uint64_t cursor = openCursor(transaction, options);
      if (!wait(store->fetch(cursor, 1 << 20)).atEnd) std::abort();
      store->closeCursor(cursor);
    });
  }
  static ChangeOptions update() {
    ChangeOptions options;
    options.table = table;
    options.assignments = {{city, text("elsewhere")}};
    return options;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Costs, "get a row") { getEach(0, 1); }

TEST_CASE_FIXTURE(Costs, "get a row in a transaction with writes") {
  const uint64_t transaction = begin();
  for (uint32_t i = 0; i < 100; i++) wait(insert(transaction, {row(rowCount + i)}));
  getEach(transaction, 1);
}

TEST_CASE_FIXTURE(Costs, "get 64 rows") { getEach(0, 64); }

TEST_CASE_FIXTURE(Costs, "get a row by a secondary index") { getEach(begin(), 1, byName); }

TEST_CASE_FIXTURE(Costs, "lock and get a row") {
  repeat([&](uint32_t i) {
    const uint64_t transaction = begin();
    if (!wait(get(transaction, i * 13 % rowCount, Lock::EXCLUSIVE)).ok()) std::abort();
    store->rollback(transaction);
  });
}

TEST_CASE_FIXTURE(Costs, "scan 2000 rows") { scanEach(begin(), {.index = byNumber}); }

TEST_CASE_FIXTURE(Costs, "scan 2000 rows backwards over a write") {
  const uint64_t transaction = begin();
  wait(insert(transaction, {row(rowCount)}));
  scanEach(transaction, {.index = byNumber, .reverse = true});
}

TEST_CASE_FIXTURE(Costs, "scan 2000 rows by a secondary index") { scanEach(begin(), {.index = byCity}); }

TEST_CASE_FIXTURE(Costs, "scan 2000 entries of a secondary index") {
  scanEach(begin(), {.index = byCity, .columns = {0, city}});
}

TEST_CASE_FIXTURE(Costs, "lock and scan 2000 rows") {
  repeat([&](uint32_t) {
    const uint64_t transaction = begin();
    const uint64_t cursor = openCursor(transaction, {.index = byNumber, .lock = Lock::EXCLUSIVE});
    if (!wait(store->fetch(cursor, 1 << 20)).atEnd) std::abort();
    store->rollback(transaction);
  });
}

TEST_CASE_FIXTURE(Costs, "insert 100 rows and commit") {
  repeat([&](uint32_t i) {
    std::vector<Row> rows;
    for (uint32_t j = 0; j < 100; j++) rows.push_back(row((i + 100) * 100 + j));
    load(rows);
  });
}

TEST_CASE_FIXTURE(Costs, "insert a row and roll back") {
  repeat([&](uint32_t i) {
    const uint64_t transaction = begin();
    if (!wait(insert(transaction, {row(rowCount + i)})).ok()) std::abort();
    store->rollback(transaction);
  });
}

TEST_CASE_FIXTURE(Costs, "change a row by its key and roll back") {
  repeat([&](uint32_t i) {
    const uint64_t transaction = begin();
    const std::string batch = keys(i * 13, 1);
    ChangeOptions options = update();
    options.keys = batch;
    if (wait(store->change(transaction, std::move(options))).changed != 1) std::abort();
    store->rollback(transaction);
  });
}

TEST_CASE_FIXTURE(Costs, "change 2000 rows and roll back") {
  repeat([&](uint32_t) {
    const uint64_t transaction = begin();
    ChangeOptions options = update();
    options.ranges = {{}};
    if (wait(store->change(transaction, std::move(options))).changed != rowCount) std::abort();
    store->rollback(transaction);
  });
}
