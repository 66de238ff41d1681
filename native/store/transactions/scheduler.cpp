#include "store/transactions/scheduler.hpp"

#include <algorithm>

namespace vamos::store {

using namespace engine;
namespace {

constexpr auto loopSlice = std::chrono::microseconds(500);
constexpr auto threadSlice = std::chrono::milliseconds(5);

}  // namespace

Scheduler::Scheduler(uint32_t threads, std::function<void()> notify) : notify_(std::move(notify)) {
  for (uint32_t i = 0; i < std::max(threads, 1U); i++) threads_.emplace_back([this] { work(); });
}

Budget Scheduler::loopBudget() { return {true, Clock::now() + loopSlice}; }

bool Scheduler::runHere(const std::shared_ptr<Operation>& operation) {
  if (operation->transaction) {
    const std::lock_guard guard(mutex_);
    byTransaction_[operation->transaction->number()] = operation;
  }
  const Progress progress = operation->go(loopBudget());
  if (progress == Progress::DONE) {
    if (operation->transaction) {
      const std::lock_guard guard(mutex_);
      byTransaction_.erase(operation->transaction->number());
    }
    return true;
  }
  operation->keepInput();
  settle(operation, progress);
  return false;
}

void Scheduler::start(const std::shared_ptr<Operation>& operation) {
  operation->keepInput();
  const std::lock_guard guard(mutex_);
  if (operation->transaction) byTransaction_[operation->transaction->number()] = operation;
  enqueue(operation);
}

void Scheduler::background(std::function<void()> work) {
  const std::lock_guard guard(mutex_);
  background_.push_back(std::move(work));
  hasWork_.notify_one();
}

void Scheduler::announce() {
  {
    const std::lock_guard guard(mutex_);
    if (std::exchange(isAnnounced_, true)) return;
  }
  notify_();
}

void Scheduler::enqueue(std::shared_ptr<Operation> operation) {
  operation->state_ = Operation::State::QUEUED;
  queue_.push_back(std::move(operation));
  hasWork_.notify_one();
}

// After a go that left the operation unfinished.
void Scheduler::settle(const std::shared_ptr<Operation>& operation, Progress progress) {
  std::unique_lock guard(mutex_);
  const bool mustGoOn = std::exchange(operation->woken_, false) || operation->cancelCode.load() != 0;
  if (progress == Progress::AGAIN || mustGoOn) {
    enqueue(operation);
    return;
  }
  operation->state_ = Operation::State::PARKED;
  parked_++;
  if (std::exchange(operation->parkReported_, true)) return;
  news_.parked.push_back(operation->number);
  const bool isFirst = !std::exchange(isAnnounced_, true);
  guard.unlock();
  if (isFirst) notify_();
}

void Scheduler::wake(uint64_t transaction) {
  const std::lock_guard guard(mutex_);
  const auto found = byTransaction_.find(transaction);
  if (found == byTransaction_.end()) return;
  const std::shared_ptr<Operation>& operation = found->second;
  if (operation->state_ == Operation::State::PARKED) {
    parked_--;
    enqueue(operation);
  } else {
    operation->woken_ = true;
  }
}

void Scheduler::cancel(const std::shared_ptr<Operation>& operation, ErrorCode code) {
  const std::lock_guard guard(mutex_);
  operation->cancelCode = static_cast<uint32_t>(code);
  if (operation->state_ != Operation::State::PARKED) return;
  parked_--;
  enqueue(operation);
}

void Scheduler::finish(std::span<const std::shared_ptr<Operation>> operations) {
  for (const auto& operation : operations) {
    Transaction* transaction = operation->transaction.get();
    if (transaction != nullptr &&
        (operation->outcome.code == ErrorCode::DEADLOCK || transaction->rollbackRequested)) {
      transaction->end();
    }
  }
  bool isFirst = false;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& operation : operations) {
      operation->state_ = Operation::State::DONE;
      if (operation->transaction) byTransaction_.erase(operation->transaction->number());
      news_.finished.push_back(operation);
    }
    isFirst = !news_.finished.empty() && !std::exchange(isAnnounced_, true);
  }
  if (isFirst) notify_();
}

Scheduler::News Scheduler::takeNews() {
  const std::lock_guard guard(mutex_);
  isAnnounced_ = false;
  return std::exchange(news_, {});
}

uint64_t Scheduler::parkedCount() {
  const std::lock_guard guard(mutex_);
  return parked_;
}

void Scheduler::work() {
  std::unique_lock guard(mutex_);
  while (true) {
    hasWork_.wait(guard, [this] { return isStopping_ || !queue_.empty() || !background_.empty(); });
    if (!queue_.empty()) {
      const std::shared_ptr<Operation> operation = std::move(queue_.front());
      queue_.pop_front();
      operation->state_ = Operation::State::RUNNING;
      guard.unlock();
      const Progress progress = operation->go({false, Clock::now() + threadSlice});
      if (progress == Progress::DONE) {
        finish({&operation, 1});
      } else {
        settle(operation, progress);
      }
      guard.lock();
    } else if (!background_.empty()) {
      const std::function<void()> work = std::move(background_.front());
      background_.pop_front();
      guard.unlock();
      work();
      guard.lock();
    } else {
      return;
    }
  }
}

void Scheduler::stop() {
  {
    const std::lock_guard guard(mutex_);
    isStopping_ = true;
    hasWork_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace vamos::store
