#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/keys.hpp"

// Locks on rows (one key) and gaps (a range of keys), after InnoDB:
// - A row lock is shared or exclusive. Who asks waits behind those who asked before, except that who holds a
// row
//   shared and wants it exclusive goes first. The key need not exist: an exclusive lock also keeps others
//   from inserting it.
// - Gap locks never conflict with one another. A gap lock keeps others from inserting into its range; it
// waits for
//   others' exclusive locks on keys in it, for those may be inserts that no reader can see yet.
// - An insert needs that no other owner has a gap lock on the key, and the row exclusive.
// Locks stay until the transaction ends, also when it rolls back to a savepoint, but for those of rows that
// it inserted and undid.
//
// Who can't have a lock is queued, and the call returns immediately; `wake` is called when asking again may
// succeed. An owner waits for one lock at a time. A wait that would close a circle is refused: its owner is
// the victim.
namespace vamos::engine {

enum class LockAnswer { GRANTED, QUEUED, REFUSED, DEADLOCK };
enum class LockMode : uint8_t { SHARED, EXCLUSIVE };
// IGNORE: take a gap lock in spite of others' rows in it.
enum class IfLocked { WAIT, REFUSE, IGNORE };

class LockOwner;

struct LockRow {
  struct Holder {
    LockOwner* owner;
    LockMode mode;
    size_t held;  // in the owner's held_
  };
  struct Waiter {
    LockOwner* owner;
    LockMode mode;
    bool upgrade;
    bool isInsert;
  };
  std::string_view key;  // the bytes of the key belong to the lock's node in the table
  std::vector<Holder> holders;
  std::vector<Waiter> queue;
};

struct LockGap {
  LockOwner* owner;
  KeyRange range;
};

// A transaction's locks. One thread at a time may ask for locks in its name.
class LockOwner {
 public:
  explicit LockOwner(uint64_t number) : number_(number) {}
  LockOwner(const LockOwner&) = delete;
  LockOwner& operator=(const LockOwner&) = delete;

  uint64_t number() const { return number_; }
  // While it is not 0 the owner joins no queue: who asks in its name was stopped, and is about to learn of
  // it. Nothing: never. For the thread that asks.
  void setStopSign(const std::atomic<uint32_t>* sign) { stopSign_ = sign; }
  // Memory that the locks take, roughly.
  size_t heldBytes() const { return heldBytes_; }

 private:
  friend class LockTable;
  enum class Waiting { NOTHING, ROW, GAP, INSERT };
  struct Held {
    LockRow* row;    // nothing: a gap
    uint64_t taken;  // when: see LockTable::mark
    bool isInsert;
    std::list<LockGap>::iterator gap;
  };

  const uint64_t number_;
  const std::atomic<uint32_t>* stopSign_ = nullptr;
  std::vector<Held> held_;  // in no order
  size_t heldBytes_ = 0;
  uint64_t taken_ = 0;             // locks ever taken
  std::optional<size_t> lastGap_;  // in held_
  Waiting waiting_ = Waiting::NOTHING;
  LockRow* waitRow_ = nullptr;  // ROW
  KeyRange waitRange_;          // GAP; INSERT: low is the key
  uint64_t visited_ = 0;        // by the search for deadlocks
};

class LockTable {
 public:
  // Called with an owner's number, without the mutex held, from the thread that let go.
  using Wake = void (*)(void* context, uint64_t owner);
  LockTable(Wake wake, void* context) : wake_(wake), context_(context) {}

  LockAnswer lockRow(LockOwner& owner, std::string_view key, LockMode mode, IfLocked ifLocked);
  LockAnswer lockInsert(LockOwner& owner, std::string_view key, IfLocked ifLocked);
  LockAnswer lockGap(LockOwner& owner, const KeyRange& range, IfLocked ifLocked);
  // Waits until no other owner has inserted into the range without having ended, and locks nothing.
  LockAnswer awaitInserts(LockOwner& owner, const KeyRange& range, IfLocked ifLocked);

  // The gap around a key that is not there and whose row the owner has locked, within this range: up to the
  // nearest rows on both sides that others may be inserting.
  void lockGapAround(LockOwner& owner, std::string_view key, KeyRange range);

  // Leaves the queue, if the owner waits. To keep it from joining one again, raise its stop sign before.
  void stopWaiting(LockOwner& owner);
  // For the calls below: locks taken from now on.
  uint64_t mark(const LockOwner& owner) const;
  // Gives back the lock of a row, or makes it a shared one, if it was first taken since.
  void unlockRow(LockOwner& owner, std::string_view key, uint64_t since);
  void shareRow(LockOwner& owner, std::string_view key, uint64_t since);
  // Gives back the locks that were first taken since: all, or those of inserts.
  void releaseSince(LockOwner& owner, uint64_t since, bool insertsOnly);
  // Gives back all locks.
  void release(LockOwner& owner);

  uint64_t heldCount() const;
  uint64_t deadlockCount() const;

 private:
  using Waiting = LockOwner::Waiting;
  using Woken = std::vector<uint64_t>;

  LockAnswer lockRowInMutex(LockOwner& owner, std::string_view key, LockMode mode, bool isInsert,
                            IfLocked ifLocked, Woken& woken);
  LockAnswer passRange(LockOwner& owner, const KeyRange& range, IfLocked ifLocked, bool locksIt);
  LockAnswer parkForRange(LockOwner& owner, Waiting kind, KeyRange range, Woken& woken);
  LockAnswer park(LockOwner& owner, Woken& woken);
  static bool isStopped(const LockOwner& owner);
  void hold(LockOwner& owner, LockRow& row, LockMode mode, bool isInsert);
  void holdGap(LockOwner& owner, const KeyRange& range);
  void grantQueue(LockRow& row, Woken& woken);
  void leaveQueue(LockOwner& owner, Woken& woken);
  // Where the owner holds the row's lock that it first took since; else nothing.
  std::optional<size_t> heldSince(LockOwner& owner, std::string_view key, uint64_t since);
  void giveBack(LockOwner& owner, size_t held, Woken& woken);
  void wakeGapWaiters(std::string_view key, Woken& woken);
  void wakeRangeWaiters(Waiting kind, const KeyRange& range, Woken& woken);
  template <typename Visit>
  bool anyBlocker(const LockOwner& waiter, Visit visit) const;
  bool closesCircle(const LockOwner& start);
  void wakeAll(const Woken& woken);

  const Wake wake_;
  void* const context_;
  mutable std::mutex mutex_;
  std::map<std::string, LockRow, std::less<>> rows_;
  std::map<uint32_t, std::list<LockGap>> gaps_;  // by space
  std::vector<LockOwner*> rangeWaiters_;         // GAP and INSERT
  uint64_t held_ = 0;
  uint64_t deadlocks_ = 0;
  uint64_t search_ = 0;
};

}  // namespace vamos::engine
