#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t confirmed = 20;

// A store on a file system of the kernel's own whose disk can be made to refuse all writes: a loop device
// that ends before the place that is written. Writes to files go well then, and syncs fail; after that Linux
// takes what was not written for written, and shows it to everyone who reads the file until it drops it from
// memory.
struct FailingDisk : StoreFixture {
  FailingDisk() {
    store.reset();
    const std::string image = directory() + "/image";
    std::filesystem::create_directories(path());
    isThere = run("truncate -s 512M " + image) && run("mke2fs -q -F -t ext4 -O ^has_journal " + image) &&
              run("losetup -f --show " + image + " > " + directory() + "/device");
    if (isThere) std::ifstream(directory() + "/device") >> device;
    isThere = isThere && run("mount " + device + " " + path());
    if (!isThere) MESSAGE("skipped: no loop device can be mounted here");
    reopen();
  }
  ~FailingDisk() {
    store.reset();
    run("umount -l " + path());
    if (!device.empty()) run("losetup -d " + device);
  }

  static bool run(const std::string& command) { return std::system((command + " 2>/dev/null").c_str()) == 0; }
  std::string path() const { return directory() + "/tables"; }
  // The device ends after so many bytes; 0: where its file does.
  void setDeviceSize(uint64_t bytes) {
    const int file = ::open(device.c_str(), O_RDWR | O_CLOEXEC);
    loop_info64 info{};
    REQUIRE(ioctl(file, LOOP_GET_STATUS64, &info) == 0);
    info.lo_sizelimit = bytes;
    int result = -1;
    do {
      result = ioctl(file, LOOP_SET_STATUS64, &info);
    } while (result != 0 && errno == EAGAIN);
    ::close(file);
    REQUIRE(result == 0);
  }
  void refuseWrites() { setDeviceSize(64 << 10); }
  void mend() { setDeviceSize(0); }
  // What memory holds of the file system goes; the disk's blocks stay.
  void loseMemory() {
    store.reset();
    REQUIRE(run("umount " + path()));
    REQUIRE(run("mount " + device + " " + path()));
  }

  uint64_t write(uint32_t number) {
    const uint64_t transaction = begin();
    REQUIRE(wait(insert(transaction, {{number, "", std::string(1000, 'x')}})).ok());
    return transaction;
  }
  bool has(uint32_t number) { return read(0, number).at(0) != "-"; }

  bool isThere = false;
  std::string device;
};

}  // namespace

TEST_CASE_FIXTURE(FailingDisk, "what a failed sync left in memory alone is not read for stored") {
  if (!isThere) return;
  for (uint32_t number = 0; number < confirmed; number++) {
    REQUIRE(prepare(write(number), "xid " + std::to_string(number), Durability::SYNCED).ok());
  }
  const uint64_t last = write(confirmed);
  refuseWrites();
  const Outcome outcome = prepare(last, "last", Durability::SYNCED);
  CHECK(outcome.code == ErrorCode::OUTCOME_UNKNOWN);
  CHECK_MESSAGE(outcome.message.find("Input/output error") != std::string::npos, outcome.message);
  store.reset();
  mend();
  open();
  const std::vector<PreparedTransaction> prepared = store->prepared();
  CHECK(prepared.size() >= confirmed);
  CHECK(prepared.size() <= confirmed + 1);
  for (const PreparedTransaction& each : prepared) {
    REQUIRE(end(Ending::COMMIT, each.transaction, Durability::SYNCED).ok());
  }
  loseMemory();
  open();
  CHECK(store->prepared().empty());
  for (uint32_t number = 0; number < prepared.size(); number++) CHECK(has(number));
}

TEST_CASE_FIXTURE(FailingDisk, "a commit whose sync failed is there or not, and stays so") {
  if (!isThere) return;
  for (uint32_t number = 0; number < confirmed; number++) {
    REQUIRE(commit(write(number), Durability::SYNCED).ok());
  }
  const uint64_t last = write(confirmed);
  refuseWrites();
  CHECK(commit(last, Durability::SYNCED).code == ErrorCode::OUTCOME_UNKNOWN);
  // Nor can the root be opened while the disk refuses.
  CHECK_THROWS_AS(reopen(), StoreError);
  mend();
  open();
  const bool isLastThere = has(confirmed);
  loseMemory();
  open();
  for (uint32_t number = 0; number < confirmed; number++) CHECK(has(number));
  CHECK(has(confirmed) == isLastThere);
  CHECK(commit(write(confirmed + 1), Durability::SYNCED).ok());
}
