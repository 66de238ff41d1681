#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <dlfcn.h>

#include <atomic>
#include <ctime>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

std::atomic<time_t> clockErrorSeconds = 0;

}  // namespace

// The wall clock of this whole process, RocksDB included, is wrong by clockErrorSeconds.
extern "C" __attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
                                                                    timespec* time) noexcept {
  static const auto real = reinterpret_cast<int (*)(clockid_t, timespec*)>(dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = real(clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += clockErrorSeconds;
  return result;
}

namespace {

constexpr time_t weekSeconds = 7L * 24 * 3600;

struct Numbers : StoreFixture {
  static std::string streamOf(uint32_t number) {
    std::string stream(16, 's');
    appendBigEndian32(stream, number);
    return stream;
  }
  void commitNumbered(uint32_t stream, uint64_t number) {
    const uint64_t transaction = begin();
    REQUIRE(wait(insert(transaction, {{++lastRow, "", "x"}})).ok());
    store->numberCommit(transaction, streamOf(stream), {number, ""});
    REQUIRE(commit(transaction, Durability::SYNCED).ok());
  }
  uint64_t last(uint32_t stream) { return store->lastCommit(streamOf(stream)).number; }

  uint32_t lastRow = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Numbers, "a commit's number is remembered whatever the clock says when the store opens") {
  const auto now = std::chrono::system_clock::now();
  clockErrorSeconds = weekSeconds;
  REQUIRE(std::chrono::system_clock::now() - now >= std::chrono::seconds(weekSeconds));
  clockErrorSeconds = 0;
  commitNumbered(1, 7);
  for (const time_t error : {weekSeconds + 1, 52 * weekSeconds, -weekSeconds - 1, time_t{0}}) {
    clockErrorSeconds = error;
    reopen();
    CHECK(last(1) == 7);
  }
  // It was a week ahead while commits were written, and then was set right.
  clockErrorSeconds = weekSeconds + 1;
  commitNumbered(2, 8);
  clockErrorSeconds = 0;
  commitNumbered(1, 9);
  reopen();
  CHECK(last(1) == 9);
  CHECK(last(2) == 8);
}

TEST_CASE_FIXTURE(Numbers,
                  "of more numbers than the store keeps, those that were written first are forgotten") {
  options.maxCommitNumbers = 3;
  commitNumbered(5, 1);
  for (uint32_t stream = 1; stream <= 4; stream++) commitNumbered(stream, stream + 10);
  commitNumbered(2, 20);
  CHECK(last(5) == 1);
  reopen();
  CHECK(last(5) == 0);
  CHECK(last(1) == 0);
  CHECK(last(2) == 20);
  CHECK(last(3) == 13);
  CHECK(last(4) == 14);
  reopen();
  CHECK(last(2) == 20);
}
