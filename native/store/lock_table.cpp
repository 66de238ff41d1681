#include "store/lock_table.hpp"

#include <algorithm>

namespace vamos::store {
namespace {

constexpr size_t rowOverheadBytes = 192;
constexpr size_t gapBytes = 256;  // its keys change as it grows

bool conflict(LockMode a, LockMode b) { return a == LockMode::EXCLUSIVE || b == LockMode::EXCLUSIVE; }

LockRow::Holder* findHolder(LockRow& row, const LockOwner& owner) {
  for (LockRow::Holder& holder : row.holders) {
    if (holder.owner == &owner) return &holder;
  }
  return nullptr;
}

// Whether a range that ends before `high` and one that starts at `low` leave at most the key `high` between
// them, which the scan that asks for both has locked as a row.
bool touch(std::string_view high, std::string_view low) {
  return low == high || (low.size() == high.size() + 1 && low.back() == '\0' && low.starts_with(high));
}

}  // namespace

LockAnswer LockTable::lockRow(LockOwner& owner, std::string_view key, LockMode mode, IfLocked ifLocked) {
  Woken woken;
  LockAnswer answer;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
    answer = lockRowInMutex(owner, key, mode, ifLocked, woken);
  }
  wakeAll(woken);
  return answer;
}

LockAnswer LockTable::lockRowInMutex(LockOwner& owner, std::string_view key, LockMode mode, IfLocked ifLocked,
                                     Woken& woken) {
  auto place = rows_.lower_bound(key);
  if (place == rows_.end() || place->first != key) {
    place = rows_.emplace_hint(place, std::string(key), LockRow{});
    place->second.key = place->first;
  }
  LockRow& row = place->second;
  LockRow::Holder* mine = findHolder(row, owner);
  if (mine != nullptr && (mine->mode == LockMode::EXCLUSIVE || mode == LockMode::SHARED)) {
    return LockAnswer::GRANTED;
  }
  const bool upgrade = mine != nullptr;
  const bool isFree = upgrade ? row.holders.size() == 1
                              : row.queue.empty() && std::none_of(row.holders.begin(), row.holders.end(),
                                                                  [mode](const LockRow::Holder& holder) {
                                                                    return conflict(holder.mode, mode);
                                                                  });
  if (isFree) {
    hold(owner, row, mode);
    return LockAnswer::GRANTED;
  }
  if (ifLocked != IfLocked::WAIT) return LockAnswer::REFUSED;
  auto position = row.queue.end();
  if (upgrade) {
    position = std::find_if(row.queue.begin(), row.queue.end(),
                            [](const LockRow::Waiter& waiter) { return !waiter.upgrade; });
  }
  row.queue.insert(position, {&owner, mode, upgrade});
  owner.waiting_ = Waiting::ROW;
  owner.waitRow_ = &row;
  return park(owner, woken);
}

LockAnswer LockTable::lockInsert(LockOwner& owner, std::string_view key, IfLocked ifLocked) {
  Woken woken;
  LockAnswer answer;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
    const auto gaps = gaps_.find(bigEndian32(key));
    const bool isBlocked =
        gaps != gaps_.end() && std::any_of(gaps->second.begin(), gaps->second.end(), [&](const LockGap& gap) {
          return gap.owner != &owner && gap.range.contains(key);
        });
    if (!isBlocked) {
      answer = lockRowInMutex(owner, key, LockMode::EXCLUSIVE, ifLocked, woken);
    } else if (ifLocked != IfLocked::WAIT) {
      answer = LockAnswer::REFUSED;
    } else {
      owner.waiting_ = Waiting::INSERT;
      owner.waitRange_ = {std::string(key), {}};
      rangeWaiters_.push_back(&owner);
      answer = park(owner, woken);
    }
  }
  wakeAll(woken);
  return answer;
}

LockAnswer LockTable::lockGap(LockOwner& owner, const KeyRange& range, IfLocked ifLocked) {
  if (range.isEmpty()) return LockAnswer::GRANTED;
  Woken woken;
  LockAnswer answer = LockAnswer::GRANTED;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
    bool isBlocked = false;
    if (ifLocked != IfLocked::IGNORE) {
      for (auto row = rows_.lower_bound(range.low); row != rows_.end() && row->first < range.high; ++row) {
        for (const LockRow::Holder& holder : row->second.holders) {
          isBlocked |= holder.owner != &owner && holder.mode == LockMode::EXCLUSIVE;
        }
        if (isBlocked) break;
      }
    }
    if (!isBlocked) {
      holdGap(owner, range);
    } else if (ifLocked == IfLocked::REFUSE) {
      answer = LockAnswer::REFUSED;
    } else {
      owner.waiting_ = Waiting::GAP;
      owner.waitRange_ = range;
      rangeWaiters_.push_back(&owner);
      answer = park(owner, woken);
    }
  }
  wakeAll(woken);
  return answer;
}

