// What transactions like those of sysbench's read_write cost the store's process in processor time, with and
// without a cache of rows: `npm run costs:cache`. Both stores have the same rows and take turns.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <sys/resource.h>

#include <cstdio>
#include <random>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t rowCount = 50'000;
constexpr uint32_t rangeRows = 100;
constexpr uint32_t connectionCount = 8;
constexpr uint64_t cacheBytesOn = 128 << 20;
constexpr size_t padBytes = 120;
constexpr uint64_t windowBytes = 64 << 10;

double processorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

uint32_t roundTransactions() {
  const char* text = std::getenv("VAMOS_ROUNDS");
  return text == nullptr ? 2000 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

// Connections whose transactions interleave, statement by statement. Each writes rows of its own.
class Load : public StoreFixture {
 public:
  explicit Load(uint64_t bytes) {
    options.cacheBytes = bytes;
    options.blockCacheBytes = 128 << 20;
    options.maxTransactionBytes = 64 << 20;
    reopen();
    for (uint32_t first = 0; first < rowCount; first += 1000) {
      std::vector<Row> rows;
      for (uint32_t number = first; number < first + 1000; number++) {
        values_.push_back(number);
        rows.push_back(row(number));
      }
      load(rows);
    }
    for (Connection& connection : connections_) connection.transaction = begin();
  }

  // Returns the processor time of one transaction, in microseconds.
  double run(uint32_t transactions) {
    const double before = processorSeconds();
    for (const uint32_t end = ended_ + transactions; ended_ < end;) {
      for (uint32_t number = 0; number < connectionCount; number++) step(number);
    }
    return (processorSeconds() - before) * 1e6 / transactions;
  }
  // The gets alone, outside of transactions.
  double runGets(uint32_t count) {
    const double before = processorSeconds();
    for (uint32_t i = 0; i < count; i++) {
      if (!wait(get(0, any())).ok()) std::abort();
    }
    return (processorSeconds() - before) * 1e6 / count;
  }

 private:
  struct Connection {
    uint64_t transaction = 0;
    uint32_t step = 0;
    std::vector<std::pair<uint32_t, uint32_t>> writes;
  };

  Row row(uint32_t number) const {
    std::string name = "n" + std::to_string(number);
    name.resize(padBytes, '.');
    return {number, name, "k" + std::to_string(values_[number])};
  }
  uint32_t any() { return dice_() % rowCount; }

  void step(uint32_t number) {
    Connection& one = connections_[number];
    const uint32_t step = one.step++;
    if (step < 10) {
      if (!wait(get(one.transaction, any())).ok()) std::abort();
    } else if (step < 14) {
      scanRange(one);
    } else if (step < 17) {
      const uint32_t written = any() / connectionCount * connectionCount + number;
      change(one, written, step == 16);
    } else {
      if (!commit(one.transaction, Durability::MEMORY).ok()) std::abort();
      one = {begin(), 0, {}};
      ended_++;
    }
  }
  void scanRange(const Connection& one) {
    const uint32_t low = any() % (rowCount - rangeRows);
    CursorOptions range{.index = byNumber};
    range.lower = numberKey(low);
    range.upper = numberKey(low + rangeRows - 1);
    const uint64_t cursor = openCursor(one.transaction, std::move(range));
    if (wait(store->fetch(cursor, windowBytes)).count != rangeRows) std::abort();
    store->closeCursor(cursor);
  }
  void change(Connection& one, uint32_t number, bool isReplaced) {
    const Row before = row(number);
    values_[number]++;
    const Row after = row(number);
    if (!isReplaced) {
      if (!wait(update(one.transaction, {{before, after}})).ok()) std::abort();
      return;
    }
    if (!wait(remove(one.transaction, {before})).ok()) std::abort();
    if (!wait(insert(one.transaction, {after})).ok()) std::abort();
  }

  std::mt19937 dice_{1};
  std::vector<uint32_t> values_;
  std::array<Connection, connectionCount> connections_;
  uint32_t ended_ = 0;
};

}  // namespace

TEST_CASE("processor time with and without a cache") {
  Load without(0);
  Load with(cacheBytesOn);
  std::printf("%10s %14s %14s %6s %8s\n", "", "without, us", "with, us", "ratio", "hits");
  const auto print = [&](const char* name, double off, double on) {
    const Statistics counts = with.store->statistics();
    std::printf("%10s %14.1f %14.1f %6.2f %7.1f%%\n", name, off, on, on / off,
                100.0 * static_cast<double>(counts.cacheHits) /
                    static_cast<double>(counts.cacheHits + counts.cacheMisses));
    std::fflush(stdout);
  };
  for (uint32_t round = 0; round < 10; round++) {
    const double off = without.run(roundTransactions());
    const double on = with.run(roundTransactions());
    print("read_write", off, on);
    const double getsOff = without.runGets(10 * roundTransactions());
    const double getsOn = with.runGets(10 * roundTransactions());
    print("get", getsOff, getsOn);
  }
  CHECK(with.store->statistics().cacheContradictions == 0);
}
