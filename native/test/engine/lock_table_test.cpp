#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "engine/lock_table.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

using namespace vamos::engine;

namespace {

constexpr auto shared = LockMode::SHARED;
constexpr auto exclusive = LockMode::EXCLUSIVE;
constexpr auto wait = IfLocked::WAIT;

const std::string a = spaceKey(1, "a");
const std::string b = spaceKey(1, "b");
const std::string c = spaceKey(1, "c");
const std::string m = spaceKey(1, "m");
const KeyRange aToM{a, m};

struct Fixture {
  std::vector<uint64_t> woken;
  LockTable table{[](void* self, uint64_t owner) { static_cast<Fixture*>(self)->woken.push_back(owner); },
                  this};
  LockOwner one{1};
  LockOwner two{2};
  LockOwner three{3};

  ~Fixture() {
    for (LockOwner* owner : {&one, &two, &three}) table.release(*owner);
    CHECK(table.heldCount() == 0);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "shared row locks stand together, an exclusive one alone") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(three, a, exclusive, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockRow(three, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, b, shared, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockRow(three, b, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.heldCount() == 3);
}

TEST_CASE_FIXTURE(Fixture, "a shared lock does not overtake an exclusive one that waits") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::QUEUED);
  table.release(one);
  CHECK(woken == std::vector<uint64_t>{2});
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::GRANTED);
  table.release(two);
  CHECK(woken == std::vector<uint64_t>{2, 3});
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "who leaves the queue lets those behind through") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::QUEUED);
  table.stopWaiting(two);
  CHECK(woken == std::vector<uint64_t>{3});
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "an upgrade goes before those who hold nothing yet") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(three, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::QUEUED);
  table.release(two);
  CHECK(woken == std::vector<uint64_t>{1});
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "two upgrades of one row are a deadlock") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::DEADLOCK);
  table.release(two);
  CHECK(woken == std::vector<uint64_t>{1});
}

TEST_CASE_FIXTURE(Fixture, "a circle of three is found when it closes, and only then") {
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(three, c, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, b, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(two, c, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.deadlockCount() == 0);
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::DEADLOCK);
  CHECK(table.deadlockCount() == 1);
  table.release(three);
  CHECK(woken == std::vector<uint64_t>{2});
}

TEST_CASE_FIXTURE(Fixture, "a circle through the queue, not through a holder, is found") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(three, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(three, a, shared, wait) == LockAnswer::QUEUED);  // behind two
  CHECK(table.lockRow(one, b, exclusive, wait) == LockAnswer::DEADLOCK);
}