void LockTable::hold(LockOwner& owner, LockRow& row, LockMode mode) {
  LockRow::Holder* mine = findHolder(row, owner);
  if (mine != nullptr) {
    mine->mode = mode;
  } else {
    row.holders.push_back({&owner, mode});
  }
  owner.held_.push_back({&row, mine != nullptr, {}});
  owner.heldBytes_ += rowOverheadBytes + row.key.size();
  held_++;
}

// A scan asks for one gap after another: they grow into one.
void LockTable::holdGap(LockOwner& owner, const KeyRange& range) {
  if (owner.lastGap_ && *owner.lastGap_ >= owner.savedCount_) {
    KeyRange& last = owner.held_[*owner.lastGap_].gap->range;
    if (last.low <= range.low && range.high <= last.high) return;
    if (touch(last.high, range.low)) {
      last.high = range.high;
      return;
    }
    if (touch(range.high, last.low)) {
      last.low = range.low;
      return;
    }
  }
  std::list<LockGap>& gaps = gaps_[bigEndian32(range.low)];
  gaps.push_back({&owner, range});
  owner.lastGap_ = owner.held_.size();
  owner.held_.push_back({nullptr, false, std::prev(gaps.end())});
  owner.heldBytes_ += gapBytes;
  held_++;
}

LockAnswer LockTable::park(LockOwner& owner, Woken& woken) {
  if (!closesCircle(owner)) return LockAnswer::QUEUED;
  leaveQueue(owner, woken);
  deadlocks_++;
  return LockAnswer::DEADLOCK;
}

// Calls visit with each owner that this one waits for, until it says true.
template <typename Visit>
bool LockTable::anyBlocker(const LockOwner& waiter, Visit visit) const {
  switch (waiter.waiting_) {
    case Waiting::NOTHING:
      return false;
    case Waiting::ROW: {
      const LockRow& row = *waiter.waitRow_;
      LockMode mode = LockMode::EXCLUSIVE;
      for (const LockRow::Waiter& queued : row.queue) {
        if (queued.owner == &waiter) mode = queued.mode;
      }
      for (const LockRow::Holder& holder : row.holders) {
        if (holder.owner != &waiter && conflict(holder.mode, mode) && visit(*holder.owner)) return true;
      }
      for (const LockRow::Waiter& ahead : row.queue) {
        if (ahead.owner == &waiter) break;
        if (conflict(ahead.mode, mode) && visit(*ahead.owner)) return true;
      }
      return false;
    }
    case Waiting::INSERT: {
      const std::string& key = waiter.waitRange_.low;
      const auto gaps = gaps_.find(bigEndian32(key));
      if (gaps == gaps_.end()) return false;
      for (const LockGap& gap : gaps->second) {
        if (gap.owner != &waiter && gap.range.contains(key) && visit(*gap.owner)) return true;
      }
      return false;
    }
    case Waiting::GAP: {
      const KeyRange& range = waiter.waitRange_;
      for (auto row = rows_.lower_bound(range.low); row != rows_.end() && row->first < range.high; ++row) {
        for (const LockRow::Holder& holder : row->second.holders) {
          if (holder.owner != &waiter && holder.mode == LockMode::EXCLUSIVE && visit(*holder.owner))
            return true;
        }
      }
      return false;
    }
  }
  return false;
}

// A new circle goes through the newest waiter, for every new edge of the waits-for graph starts or ends
// there.
bool LockTable::closesCircle(const LockOwner& start) {
  const uint64_t search = ++search_;
  std::vector<const LockOwner*> open{&start};
  while (!open.empty()) {
    const LockOwner* waiter = open.back();
    open.pop_back();
    const bool found = anyBlocker(*waiter, [&](LockOwner& blocker) {
      if (&blocker == &start) return true;
      if (blocker.visited_ != search) {
        blocker.visited_ = search;
        open.push_back(&blocker);
      }
      return false;
    });
    if (found) return true;
  }
  return false;
}

