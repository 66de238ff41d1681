#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "store/transactions/write_order.hpp"

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t rowCount = 400;
static_assert(rowCount > minSortedWrites);

std::string city(uint32_t number) { return "city" + std::to_string(number * 7919 % 100); }
Row row(uint32_t number) { return {number, "n" + std::to_string(number * 104729 % 1000), city(number)}; }

struct Writer : StoreFixture {
  // In an order that is neither the primary key's nor an index's.
  static std::vector<Row> rowsFrom(uint32_t first) {
    std::vector<Row> rows;
    for (uint32_t i = 0; i < rowCount; i++) rows.push_back(row(first + i * 37 % rowCount));
    return rows;
  }
  std::map<std::string, uint64_t> counts() {
    std::map<std::string, uint64_t> result;
    for (const uint32_t index : {byNumber, byName, byCity}) {
      const uint64_t cursor = openCursor(0, {.index = index, .aggregates = {{}}});
      result[std::to_string(index)] = wait(store->fetch(cursor, 1)).count;
      store->closeCursor(cursor);
    }
    return result;
  }
};

void put(rocksdb::WriteBatch& batch, const std::string& key) { REQUIRE(batch.Put(key, "value").ok()); }

}  // namespace

TEST_CASE_FIXTURE(Writer, "a large transaction leaves its last writes, and none that it took back") {
  const uint64_t one = begin();
  REQUIRE(wait(insert(one, rowsFrom(0))).ok());
  // A statement that fails half-way, and a savepoint that is gone back to.
  CHECK(wait(insert(one, {row(9001), row(9002), row(3)})).code == ErrorCode::DUPLICATE_KEY);
  REQUIRE(wait(remove(one, {row(5), row(6), row(7)})).ok());
  REQUIRE(wait(insert(one, {{6, "again", "rome"}})).ok());
  REQUIRE(commit(one, Durability::SYNCED).ok());
  for (int opened = 0; opened < 2; opened++) {
    CHECK(read(0, 5) == std::vector<std::string>{"-"});
    CHECK(read(0, 6) == std::vector<std::string>{"6/again/rome"});
    CHECK(read(0, 9001) == std::vector<std::string>{"-"});
    CHECK(read(0, 123) == std::vector<std::string>{"123/" + row(123).name + "/" + city(123)});
    for (const auto& [index, count] : counts()) {
      INFO("index ", index);
      CHECK(count == rowCount - 2);
    }
    reopen();
  }
}

TEST_CASE_FIXTURE(Writer, "a large transaction is committed with its number") {
  const uint64_t one = begin();
  REQUIRE(wait(insert(one, rowsFrom(0))).ok());
  store->numberCommit(one, std::string(20, 's'), {7, "token"});
  REQUIRE(commit(one, Durability::SYNCED).ok());
  for (int opened = 0; opened < 2; opened++) {
    CHECK(store->lastCommit(std::string(20, 's')).number == 7);
    CHECK(store->lastCommit(std::string(20, 's')).token == "token");
    reopen();
  }
}

TEST_CASE("keys that are written in and beside a removed range are all found") {
  char directory[] = "/tmp/vamos-write-order-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  {
    StoreOptions options;
    options.path = directory;
    Database database(options);
    rocksdb::WriteBatch before;
    for (uint32_t i = 0; i < 100; i++) put(before, spaceKey(20, "k" + std::to_string(i)));
    for (uint64_t blob = 1; blob <= 20; blob++) put(before, chunkKey(blob, 0));
    REQUIRE(database.write(before).ok());
    REQUIRE(database.removeSpace(20).ok());
    REQUIRE(database.removeBlob(10, RecordKind::REMOVED_BLOB).ok());

    rocksdb::WriteBatch after;
    size_t written = 0;
    for (uint32_t i = 0; i < 200; i++, written++) put(after, spaceKey(20, std::to_string(i * 37 % 200)));
    for (uint64_t blob = 200; blob > 100; blob--, written++) put(after, chunkKey(blob, 0));
    REQUIRE(database.write(after).ok());

    const std::unique_ptr<rocksdb::Iterator> all(database.base().NewIterator({}));
    size_t found = 0;
    for (all->Seek(spaceKey(20)); all->Valid(); all->Next()) found++;
    CHECK(found == written + 19);
    std::string value;
    for (uint64_t blob = 1; blob <= 20; blob++) {
      CHECK(database.base().Get({}, chunkKey(blob, 0), &value).ok() == (blob != 10));
    }
  }
  std::filesystem::remove_all(directory);
}
