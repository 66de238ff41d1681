#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "store/store.hpp"
#include "test/engine/memory_source.hpp"
#include "wire/crc32c.hpp"

// A store in a directory of its own with one table: rows of (number, name, city); indexes: number (primary),
// name (unique, may be NULL), city (not unique).
namespace vamos::test {

using engine::appendBigEndian32;
using engine::CursorOptions;
using engine::IndexLayout;
using engine::Outcome;
using store::Answer;
using store::Event;
using store::Store;
using store::StoreOptions;
using wire::Durability;
using wire::Ending;
using wire::Isolation;
using wire::Lock;
using wire::Wait;
using wire::WriteKind;

// Whether VAMOS_TEST_SOURCE=memory: then the store's transactions run over rows in memory that are not known
// now and then. Tests that need RocksDB are skipped.
inline bool isOverMemory() {
  const char* name = std::getenv("VAMOS_TEST_SOURCE");
  return name != nullptr && std::string_view(name) == "memory";
}

// VAMOS_TEST_CACHE_BYTES: the store then keeps rows in a cache of this size.
inline uint64_t cacheBytes() {
  const char* text = std::getenv("VAMOS_TEST_CACHE_BYTES");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

struct Row {
  uint32_t number;
  std::string name;  // empty: NULL
  std::string city;
};

class StoreFixture {
 public:
  static constexpr uint32_t table = 7;
  static constexpr uint32_t byNumber = 0;
  static constexpr uint32_t byName = 1;
  static constexpr uint32_t byCity = 2;

  StoreFixture() : directory_(makeDirectory()) { open(); }
  ~StoreFixture() {
    store.reset();
    std::filesystem::remove_all(directory_);
  }

  void open() {
    options.path = directory_ + "/tables";
    if (isOverMemory() && !memory_) memory_ = std::make_unique<MemorySource>();
    options.source = memory_.get();
    store = std::make_unique<Store>(options, [this] {
      const std::lock_guard guard(mutex_);
      notified_ = true;
      condition_.notify_one();
    });
    store->defineTable({table, indexes(), columns()});
  }

  static std::vector<IndexLayout> indexes() {
    return {{10, true, {{0}}}, {11, true, {{1}}}, {12, false, {{2}}}};
  }

  void reopen() {
    store.reset();
    notified_ = false;
    outcomes_.clear();
    parked_.clear();
    open();
  }

  static std::vector<Column> columns() {
    return {{static_cast<uint32_t>(ColumnKind::UINT32), 0},
            {static_cast<uint32_t>(ColumnKind::BYTES), 0, true},
            {static_cast<uint32_t>(ColumnKind::BYTES), 0}};
  }

  // Waits for the next events.
  void pump() {
    {
      std::unique_lock guard(mutex_);
      condition_.wait(guard, [this] { return notified_; });
      notified_ = false;
    }
    for (Event& event : store->takeEvents()) {
      if (event.parked) {
        parked_.push_back(event.operation);
      } else {
        outcomes_[event.operation] = std::move(event.outcome);
      }
    }
  }

  Outcome wait(Answer answer) { return answer.operation == 0 ? answer.outcome : wait(answer.operation); }
  Outcome wait(uint64_t operation) {
    while (!outcomes_.contains(operation)) pump();
    return outcomes_.extract(operation).mapped();
  }
  // Until the operation is parked; false if it ends instead.
  bool waitParked(const Answer& answer) {
    while (std::find(parked_.begin(), parked_.end(), answer.operation) == parked_.end()) {
      if (answer.operation == 0 || outcomes_.contains(answer.operation)) return false;
      pump();
    }
    return true;
  }

  uint64_t begin(Isolation isolation = Isolation::REPEATABLE_READ) {
    return store->begin(isolation, false, false);
  }
  Outcome commit(uint64_t transaction, Durability durability = Durability::WRITTEN) {
    return end(Ending::COMMIT, transaction, durability);
  }
  Outcome end(Ending ending, uint64_t transaction, Durability durability = Durability::WRITTEN) {
    return wait(store->end(ending, {transaction}, durability).at(0));
  }
  Outcome prepare(uint64_t transaction, const std::string& xid, Durability durability = Durability::WRITTEN) {
    store->setXid(transaction, xid);
    return end(Ending::PREPARE, transaction, durability);
  }

  Answer insert(uint64_t transaction, const std::vector<Row>& rows, Wait mode = Wait::WAIT) {
    std::string batch;
    for (const Row& row : rows) appendNew(batch, row);
    return store->write(transaction, table, WriteKind::INSERT, batch, mode);
  }
  Answer update(uint64_t transaction, const std::vector<std::pair<Row, Row>>& rows, Wait mode = Wait::WAIT) {
    std::string batch;
    for (const auto& [before, after] : rows) {
      appendOld(batch, before);
      appendNew(batch, after);
    }
    return store->write(transaction, table, WriteKind::UPDATE, batch, mode);
  }
  Answer remove(uint64_t transaction, const std::vector<Row>& rows, Wait mode = Wait::WAIT) {
    std::string batch;
    for (const Row& row : rows) appendOld(batch, row);
    return store->write(transaction, table, WriteKind::DELETE, batch, mode);
  }
  // Inserted and committed.
  void load(const std::vector<Row>& rows) {
    const uint64_t transaction = begin();
    REQUIRE(wait(insert(transaction, rows)).ok());
    REQUIRE(commit(transaction).ok());
  }

  Answer get(uint64_t transaction, uint32_t number, Lock lock = Lock::NONE, Wait mode = Wait::WAIT) {
    return store->get(transaction, table, byNumber, keyBatch(numberKey(number)), lock, mode, {}, false);
  }
  // "number/name/city" of each row; "-" for one that is not there.
  static std::vector<std::string> rows(const Outcome& outcome) {
    REQUIRE(outcome.ok());
    std::vector<std::string> result;
    Reader reader(outcome.result);
    while (!reader.atEnd()) {
      const uint32_t length = reader.u32();
      if (length == missingRow) {
        result.push_back("-");
        continue;
      }
      result.push_back(rowText(reader.take(length)));
      REQUIRE_FALSE(reader.failed());
    }
    return result;
  }
  std::vector<std::string> read(uint64_t transaction, uint32_t number, Lock lock = Lock::NONE) {
    return rows(wait(get(transaction, number, lock)));
  }

  uint64_t openCursor(uint64_t transaction, CursorOptions options) {
    options.table = table;
    return store->openCursor(transaction, std::move(options));
  }
  std::vector<std::string> scan(uint64_t transaction, CursorOptions options, uint64_t windowBytes = 40) {
    const uint64_t cursor = openCursor(transaction, std::move(options));
    std::vector<std::string> result;
    while (true) {
      const Outcome outcome = wait(store->fetch(cursor, windowBytes));
      for (std::string& row : rows(outcome)) result.push_back(std::move(row));
      if (outcome.atEnd) break;
      REQUIRE(outcome.count > 0);
    }
    store->closeCursor(cursor);
    return result;
  }

  static std::string numberKey(uint32_t number) {
    std::string key;
    appendBigEndian32(key, number);
    return key;
  }
  static std::string textKey(const std::string& text) { return text + std::string("\0\1", 2); }
  static std::string nullableKey(const std::string& text) {
    return text.empty() ? std::string(1, '\0') : '\1' + textKey(text);
  }
  static std::string keyBatch(const std::string& key) {
    std::string batch;
    appendLengthPrefixed(batch, key);
    return batch;
  }
  static std::string rowBytes(const Row& row) {
    std::string bytes(1, row.name.empty() ? '\2' : '\0');
    appendU32(bytes, row.number);
    appendU32(bytes, static_cast<uint32_t>(row.name.size()));
    appendU32(bytes, static_cast<uint32_t>(row.name.size() + row.city.size()));
    return bytes + row.name + row.city;
  }
  static std::string rowText(std::string_view row) {
    Reader reader(row, 1);
    const uint32_t number = reader.u32();
    const uint32_t nameEnd = reader.u32();
    const uint32_t cityEnd = reader.u32();
    const std::string_view name = reader.take(nameEnd);
    const std::string_view city = reader.take(cityEnd - nameEnd);
    REQUIRE((!reader.failed() && reader.atEnd()));
    return std::to_string(number) + "/" + std::string(name) + "/" + std::string(city);
  }
  static void appendNew(std::string& batch, const Row& row) {
    const std::string bytes = rowBytes(row);
    appendLengthPrefixed(batch, bytes);
    appendEntries(batch, row);
  }
  static void appendOld(std::string& batch, const Row& row) {
    const std::string bytes = rowBytes(row);
    appendU32(batch, crc32c(bytes.data(), bytes.size()));
    appendEntries(batch, row);
  }

  const std::string& directory() const { return directory_; }
  // For the next opening.
  StoreOptions options{
      .blockCacheBytes = 4 << 20, .cacheBytes = cacheBytes(), .maxTransactionBytes = 4 << 20, .threads = 2};
  std::unique_ptr<Store> store;

 private:
  static void appendEntries(std::string& batch, const Row& row) {
    const std::string number = numberKey(row.number);
    const std::string name = nullableKey(row.name);
    const std::string city = textKey(row.city);
    appendEntry(batch, {number, "", false});
    appendEntry(batch, {name, row.name, row.name.empty()});
    appendEntry(batch, {city, "", false});
  }

  static std::string makeDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "vamos-store-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    return name;
  }

  const std::string directory_;
  std::unique_ptr<MemorySource> memory_;
  std::mutex mutex_;
  std::condition_variable condition_;
  bool notified_ = false;
  std::map<uint64_t, Outcome> outcomes_;
  std::vector<uint64_t> parked_;
};

}  // namespace vamos::test
