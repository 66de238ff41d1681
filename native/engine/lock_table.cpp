#include "engine/lock_table.hpp"

#include <algorithm>

namespace vamos::engine {
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
// them: a scan that asks for both has locked it as a row. Reads of missing keys beside it have not; if others
// remove it, it can't come back, as in InnoDB, where the gaps of a row that is gone become one.
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
    answer = lockRowInMutex(owner, key, mode, false, ifLocked, woken);
  }
  wakeAll(woken);
  return answer;
}

LockAnswer LockTable::lockRowInMutex(LockOwner& owner, std::string_view key, LockMode mode, bool isInsert,
                                     IfLocked ifLocked, Woken& woken) {
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
    hold(owner, row, mode, isInsert);
    return LockAnswer::GRANTED;
  }
  if (ifLocked != IfLocked::WAIT) return LockAnswer::REFUSED;
  if (isStopped(owner)) return LockAnswer::QUEUED;
  auto position = row.queue.end();
  if (upgrade) {
    position = std::find_if(row.queue.begin(), row.queue.end(),
                            [](const LockRow::Waiter& waiter) { return !waiter.upgrade; });
  }
  row.queue.insert(position, {&owner, mode, upgrade, isInsert});
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
      answer = lockRowInMutex(owner, key, LockMode::EXCLUSIVE, true, ifLocked, woken);
    } else if (ifLocked != IfLocked::WAIT) {
      answer = LockAnswer::REFUSED;
    } else {
      answer = parkForRange(owner, Waiting::INSERT, {std::string(key), {}}, woken);
    }
  }
  wakeAll(woken);
  return answer;
}

LockAnswer LockTable::lockGap(LockOwner& owner, const KeyRange& range, IfLocked ifLocked) {
  return passRange(owner, range, ifLocked, true);
}

LockAnswer LockTable::awaitInserts(LockOwner& owner, const KeyRange& range, IfLocked ifLocked) {
  return passRange(owner, range, ifLocked, false);
}

LockAnswer LockTable::passRange(LockOwner& owner, const KeyRange& range, IfLocked ifLocked, bool locksIt) {
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
          isBlocked |= holder.owner != &owner && holder.mode == LockMode::EXCLUSIVE &&
                       (locksIt || holder.owner->held_[holder.held].isInsert);
        }
        if (isBlocked) break;
      }
    }
    if (!isBlocked) {
      if (locksIt) holdGap(owner, range);
    } else if (ifLocked == IfLocked::REFUSE) {
      answer = LockAnswer::REFUSED;
    } else {
      answer = parkForRange(owner, Waiting::GAP, range, woken);
    }
  }
  wakeAll(woken);
  return answer;
}

void LockTable::lockGapAround(LockOwner& owner, std::string_view key, KeyRange range) {
  const std::lock_guard guard(mutex_);
  const auto isAnothers = [&](const LockRow& row) {
    return std::any_of(row.holders.begin(), row.holders.end(), [&](const LockRow::Holder& holder) {
      return holder.owner != &owner && holder.mode == LockMode::EXCLUSIVE;
    });
  };
  const auto at = rows_.lower_bound(key);
  for (auto row = at; row != rows_.end() && row->first < range.high; ++row) {
    if (isAnothers(row->second)) range.high = row->first;
  }
  for (auto row = at; row != rows_.begin() && (--row)->first >= range.low;) {
    if (isAnothers(row->second)) range.low = row->first + '\0';
  }
  holdGap(owner, range);
}

void LockTable::hold(LockOwner& owner, LockRow& row, LockMode mode, bool isInsert) {
  if (LockRow::Holder* mine = findHolder(row, owner); mine != nullptr) {
    mine->mode = mode;
    return;
  }
  row.holders.push_back({&owner, mode, owner.held_.size()});
  owner.held_.push_back({&row, owner.taken_++, isInsert, {}});
  owner.heldBytes_ += rowOverheadBytes + row.key.size();
  held_++;
}

// A scan asks for one gap after another: they grow into one.
void LockTable::holdGap(LockOwner& owner, const KeyRange& range) {
  KeyRange* last = owner.lastGap_ ? &owner.held_[*owner.lastGap_].gap->range : nullptr;
  // Gaps are kept by space.
  if (last != nullptr && bigEndian32(last->low) == bigEndian32(range.low)) {
    if (last->low <= range.low && range.high <= last->high) return;
    if (touch(last->high, range.low)) {
      last->high = range.high;
      return;
    }
    if (touch(range.high, last->low)) {
      last->low = range.low;
      return;
    }
  }
  std::list<LockGap>& gaps = gaps_[bigEndian32(range.low)];
  gaps.push_back({&owner, range});
  owner.lastGap_ = owner.held_.size();
  owner.held_.push_back({nullptr, owner.taken_++, false, std::prev(gaps.end())});
  owner.heldBytes_ += gapBytes;
  held_++;
}

