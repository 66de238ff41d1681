#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <random>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t wide = 8;
constexpr uint32_t mostRows = 1000;

// A store on a file system of its own that is soon full.
struct SmallDisk : StoreFixture {
  SmallDisk() {
    store.reset();
    isMounted = mount("none", path().c_str(), "tmpfs", 0, "size=6m") == 0;
    if (!isMounted) MESSAGE("skipped: no file system can be mounted here: ", std::strerror(errno));
    openAgain();
  }
  ~SmallDisk() {
    store.reset();
    if (isMounted) umount2(path().c_str(), MNT_DETACH);
  }

  std::string path() const { return directory() + "/tables"; }
  void openAgain() {
    reopen();
    store->defineTable({wide, {{20, true}}, {{static_cast<uint32_t>(ColumnKind::BYTES), 0}}});
  }
  void makeRoom() { REQUIRE(mount("none", path().c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0); }

  // With 64 KiB that don't compress.
  uint64_t write(uint32_t number) {
    std::string row(1, '\0');
    appendU32(row, 64 << 10);
    for (int i = 0; i < 8 << 10; i++) appendU64(row, random());
    std::string batch;
    const std::string key = numberKey(number);
    appendNewRow(batch, {row, {{key, "", false}}});
    const uint64_t transaction = begin();
    const Outcome written = wait(store->write(transaction, wide, WriteKind::INSERT, batch, Wait::WAIT));
    REQUIRE(written.message == "");
    return transaction;
  }
  // Commits rows until one is not confirmed: its number.
  uint32_t fill(Durability durability, Outcome& last) {
    for (uint32_t number = 0; number < mostRows; number++) {
      last = commit(write(number), durability);
      if (!last.ok()) return number;
    }
    return mostRows;
  }
  Outcome getWide(uint32_t number) {
    return wait(store->get(0, wide, 0, keyBatch(numberKey(number)), Lock::NONE, Wait::WAIT, {}, false));
  }
  bool has(uint32_t number) {
    const Outcome outcome = getWide(number);
    REQUIRE(outcome.ok());
    return Reader(outcome.result).u32() != missingRow;
  }
  void checkRefusesAll() {
    CHECK(wait(0).code == ErrorCode::DISK_FULL);
    CHECK(getWide(0).code == ErrorCode::DISK_FULL);
    const uint64_t transaction = begin();
    CHECK(wait(insert(transaction, {{1, "", "x"}})).code == ErrorCode::DISK_FULL);
    CHECK(wait(store->putRecords({{"a", "b"}}, true)).code == ErrorCode::DISK_FULL);
    CHECK_THROWS_AS(store->lastCommit(std::string(20, 's')), StoreError);
    CHECK_THROWS_AS(store->getRecords(""), StoreError);
  }

  bool isMounted;
  std::mt19937_64 random{1};
};

}  // namespace

TEST_CASE_FIXTURE(SmallDisk, "what became of a commit that the disk had no room for is not known") {
  if (!isMounted) return;
  Durability durability = Durability::SYNCED;
  SUBCASE("synced") {}
  SUBCASE("written") { durability = Durability::WRITTEN; }
  Outcome last;
  const uint32_t failed = fill(durability, last);
  REQUIRE(failed > 10);
  REQUIRE(failed < mostRows);
  CHECK(last.code == ErrorCode::OUTCOME_UNKNOWN);
  CHECK(last.message.find("the disk is full") != std::string::npos);
  checkRefusesAll();
  makeRoom();
  // Nor does room alone help: the log has a gap.
  CHECK(getWide(0).code == ErrorCode::DISK_FULL);
  openAgain();
  for (uint32_t number = 0; number < failed; number++) CHECK(has(number));
  CHECK_FALSE(has(failed + 1));
  CHECK(commit(write(failed + 1), durability).ok());
  CHECK(has(failed + 1));
}

TEST_CASE_FIXTURE(SmallDisk, "what was committed in memory may be lost with the store, from its end only") {
  if (!isMounted) return;
  Outcome last;
  const uint32_t failed = fill(Durability::MEMORY, last);
  REQUIRE(failed > 10);
  REQUIRE(failed < mostRows);
  checkRefusesAll();
  makeRoom();
  openAgain();
  uint32_t number = 0;
  while (number < failed && has(number)) number++;
  CHECK(number > 10);
  for (; number < failed; number++) CHECK_FALSE(has(number));
}

TEST_CASE_FIXTURE(SmallDisk, "a blob that the disk has no room for ends the store, too") {
  if (!isMounted) return;
  CHECK(commit(write(0), Durability::SYNCED).ok());
  std::string chunk(1 << 20, '\0');
  for (char& byte : chunk) byte = static_cast<char>(random());
  Outcome outcome;
  for (uint64_t blob = 1; outcome.ok() && blob < mostRows; blob++) {
    outcome = wait(store->writeBlob(blob, 0, chunk));
  }
  CHECK(outcome.code == ErrorCode::DISK_FULL);
  checkRefusesAll();
  makeRoom();
  openAgain();
  CHECK(has(0));
}

TEST_CASE_FIXTURE(SmallDisk, "transactions whose preparation was confirmed are still prepared") {
  if (!isMounted) return;
  uint32_t confirmed = 0;
  Outcome outcome;
  for (; confirmed < mostRows; confirmed++) {
    outcome = prepare(write(confirmed), "xid " + std::to_string(confirmed), Durability::SYNCED);
    if (!outcome.ok()) break;
  }
  CHECK(outcome.code == ErrorCode::OUTCOME_UNKNOWN);
  REQUIRE(confirmed > 10);
  checkRefusesAll();
  makeRoom();
  openAgain();
  CHECK(store->prepared().size() >= confirmed);
  CHECK(store->prepared().size() <= confirmed + 1);
  for (const PreparedTransaction& prepared : store->prepared()) {
    CHECK(end(Ending::COMMIT, prepared.transaction, Durability::SYNCED).ok());
  }
  for (uint32_t number = 0; number < confirmed; number++) CHECK(has(number));
}

TEST_CASE_FIXTURE(SmallDisk, "a commit that is refused before it is written ends nothing") {
  const uint64_t transaction = begin();
  std::string batch;
  Outcome outcome;
  for (uint32_t number = 0; outcome.ok() && number < mostRows; number++) {
    batch.clear();
    std::string row(1, '\0');
    appendU32(row, 64 << 10);
    row.append(64 << 10, 'x');
    const std::string key = numberKey(number);
    appendNewRow(batch, {row, {{key, "", false}}});
    outcome = wait(store->write(transaction, wide, WriteKind::INSERT, batch, Wait::WAIT));
  }
  CHECK(outcome.code == ErrorCode::TRANSACTION_TOO_LARGE);
  store->rollback(transaction);
  CHECK(commit(write(1)).ok());
  CHECK(has(1));
}
