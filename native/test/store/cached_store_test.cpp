// A store that keeps rows in a cache: what it answers from there, and what it may not.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <numeric>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

using Texts = std::vector<std::string>;

namespace {

constexpr uint32_t accountCount = 24;
constexpr uint32_t firstBalance = 1000;
// A window of this size is read by a thread.
constexpr uint64_t windowBytes = 128 << 10;

struct CachedStore : StoreFixture {
  CachedStore() { reopenWith(1 << 20); }
  ~CachedStore() { CHECK(store->statistics().cacheContradictions == 0); }

  void reopenWith(uint64_t bytes) {
    options.cacheBytes = bytes;
    reopen();
  }
  uint64_t hits() { return store->statistics().cacheHits; }
  uint64_t misses() { return store->statistics().cacheMisses; }
};

// Accounts whose balance stands in the column of the city. All of them together never change.
struct Bank : CachedStore {
  explicit Bank(uint64_t bytes) {
    reopenWith(bytes);
    std::vector<Row> rows;
    for (uint32_t number = 0; number < accountCount; number++) {
      balances.push_back(firstBalance);
      rows.push_back(account(number));
    }
    load(rows);
  }

  Row account(uint32_t number) const {
    return {number, "n" + std::to_string(number), std::to_string(balances[number])};
  }
  // Moves an amount, without the commit.
  uint64_t transfer(uint32_t from, uint32_t to, uint32_t amount) {
    const uint64_t transaction = begin();
    const Row fromBefore = account(from);
    const Row toBefore = account(to);
    balances[from] -= amount;
    balances[to] += amount;
    const Outcome outcome = wait(update(transaction, {{fromBefore, account(from)}, {toBefore, account(to)}}));
    CHECK(outcome.message == "");
    return transaction;
  }
  static uint64_t sum(const Texts& rows) {
    return std::accumulate(rows.begin(), rows.end(), uint64_t{0}, [](uint64_t sum, const std::string& row) {
      return sum + std::stoul(row.substr(row.rfind('/') + 1));
    });
  }

  std::vector<uint32_t> balances;
};

}  // namespace

TEST_CASE_FIXTURE(CachedStore, "rows that were read or written are read in the cache") {
  load({{1, "a", "x"}, {2, "b", "x"}});
  CHECK(read(0, 1) == Texts{"1/a/x"});
  CHECK(hits() > 0);
  scan(0, {.index = byCity});
  const uint64_t before = misses();
  CHECK(scan(0, {.index = byCity}) == Texts{"1/a/x", "2/b/x"});
  CHECK(scan(0, {.index = byCity, .reverse = true}) == Texts{"2/b/x", "1/a/x"});
  CHECK(read(0, 2) == Texts{"2/b/x"});
  CHECK(misses() == before);
}

TEST_CASE_FIXTURE(CachedStore, "a snapshot sees what was there, whatever the cache has since") {
  load({{1, "a", "x"}, {2, "b", "x"}});
  const uint64_t reader = begin();
  CHECK(read(reader, 1) == Texts{"1/a/x"});
  const uint64_t writer = begin();
  CHECK(wait(update(writer, {{{1, "a", "x"}, {1, "a", "y"}}})).ok());
  CHECK(wait(remove(writer, {{2, "b", "x"}})).ok());
  CHECK(wait(insert(writer, {{3, "c", "x"}})).ok());
  CHECK(commit(writer).ok());
  CHECK(scan(0, {.index = byNumber}) == Texts{"1/a/y", "3/c/x"});
  CHECK(scan(reader, {.index = byNumber}) == Texts{"1/a/x", "2/b/x"});
  CHECK(read(reader, 3) == Texts{"-"});
}

TEST_CASE_FIXTURE(CachedStore, "a prepared transaction is seen when it is committed, also in another life") {
  load({{1, "a", "x"}});
  CHECK(read(0, 1) == Texts{"1/a/x"});
  const uint64_t one = begin();
  CHECK(wait(update(one, {{{1, "a", "x"}, {1, "a", "y"}}})).ok());
  CHECK(prepare(one, "xid").ok());
  CHECK(read(0, 1) == Texts{"1/a/x"});
  reopen();
  CHECK(read(0, 1) == Texts{"1/a/x"});
  CHECK(end(Ending::COMMIT, store->prepared().at(0).transaction).ok());
  CHECK(read(0, 1) == Texts{"1/a/y"});
}

TEST_CASE_FIXTURE(CachedStore, "the rows of a dropped table are gone") {
  load({{1, "a", "x"}});
  CHECK(scan(0, {.index = byNumber}).size() == 1);
  store->dropTable(table);
  store->defineTable({table, indexes(), columns()});
  while (!scan(0, {.index = byNumber}).empty()) {
  }
  CHECK(read(0, 1) == Texts{"-"});
}

TEST_CASE_FIXTURE(CachedStore, "the cache takes no more memory than it may") {
  reopenWith(32 << 10);
  for (uint32_t first = 0; first < 2000; first += 100) {
    std::vector<Row> rows;
    for (uint32_t number = first; number < first + 100; number++) {
      rows.push_back({number, "n" + std::to_string(number), "bonn"});
    }
    load(rows);
    CHECK(scan(0, {.index = byCity}).size() == first + 100);
    CHECK(store->statistics().cacheBytes <= 32 << 10);
  }
  CHECK(store->statistics().cacheEvictions > 0);
}

TEST_CASE("reads that run beside commits never see a part of one") {
  for (const uint64_t bytes : {uint64_t{6} << 10, uint64_t{20} << 10, uint64_t{1} << 20}) {
    CAPTURE(bytes);
    Bank bank(bytes);
    uint64_t reader = bank.begin();
    constexpr uint64_t all = uint64_t{accountCount} * firstBalance;
    for (uint32_t round = 0; round < 1500; round++) {
      const uint32_t from = round * 7 % accountCount;
      const uint32_t to = (from + 1 + round % (accountCount - 1)) % accountCount;
      const uint64_t transaction = bank.transfer(from, to, 1 + round % 3);
      const bool isReverse = round % 2 == 0;
      const uint32_t index = round % 3;
      // The commit and both reads are on different threads.
      const uint64_t ending = bank.store->end(Ending::COMMIT, {transaction}, Durability::MEMORY).at(0);
      const uint64_t fresh = bank.openCursor(0, {.index = index, .reverse = isReverse});
      const uint64_t old = bank.openCursor(reader, {.index = index, .reverse = !isReverse});
      const Answer freshRows = bank.store->fetch(fresh, windowBytes);
      const Answer oldRows = bank.store->fetch(old, windowBytes);
      CHECK(Bank::sum(StoreFixture::rows(bank.wait(freshRows))) == all);
      CHECK(Bank::sum(StoreFixture::rows(bank.wait(oldRows))) == all);
      CHECK(bank.wait(ending).ok());
      bank.store->closeCursor(fresh);
      bank.store->closeCursor(old);
      const Row changed = bank.account(to);
      CHECK(bank.read(0, to) == Texts{StoreFixture::rowText(StoreFixture::rowBytes(changed))});
      if (round % 5 != 0) continue;
      bank.store->rollback(reader);
      reader = bank.begin();
    }
  }
}
