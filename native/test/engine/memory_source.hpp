#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "engine/source.hpp"

// A source whose rows are in a std::map, of which some are now and then not known: the first read of a key
// (or the first step of a walk from it) may be answered with UNKNOWN, as from a cache that lacks it. From
// then on the key is known, until the next snapshot or commit. So a test that passes over this source says
// that its operations can start over wherever they read.
namespace vamos::test {

using engine::bigEndian32;
using engine::Found;
using engine::KeyMaker;
using engine::KeyRange;
using engine::LayoutKeyMaker;
using engine::Order;
using engine::Outcome;
using engine::refuse;
using engine::Snapshot;
using engine::Source;
using engine::StoredValue;
using engine::StoredValues;
using engine::View;
using engine::Walk;
using engine::WalkOptions;
using engine::Writes;

class MemoryWrites : public Writes {
 public:
  using State = std::optional<std::string>;  // nothing: the key goes
  using Commit = std::function<void(const std::map<std::string, State, std::less<>>&)>;

  MemoryWrites(uint64_t maxBytes, Commit commit) : maxBytes_(maxBytes), commit_(std::move(commit)) {}

  const std::map<std::string, State, std::less<>>& states() const { return states_; }

  void put(std::string_view key, std::string_view value) override { set(key, std::string(value)); }
  void remove(std::string_view key) override { set(key, std::nullopt); }
  void attach(std::string_view, std::string_view) override {}
  bool isEmpty() const override { return states_.empty(); }
  size_t bytes() const override { return bytes_; }
  bool has(std::string_view key) const override { return states_.contains(key); }
  void forEach(const Visit& visit) const override {
    for (const auto& [key, state] : states_) {
      visit(key, state ? std::optional<std::string_view>(*state) : std::nullopt);
    }
  }
  void mark() override { marks_.push_back(undone_.size()); }
  void undo() override {
    while (undone_.size() > marks_.back()) {
      Undo& last = undone_.back();
      if (last.state) {
        states_[last.key] = std::move(*last.state);
      } else {
        states_.erase(last.key);
      }
      bytes_ -= last.bytes;
      undone_.pop_back();
    }
    marks_.pop_back();
  }
  void unmark() override { marks_.pop_back(); }
  void commit() override { commit_(states_); }
  void prepare(const std::string&) override {}
  void rollbackPrepared() override { states_.clear(); }

 private:
  struct Undo {
    std::string key;
    std::optional<State> state;  // before; nothing: the transaction had not written the key
    size_t bytes;
  };

  void set(std::string_view key, State state) {
    const size_t bytes = key.size() + (state ? state->size() : 0);
    if (bytes_ + bytes > maxBytes_) refuse(ErrorCode::TRANSACTION_TOO_LARGE, "too large");
    const auto before = states_.find(key);
    Undo undo{std::string(key), {}, bytes};
    if (before != states_.end()) undo.state.emplace(before->second);
    undone_.push_back(std::move(undo));
    bytes_ += bytes;
    states_.insert_or_assign(std::string(key), std::move(state));
  }

  const uint64_t maxBytes_;
  const Commit commit_;
  std::map<std::string, State, std::less<>> states_;
  std::vector<Undo> undone_;
  std::vector<size_t> marks_;
  size_t bytes_ = 0;
};

class MemorySource : public Source {
 public:
  // unknownOf: of so many reads of keys that are not known one is answered; 0: none is ever UNKNOWN.
  explicit MemorySource(uint32_t seed = 1, uint32_t unknownOf = 2, uint64_t maxTransactionBytes = 4 << 20)
      : maxTransactionBytes_(maxTransactionBytes), unknownOf_(unknownOf), dice_(seed) {}

  uint64_t unknownCount() const {
    const std::lock_guard guard(mutex_);
    return unknownCount_;
  }

  std::shared_ptr<const Snapshot> snapshot() override {
    const std::lock_guard guard(mutex_);
    known_.clear();
    return std::make_shared<Snapshot>(sequence_);
  }
  std::unique_ptr<Writes> begin() override {
    return std::make_unique<MemoryWrites>(maxTransactionBytes_,
                                          [this](const auto& states) { install(states); });
  }

  Found get(const View& view, std::string_view key, bool, StoredValue& value) override {
    auto& bytes = value.holder<std::string>();
    const Found found = read(view, key, bytes);
    value.set(found == Found::ROW ? std::string_view(bytes) : std::string_view());
    return found;
  }
  void multiGet(const View& view, std::span<const std::string> keys, bool, StoredValues& values) override {
    struct Copies : StoredValues::Holder {
      std::array<std::string, StoredValues::maxCount> bytes;
    };
    if (!values.holder) values.holder = std::make_unique<Copies>();
    auto& copies = static_cast<Copies&>(*values.holder);
    for (size_t i = 0; i < keys.size(); i++) {
      values.found[i] = read(view, keys[i], copies.bytes[i]);
      values.bytes[i] = copies.bytes[i];
    }
  }
  std::unique_ptr<engine::Walk> walk(const View& view, const KeyRange& range, const WalkOptions&) override {
    return std::make_unique<Walk>(*this, view, range);
  }
  bool canWalkCached() const override { return true; }
  uint64_t changes(uint32_t space) const override {
    const std::lock_guard guard(mutex_);
    const auto found = changes_.find(space);
    return found == changes_.end() ? 0 : found->second;
  }
  uint64_t maxTransactionBytes() const override { return maxTransactionBytes_; }
  const KeyMaker& keyMaker() const override { return keyMaker_; }
  Outcome corruption(std::string_view what) const override {
    return Outcome::failure(ErrorCode::CORRUPTION, std::string(what));
  }

