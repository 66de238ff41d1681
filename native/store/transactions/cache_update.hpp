#pragma once

#include <mutex>
#include <string_view>

#include "cache/cache.hpp"
#include "store/transactions/database.hpp"

namespace vamos::store {

// Tells the cache of a write to rows: what it changes before it is made, and its number afterwards. While it
// lives nothing else is written. Without a cache it does nothing.
class CacheUpdate {
 public:
  CacheUpdate(const Database& database, uint64_t writtenBytes)
      : database_(database), cache_(database.cache()), guard_(database.lockWrites()) {
    if (cache_ != nullptr) cache_->begin(database_.base().GetLatestSequenceNumber(), writtenBytes);
  }
  // The write failed, if it did not end.
  ~CacheUpdate() {
    if (cache_ != nullptr) cache_->abandon();
  }
  CacheUpdate(const CacheUpdate&) = delete;
  CacheUpdate& operator=(const CacheUpdate&) = delete;

  bool isNeeded() const { return cache_ != nullptr; }
  // Nothing as value: the key goes.
  void change(std::string_view key, const std::string_view* value) {
    if (cache::isCached(key)) cache_->change(key, value);
  }
  void changeSpace(std::string_view spaceKey) {
    if (cache_ != nullptr) cache_->changeSpace(spaceKey);
  }
  void end() {
    if (cache_ != nullptr) cache_->end(database_.base().GetLatestSequenceNumber());
    cache_ = nullptr;
  }

 private:
  const Database& database_;
  cache::Cache* cache_;
  const std::unique_lock<std::mutex> guard_;
};

}  // namespace vamos::store