void LockTable::grantQueue(LockRow& row, Woken& woken) {
  while (!row.queue.empty()) {
    const LockRow::Waiter next = row.queue.front();
    const bool isFree =
        next.upgrade
            ? row.holders.size() == 1
            : std::none_of(row.holders.begin(), row.holders.end(),
                           [&](const LockRow::Holder& holder) { return conflict(holder.mode, next.mode); });
    if (!isFree) return;
    row.queue.erase(row.queue.begin());
    next.owner->waiting_ = Waiting::NOTHING;
    next.owner->waitRow_ = nullptr;
    hold(*next.owner, row, next.mode);
    woken.push_back(next.owner->number());
  }
  if (row.holders.empty()) rows_.erase(rows_.find(row.key));
}

void LockTable::leaveQueue(LockOwner& owner, Woken& woken) {
  const Waiting waiting = std::exchange(owner.waiting_, Waiting::NOTHING);
  if (waiting == Waiting::ROW) {
    LockRow& row = *std::exchange(owner.waitRow_, nullptr);
    std::erase_if(row.queue, [&](const LockRow::Waiter& waiter) { return waiter.owner == &owner; });
    grantQueue(row, woken);
  } else if (waiting != Waiting::NOTHING) {
    std::erase(rangeWaiters_, &owner);
  }
}

// Wakes those who wait for a gap lock over the range's first key, or for an insert into the range.
void LockTable::wakeRangeWaiters(Waiting kind, const KeyRange& range, Woken& woken) {
  std::erase_if(rangeWaiters_, [&](LockOwner* waiter) {
    if (waiter->waiting_ != kind) return false;
    const bool isConcerned = kind == Waiting::GAP ? waiter->waitRange_.contains(range.low)
                                                  : range.contains(waiter->waitRange_.low);
    if (!isConcerned) return false;
    waiter->waiting_ = Waiting::NOTHING;
    woken.push_back(waiter->number());
    return true;
  });
}

void LockTable::releaseRow(LockOwner& owner, LockRow& row, bool onlyUpgrade, Woken& woken) {
  const bool wasExclusive = findHolder(row, owner)->mode == LockMode::EXCLUSIVE;
  if (onlyUpgrade) {
    findHolder(row, owner)->mode = LockMode::SHARED;
  } else {
    std::erase_if(row.holders, [&](const LockRow::Holder& holder) { return holder.owner == &owner; });
  }
  if (wasExclusive && !rangeWaiters_.empty()) {
    wakeRangeWaiters(Waiting::GAP, {std::string(row.key), {}}, woken);
  }
  grantQueue(row, woken);
}

void LockTable::stopWaiting(LockOwner& owner) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
  }
  wakeAll(woken);
}

size_t LockTable::count(const LockOwner& owner) const {
  const std::lock_guard guard(mutex_);
  return owner.held_.size();
}

size_t LockTable::save(LockOwner& owner) {
  const std::lock_guard guard(mutex_);
  owner.savedCount_ = owner.held_.size();
  return owner.savedCount_;
}

void LockTable::release(LockOwner& owner, size_t keep) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
    while (owner.held_.size() > keep) {
      const LockOwner::Held held = owner.held_.back();
      owner.held_.pop_back();
      held_--;
      if (held.row != nullptr) {
        owner.heldBytes_ -= rowOverheadBytes + held.row->key.size();
        releaseRow(owner, *held.row, held.upgraded, woken);
      } else {
        owner.heldBytes_ -= gapBytes;
        const KeyRange range = held.gap->range;
        const auto gaps = gaps_.find(bigEndian32(range.low));
        gaps->second.erase(held.gap);
        if (gaps->second.empty()) gaps_.erase(gaps);
        wakeRangeWaiters(Waiting::INSERT, range, woken);
      }
    }
    if (owner.lastGap_ && *owner.lastGap_ >= keep) owner.lastGap_.reset();
    if (owner.savedCount_ > keep) owner.savedCount_ = keep;
  }
  wakeAll(woken);
}

uint64_t LockTable::heldCount() const {
  const std::lock_guard guard(mutex_);
  return held_;
}

uint64_t LockTable::deadlockCount() const {
  const std::lock_guard guard(mutex_);
  return deadlocks_;
}

void LockTable::wakeAll(const Woken& woken) {
  for (const uint64_t owner : woken) wake_(context_, owner);
}

}  // namespace vamos::store