 private:
  using State = MemoryWrites::State;
  // By the sequence number of their commits.
  using Versions = std::map<uint64_t, State>;

  // It holds no place in the map: each step seeks anew, so one over the latest rows sees what was committed
  // since.
  class Walk : public engine::Walk {
   public:
    Walk(MemorySource& source, const View& view, const KeyRange& range)
        : source_(source), view_(view), range_(range) {}

    Found seek(std::string_view key) override {
      return place(source_.after(view_, std::max<std::string_view>(key, range_.low), range_, key_, value_));
    }
    Found seekBefore(std::string_view key) override {
      return place(source_.before(view_, std::min<std::string_view>(key, range_.high), range_, key_, value_));
    }
    Found next() override { return seek(key_ + '\0'); }
    Found previous() override { return seekBefore(std::string(key_)); }

   private:
    Found place(Found found) { return found == Found::ROW ? at(key_, value_) : found; }

    MemorySource& source_;
    const View view_;
    const KeyRange range_;
    std::string key_;
    std::string value_;
  };

  static const MemoryWrites* writesOf(const View& view) {
    return static_cast<const MemoryWrites*>(view.writes);
  }
  static uint64_t sequenceOf(const View& view) {
    return view.snapshot ? view.snapshot->sequence : std::numeric_limits<uint64_t>::max();
  }
  // What a view shows of a key's versions.
  static const State* visible(const Versions& versions, uint64_t sequence) {
    const auto later = versions.upper_bound(sequence);
    return later == versions.begin() ? nullptr : &std::prev(later)->second;
  }

  Found read(const View& view, std::string_view key, std::string& bytes) {
    if (const MemoryWrites* own = writesOf(view); own != nullptr) {
      if (const auto written = own->states().find(key); written != own->states().end()) {
        if (written->second) bytes = *written->second;
        return written->second ? Found::ROW : Found::ABSENT;
      }
    }
    const std::lock_guard guard(mutex_);
    if (isUnknown(key)) return Found::UNKNOWN;
    const auto found = rows_.find(key);
    const State* state = found == rows_.end() ? nullptr : visible(found->second, sequenceOf(view));
    if (state == nullptr || !*state) return Found::ABSENT;
    bytes = **state;
    return Found::ROW;
  }

  // The first entry at the key or behind it.
  Found after(const View& view, std::string_view start, const KeyRange& range, std::string& key,
              std::string& value) {
    const std::lock_guard guard(mutex_);
    if (isUnknown(start)) return Found::UNKNOWN;
    return merge(
        view, range, rows_.lower_bound(start), rows_.end(),
        [&](const auto& states) { return std::pair(states.lower_bound(start), states.end()); }, std::less<>(),
        key, value);
  }
  // The last entry before the key.
  Found before(const View& view, std::string_view start, const KeyRange& range, std::string& key,
               std::string& value) {
    const std::lock_guard guard(mutex_);
    if (isUnknown(start)) return Found::UNKNOWN;
    return merge(
        view, range, std::make_reverse_iterator(rows_.lower_bound(start)), rows_.rend(),
        [&](const auto& states) {
          return std::pair(std::make_reverse_iterator(states.lower_bound(start)), states.rend());
        },
        std::greater<>(), key, value);
  }

  // Finds the first row among committed ones from an iterator on, with a transaction's own writes over them.
  template <typename Iterator, typename OwnRange, typename Order>
  Found merge(const View& view, const KeyRange& range, Iterator row, Iterator end, OwnRange ownRange,
              Order isBefore, std::string& key, std::string& value) {
    static const std::map<std::string, State, std::less<>> none;
    const MemoryWrites* writes = writesOf(view);
    auto [own, ownEnd] = ownRange(writes == nullptr ? none : writes->states());
    while (row != end || own != ownEnd) {
      const bool isOwn = row == end || (own != ownEnd && !isBefore(row->first, own->first));
      const State* state = isOwn ? &own->second : visible(row->second, sequenceOf(view));
      const std::string& candidate = isOwn ? own->first : row->first;
      if (!range.contains(candidate)) return Found::ABSENT;
      if (state != nullptr && *state) {
        value = **state;
        key = candidate;
        return Found::ROW;
      }
      if (row != end && row->first == candidate) ++row;
      if (isOwn) ++own;
    }
    return Found::ABSENT;
  }

  // Under the mutex.
  bool isUnknown(std::string_view key) {
    if (unknownOf_ == 0 || known_.contains(key)) return false;
    known_.emplace(key);
    if (dice_() % unknownOf_ == 0) return false;
    unknownCount_++;
    return true;
  }

  void install(const std::map<std::string, State, std::less<>>& states) {
    const std::lock_guard guard(mutex_);
    known_.clear();
    sequence_++;
    for (const auto& [key, state] : states) {
      rows_[key][sequence_] = state;
      changes_[bigEndian32(key)] = sequence_;
    }
  }

  const uint64_t maxTransactionBytes_;
  const uint32_t unknownOf_;
  const LayoutKeyMaker keyMaker_;
  mutable std::mutex mutex_;
  std::mt19937 dice_;
  std::map<std::string, Versions, std::less<>> rows_;
  std::map<uint32_t, uint64_t> changes_;  // by space
  uint64_t sequence_ = 0;
  std::set<std::string, std::less<>> known_;
  uint64_t unknownCount_ = 0;
};

}  // namespace vamos::test
