#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/transaction.hpp"

namespace vamos::store {
class Scheduler;
}

namespace vamos::engine {

using Clock = std::chrono::steady_clock;

// How far an operation may go before it gives way.
struct Budget {
  bool cachedOnly;  // on the event loop: no I/O
  Clock::time_point end;

  bool isSpent() const { return Clock::now() >= end; }
};

// PARKED: it waits for a lock. AGAIN: its budget is spent, or a read was UNKNOWN: it needs I/O that the
// budget doesn't allow, or what has to be fetched first.
enum class Progress { DONE, PARKED, AGAIN };

// A call that may take several goes. Each go starts at the row where the last one stopped and may run on
// another thread; a row that stopped half-way starts over, which the locks that it already has make cheap.
class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(uint64_t number, std::shared_ptr<Transaction> transaction)
      : number(number), transaction(std::move(transaction)) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  Progress go(const Budget& budget);
  // The first go is over and it isn't done: copy what still belongs to the caller.
  virtual void keepInput() {}

  const uint64_t number;
  const std::shared_ptr<Transaction> transaction;
  Outcome outcome;
  std::atomic<uint32_t> cancelCode{0};

 protected:
  // May throw StoreError: the operation is undone then, and fails.
  virtual Progress run(const Budget& budget) = 0;
  // It failed so, or was cancelled between two goes.
  virtual void undo() {}

  Progress done(Outcome result) {
    outcome = std::move(result);
    return Progress::DONE;
  }

 private:
  friend class store::Scheduler;
  Progress runOrFail(const Budget& budget);

  enum class State { RUNNING, QUEUED, PARKED, DONE };
  // Under the scheduler's mutex.
  State state_ = State::RUNNING;
  bool woken_ = false;
  bool parkReported_ = false;
};

// The bytes of a request: at first the caller's, later a copy.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes() const { return bytes_; }
  void keep() {
    if (bytes_.data() == copy_.data()) return;
    copy_.assign(bytes_);
    bytes_ = copy_;
  }

 private:
  std::string_view bytes_;
  std::string copy_;
};

inline IfLocked ifLocked(Wait wait) { return wait == Wait::WAIT ? IfLocked::WAIT : IfLocked::REFUSE; }
inline LockMode lockMode(Lock lock) { return lock == Lock::SHARED ? LockMode::SHARED : LockMode::EXCLUSIVE; }
Outcome deadlockOutcome();
Outcome lockedOutcome();

}  // namespace vamos::engine