LockAnswer LockTable::parkForRange(LockOwner& owner, Waiting kind, KeyRange range, Woken& woken) {
  if (isStopped(owner)) return LockAnswer::QUEUED;
  owner.waiting_ = kind;
  owner.waitRange_ = std::move(range);
  rangeWaiters_.push_back(&owner);
  return park(owner, woken);
}

bool LockTable::isStopped(const LockOwner& owner) {
  return owner.stopSign_ != nullptr && owner.stopSign_->load() != 0;
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
    hold(*next.owner, row, next.mode, next.isInsert);
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

void LockTable::wakeGapWaiters(std::string_view key, Woken& woken) {
  if (!rangeWaiters_.empty()) wakeRangeWaiters(Waiting::GAP, {std::string(key), {}}, woken);
}

void LockTable::stopWaiting(LockOwner& owner) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
  }
  wakeAll(woken);
}

uint64_t LockTable::mark(const LockOwner& owner) const {
  const std::lock_guard guard(mutex_);
  return owner.taken_;
}

std::optional<size_t> LockTable::heldSince(LockOwner& owner, std::string_view key, uint64_t since) {
  const auto row = rows_.find(key);
  if (row == rows_.end()) return std::nullopt;
  const LockRow::Holder* mine = findHolder(row->second, owner);
  if (mine == nullptr || owner.held_[mine->held].taken < since) return std::nullopt;
  return mine->held;
}

void LockTable::unlockRow(LockOwner& owner, std::string_view key, uint64_t since) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    if (const auto held = heldSince(owner, key, since)) giveBack(owner, *held, woken);
  }
  wakeAll(woken);
}

void LockTable::shareRow(LockOwner& owner, std::string_view key, uint64_t since) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    if (const auto held = heldSince(owner, key, since)) {
      LockRow& row = *owner.held_[*held].row;
      owner.held_[*held].isInsert = false;
      findHolder(row, owner)->mode = LockMode::SHARED;
      wakeGapWaiters(row.key, woken);
      grantQueue(row, woken);
    }
  }
  wakeAll(woken);
}

void LockTable::releaseSince(LockOwner& owner, uint64_t since, bool insertsOnly) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    for (size_t held = owner.held_.size(); held-- > 0;) {
      const LockOwner::Held& lock = owner.held_[held];
      if (lock.taken >= since && (lock.isInsert || !insertsOnly)) giveBack(owner, held, woken);
    }
  }
  wakeAll(woken);
}

void LockTable::release(LockOwner& owner) {
  Woken woken;
  {
    const std::lock_guard guard(mutex_);
    leaveQueue(owner, woken);
    while (!owner.held_.empty()) giveBack(owner, owner.held_.size() - 1, woken);
  }
  wakeAll(woken);
}

// The last one takes its place.
void LockTable::giveBack(LockOwner& owner, size_t position, Woken& woken) {
  const LockOwner::Held held = owner.held_[position];
  const size_t last = owner.held_.size() - 1;
  if (owner.lastGap_ == position) owner.lastGap_.reset();
  if (position != last) {
    owner.held_[position] = owner.held_[last];
    if (LockRow* moved = owner.held_[position].row; moved != nullptr) {
      findHolder(*moved, owner)->held = position;
    } else if (owner.lastGap_ == last) {
      owner.lastGap_ = position;
    }
  }
  owner.held_.pop_back();
  held_--;
  if (held.row == nullptr) {
    owner.heldBytes_ -= gapBytes;
    const KeyRange range = held.gap->range;
    const auto gaps = gaps_.find(bigEndian32(range.low));
    gaps->second.erase(held.gap);
    if (gaps->second.empty()) gaps_.erase(gaps);
    wakeRangeWaiters(Waiting::INSERT, range, woken);
    return;
  }
  LockRow& row = *held.row;
  owner.heldBytes_ -= rowOverheadBytes + row.key.size();
  const bool wasExclusive = findHolder(row, owner)->mode == LockMode::EXCLUSIVE;
  std::erase_if(row.holders, [&](const LockRow::Holder& holder) { return holder.owner == &owner; });
  if (wasExclusive) wakeGapWaiters(row.key, woken);
  grantQueue(row, woken);
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

}  // namespace vamos::engine
