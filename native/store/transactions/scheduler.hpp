#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "store/transactions/types.hpp"

namespace vamos::store {

// Runs operations: on the caller's thread as far as that goes immediately, else on threads of its own, in
// slices. A parked operation holds no thread.
class Scheduler {
 public:
  // notify: called from any thread when takeFinished() or takeParked() have something; once until they are
  // called.
  Scheduler(uint32_t threads, std::function<void()> notify);
  ~Scheduler() { stop(); }

  // The budget of an operation's first go, which runs on the event loop.
  static Budget loopBudget();
  // True: done, its outcome stands in it. False: it is finished later.
  bool runHere(const std::shared_ptr<Operation>& operation);
  // Straight to a thread.
  void start(const std::shared_ptr<Operation>& operation);
  // For operations that others carry out: the commit queue. What ends together is told together.
  void finish(std::span<const std::shared_ptr<Operation>> operations);
  void background(std::function<void()> work);
  // There is news that is not the scheduler's.
  void announce();

  // The operation of this transaction may go on.
  void wake(uint64_t transaction);
  void cancel(const std::shared_ptr<Operation>& operation, ErrorCode code);

  // What happened since the last call: the operations finished, and the numbers of those parked.
  struct News {
    std::vector<std::shared_ptr<Operation>> finished;
    std::vector<uint64_t> parked;
  };
  News takeNews();

  uint64_t parkedCount();
  // Waits until the threads have done what is queued and ended. What is parked stays so: cancel it before.
  void stop();

 private:
  void settle(const std::shared_ptr<Operation>& operation, Progress progress);
  void enqueue(std::shared_ptr<Operation> operation);
  void work();

  const std::function<void()> notify_;
  std::mutex mutex_;
  std::condition_variable hasWork_;
  std::deque<std::shared_ptr<Operation>> queue_;
  std::deque<std::function<void()>> background_;
  std::unordered_map<uint64_t, std::shared_ptr<Operation>> byTransaction_;
  News news_;
  bool isAnnounced_ = false;
  uint64_t parked_ = 0;
  bool isStopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace vamos::store