TEST_CASE_FIXTURE(
    Fixture, "an owner that is stopped while it asks joins no queue, so that no circle goes through it") {
  std::atomic<uint32_t> stopSign{0};
  one.setStopSign(&stopSign);
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(two, {c, m}, wait) == LockAnswer::GRANTED);
  stopSign = 1;
  table.stopWaiting(one);
  CHECK(table.lockRow(one, b, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::QUEUED);
  table.stopWaiting(two);
  CHECK(table.lockInsert(one, c + "c", wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(two, a, exclusive, wait) == LockAnswer::QUEUED);
  CHECK(table.deadlockCount() == 0);
  table.release(one);
  CHECK(woken == std::vector<uint64_t>{2});
}

TEST_CASE_FIXTURE(Fixture, "gap locks stand together and keep others from inserting") {
  CHECK(table.lockGap(one, aToM, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(two, aToM, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(three, b, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockInsert(three, b, wait) == LockAnswer::QUEUED);
  table.release(one);
  CHECK(table.lockInsert(three, b, wait) == LockAnswer::QUEUED);
  table.release(two);
  CHECK(table.lockInsert(three, b, wait) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "a gap ends before its upper key, and stays in its space") {
  CHECK(table.lockGap(one, aToM, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(two, m, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(two, spaceKey(2, "b"), wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, b, exclusive, wait) == LockAnswer::GRANTED);  // a row lock is no insert
  CHECK(table.lockInsert(one, c, wait) == LockAnswer::GRANTED);          // its own gap
}

TEST_CASE_FIXTURE(Fixture, "a gap lock waits for an insert that nobody can see yet") {
  CHECK(table.lockInsert(one, b, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(two, aToM, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockGap(two, aToM, wait) == LockAnswer::QUEUED);
  table.release(one);
  CHECK(woken == std::vector<uint64_t>{2});
  CHECK(table.lockGap(two, aToM, wait) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "two who lock a gap and then insert into it are a deadlock") {
  CHECK(table.lockGap(one, aToM, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(two, aToM, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(one, b, wait) == LockAnswer::QUEUED);
  CHECK(table.lockInsert(two, c, wait) == LockAnswer::DEADLOCK);
  table.release(two);
  CHECK(woken == std::vector<uint64_t>{1});
}

TEST_CASE_FIXTURE(Fixture, "the gaps of a scan grow into one") {
  CHECK(table.lockGap(one, {a, b}, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(one, {b + '\0', c}, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, c, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(one, {c + '\0', m}, wait) == LockAnswer::GRANTED);
  CHECK(table.heldCount() == 3);
  CHECK(table.lockInsert(two, spaceKey(1, "d"), IfLocked::REFUSE) == LockAnswer::REFUSED);
}

TEST_CASE_FIXTURE(Fixture, "gaps of different indexes stay apart") {
  const KeyRange last = prefixRange(spaceKey(1));
  const KeyRange first = prefixRange(spaceKey(2));
  CHECK(table.lockGap(one, last, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(one, first, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(two, spaceKey(1, "x"), IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockInsert(two, spaceKey(2, "x"), IfLocked::REFUSE) == LockAnswer::REFUSED);
}

TEST_CASE_FIXTURE(Fixture, "the gap around a missing key ends at what others may be inserting") {
  CHECK(table.lockInsert(two, c, wait) == LockAnswer::GRANTED);
  table.lockGapAround(one, b, aToM);
  table.lockGapAround(three, b, aToM);
  CHECK(table.lockInsert(two, b, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockInsert(two, b + 'x', IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockInsert(two, c + 'x', IfLocked::REFUSE) == LockAnswer::GRANTED);
}

TEST_CASE_FIXTURE(Fixture, "only locks first taken since a mark can be given back or made shared") {
  CHECK(table.lockRow(one, a, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockGap(one, aToM, wait) == LockAnswer::GRANTED);
  const uint64_t mark = table.mark(one);
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, b, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, c, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, a, shared, wait) == LockAnswer::QUEUED);
  CHECK(table.lockRow(three, b, shared, wait) == LockAnswer::QUEUED);
  for (const std::string& key : {a, b, m}) table.unlockRow(one, key, mark);
  table.shareRow(one, c, mark);
  CHECK(woken == std::vector<uint64_t>{3});
  CHECK(table.lockRow(three, c, shared, IfLocked::REFUSE) == LockAnswer::GRANTED);
  CHECK(table.lockRow(three, c, exclusive, IfLocked::REFUSE) == LockAnswer::REFUSED);
  CHECK(table.lockInsert(three, spaceKey(1, "d"), IfLocked::REFUSE) == LockAnswer::REFUSED);
  table.stopWaiting(two);
}

TEST_CASE_FIXTURE(Fixture, "going back gives up the locks of inserts, and no others") {
  CHECK(table.lockInsert(one, m, wait) == LockAnswer::GRANTED);
  const uint64_t mark = table.mark(one);
  CHECK(table.lockRow(one, a, exclusive, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(one, a, wait) == LockAnswer::GRANTED);
  CHECK(table.lockInsert(one, b, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(one, c, shared, wait) == LockAnswer::GRANTED);
  CHECK(table.lockRow(two, b, shared, wait) == LockAnswer::QUEUED);
  table.releaseSince(one, mark, true);
  CHECK(woken == std::vector<uint64_t>{2});
  for (const std::string& key : {a, c, m}) {
    CHECK(table.lockInsert(three, key, IfLocked::REFUSE) == LockAnswer::REFUSED);
  }
}
