#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <sys/mount.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "store_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

namespace {

constexpr uint32_t wide = 8;
constexpr uint32_t mostRows = 1000;

// A store on a file system whose disk soon takes no more blocks: a loop device over a sparse file, on a tmpfs with too
// little room for it. Writes go well, and the sync after them fails; then Linux takes what was not written for
// written, and shows it to everyone who reads the file, until it drops it from memory.
struct FailingDisk : StoreFixture {
  FailingDisk() {
    store.reset();
    std::filesystem::create_directory(disk());
    isThere = mount("none", disk().c_str(), "tmpfs", 0, "size=12m") == 0 &&
              run("truncate -s 64M " + disk() + "/image") &&
              run("mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=0 " + disk() + "/image") &&
              run("losetup -f --show " + disk() + "/image > " + directory() + "/device");
    if (isThere) std::getline(std::ifstream(directory() + "/device") >> std::ws, device);
    std::filesystem::create_directories(path());
    isThere = isThere && run("mount " + device + " " + path());
    if (!isThere) MESSAGE("skipped: no loop device can be mounted here");
    openAgain();
  }
  ~FailingDisk() {
    store.reset();
    run("umount -l " + path());
    if (!device.empty()) run("losetup -d " + device);
    run("umount -l " + disk());
  }

  static bool run(const std::string& command) { return std::system((command + " 2>/dev/null").c_str()) == 0; }
  std::string disk() const { return directory() + "/disk"; }
  std::string path() const { return directory() + "/tables"; }
  void openAgain() {
    reopen();
    store->defineTable({wide, {{20, true}}, {{static_cast<uint32_t>(ColumnKind::BYTES), 0}}});
  }
  void makeRoom() { REQUIRE(mount("none", disk().c_str(), "tmpfs", MS_REMOUNT, "size=200m") == 0); }
  // What memory holds of the file system goes; the disk's blocks stay.
  void loseMemory() {
    store.reset();
    REQUIRE(run("umount " + path()));
    REQUIRE(run("mount " + device + " " + path()));
  }

  // With 32 KiB that don't compress.
  uint64_t write(uint32_t number) {
    std::string row(1, '\0');
    appendU32(row, 32 << 10);
    for (int i = 0; i < 4 << 10; i++) appendU64(row, random());
    std::string batch;
    const std::string key = numberKey(number);
    appendNewRow(batch, {row, {{key, "", false}}});
    const uint64_t transaction = begin();
    REQUIRE(wait(store->write(transaction, wide, WriteKind::INSERT, batch, Wait::WAIT)).ok());
    return transaction;
  }
  bool has(uint32_t number) {
    const Outcome outcome =
        wait(store->get(0, wide, 0, keyBatch(numberKey(number)), Lock::NONE, Wait::WAIT, {}, false));
    REQUIRE(outcome.ok());
    return Reader(outcome.result).u32() != missingRow;
  }

  bool isThere = false;
  std::string device;
  std::mt19937_64 random{1};
};

}  // namespace

TEST_CASE_FIXTURE(FailingDisk, "what a failed sync left in memory alone is not read for stored") {
  if (!isThere) return;
  Outcome last;
  uint32_t confirmed = 0;
  for (; confirmed < mostRows; confirmed++) {
    last = prepare(write(confirmed), "xid " + std::to_string(confirmed), Durability::SYNCED);
    if (!last.ok()) break;
  }
  REQUIRE(confirmed > 10);
  REQUIRE(confirmed < mostRows);
  CHECK(last.code == ErrorCode::OUTCOME_UNKNOWN);
  makeRoom();
  openAgain();
  const std::vector<PreparedTransaction> prepared = store->prepared();
  CHECK(prepared.size() >= confirmed);
  CHECK(prepared.size() <= confirmed + 1);
  for (const PreparedTransaction& each : prepared) {
    REQUIRE(end(Ending::COMMIT, each.transaction, Durability::SYNCED).ok());
  }
  loseMemory();
  openAgain();
  CHECK(store->prepared().empty());
  for (uint32_t number = 0; number < prepared.size(); number++) CHECK(has(number));
}

TEST_CASE_FIXTURE(FailingDisk, "a commit whose sync failed is there as a whole or not at all, and stays so") {
  if (!isThere) return;
  Outcome last;
  uint32_t confirmed = 0;
  for (; confirmed < mostRows; confirmed++) {
    last = commit(write(confirmed), Durability::SYNCED);
    if (!last.ok()) break;
  }
  REQUIRE(confirmed > 10);
  REQUIRE(confirmed < mostRows);
  CHECK(last.code == ErrorCode::OUTCOME_UNKNOWN);
  makeRoom();
  openAgain();
  const bool isThere = has(confirmed);
  loseMemory();
  openAgain();
  for (uint32_t number = 0; number < confirmed; number++) CHECK(has(number));
  CHECK(has(confirmed) == isThere);
  CHECK(commit(write(confirmed + 1), Durability::SYNCED).ok());
}
