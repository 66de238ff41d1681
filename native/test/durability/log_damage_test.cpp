#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "store/upkeep/repair.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

namespace fs = std::filesystem;
using Bytes = std::map<std::string, std::string>;

std::string readFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// All files of a folder but the lock, which holds nothing.
Bytes filesOf(const fs::path& folder) {
  Bytes files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() != "LOCK") files[entry.path().filename()] = readFile(entry.path());
  }
  return files;
}

// The root as it is on a disk: what the store made of it is taken as files, changed, and opened.
struct Damaged : StoreFixture {
  fs::path tables() const { return directory() + "/tables"; }

  void writeRows(uint32_t count, Durability durability, size_t cityBytes = 20, uint32_t perCommit = 1) {
    for (uint32_t i = 0; i < count; i++) {
      const uint64_t transaction = begin();
      for (uint32_t k = 0; k < perCommit; k++) {
        REQUIRE(wait(insert(transaction, {{++rows, "", std::string(cityBytes, 'c')}})).ok());
      }
      REQUIRE(commit(transaction, durability).ok());
      commits++;
    }
  }
  // The files as they are now, beside a store that goes on.
  Bytes snapshot() const { return filesOf(tables()); }

  void put(const Bytes& files) {
    store.reset();
    fs::remove_all(tables());
    fs::create_directory(tables());
    for (const auto& [name, bytes] : files) writeFile(tables() / name, bytes);
  }
  // Why the root is refused; OK: it is open.
  ErrorCode tryOpen(std::string* message = nullptr) {
    try {
      reopen();
      return ErrorCode::OK;
    } catch (const StoreError& error) {
      if (message != nullptr) *message = error.message;
      return error.code;
    }
  }
  // Rows from 1 on without a gap, and how many.
  uint32_t countRows() {
    const std::vector<std::string> found = scan(0, {}, 1 << 20);
    for (size_t i = 0; i < found.size(); i++) CHECK(found[i].starts_with(std::to_string(i + 1) + "/"));
    return static_cast<uint32_t>(found.size());
  }
  // Returns the write-ahead logs.
  static std::vector<std::string> logsOf(const Bytes& files) {
    std::vector<std::string> logs;
    for (const auto& [name, bytes] : files) {
      if (name.ends_with(".log")) logs.push_back(name);
    }
    return logs;
  }
  void checkRefused(const Bytes& files, const std::string& text, bool isRepairable = true) {
    put(files);
    const Bytes before = snapshot();
    std::string message;
    CHECK(tryOpen(&message) == ErrorCode::CORRUPTION);
    CHECK_MESSAGE(message.find(text) != std::string::npos, message);
    CHECK((message.find("vamos host repair") != std::string::npos) == isRepairable);
    CHECK((message.find("vamos host restore") != std::string::npos) == !isRepairable);
    CHECK(snapshot() == before);
  }

  uint32_t rows = 0;
  uint32_t commits = 0;
};

// Commits that were synced, then others that were not, among them some of several blocks of the log.
struct Tail : Damaged {
  Tail() {
    writeRows(120, Durability::SYNCED);
    writeRows(1, Durability::SYNCED, 1000, 40);
    writeRows(10, Durability::SYNCED);
    synced = rows;
    const Bytes atSync = snapshot();
    log = logsOf(atSync).back();
    syncedBytes = atSync.at(log).size();
    writeRows(30, Durability::WRITTEN);
    writeRows(1, Durability::WRITTEN, 1000, 40);
    writeRows(9, Durability::WRITTEN);
    files = snapshot();
    // As the power leaves it before anything later is synced.
    files["SYNCED"] = atSync.at("SYNCED");
    REQUIRE(files.at(log).size() > syncedBytes + 40'000);
  }
  Bytes with(const std::string& bytes) const {
    Bytes changed = files;
    changed[log] = bytes;
    return changed;
  }
  void checkOpens(const std::string& bytes) {
    put(with(bytes));
    REQUIRE(tryOpen() == ErrorCode::OK);
    CHECK(countRows() >= synced);
    // What it took for its end is that for good.
    const uint32_t found = countRows();
    REQUIRE(tryOpen() == ErrorCode::OK);
    CHECK(countRows() == found);
  }

  Bytes files;
  std::string log;
  size_t syncedBytes = 0;
  uint32_t synced = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Tail, "a bit flipped in what was synced is CORRUPTION, and nothing is changed") {
  const std::string& good = files.at(log);
  std::mt19937 random(1);
  for (size_t place = 0; place < syncedBytes; place += 200 + random() % 1500) {
    std::string bytes = good;
    bytes[place] = static_cast<char>(bytes[place] ^ 1 << random() % 8);
    checkRefused(with(bytes), log + " is damaged at byte");
  }
  // The last synced byte of all.
  std::string bytes = good;
  bytes[syncedBytes - 1] = static_cast<char>(bytes[syncedBytes - 1] ^ 0x40);
  checkRefused(with(bytes), "while it was on the disk up to byte " + std::to_string(syncedBytes));
}

TEST_CASE_FIXTURE(Tail,
                  "a bit flipped behind what was synced is no damage, and no commit before it is lost") {
  std::mt19937 random(2);
  for (size_t place = syncedBytes; place < files.at(log).size(); place += 500 + random() % 6000) {
    std::string bytes = files.at(log);
    bytes[place] = static_cast<char>(bytes[place] ^ 1 << random() % 8);
    checkOpens(bytes);
  }
}

TEST_CASE_FIXTURE(Tail, "a log that ends anywhere behind what was synced opens, and before it does not") {
  const std::string& good = files.at(log);
  std::set<size_t> ends{syncedBytes,     syncedBytes + 1, syncedBytes + 6,
                        syncedBytes + 7, syncedBytes + 8, good.size() - 1};
  for (size_t block = 32 << 10; block < good.size(); block += 32 << 10) {
    for (const int around : {-8, -7, -1, 0, 1, 7}) {
      const size_t end = block + static_cast<size_t>(around);
      if (end >= syncedBytes && end < good.size()) ends.insert(end);
    }
  }
  for (const size_t end : ends) checkOpens(good.substr(0, end));
  for (const size_t missing :
       {size_t{1}, size_t{7}, size_t{100}, syncedBytes / 2, syncedBytes - 1, syncedBytes}) {
    checkRefused(with(good.substr(0, syncedBytes - missing)), "where it ends");
  }
}

TEST_CASE_FIXTURE(Tail, "pages of the unsynced end that the power took, in any order, are no damage") {
  const std::string& good = files.at(log);
  std::mt19937 random(3);
  // What a page has that never reached the disk: nothing, or what stood in its place before.
  const std::string before[] = {std::string(4096, '\0'), good.substr(0, 4096), std::string(4096, '\xA5')};
  for (const std::string& page : before) {
    for (size_t place = syncedBytes; place < good.size(); place += 4096 + random() % 8192) {
      std::string bytes = good;
      const size_t length = std::min<size_t>(page.size(), bytes.size() - place);
      bytes.replace(place, length, page, 0, length);
      checkOpens(bytes);
    }
  }
  checkOpens(good.substr(0, syncedBytes) + std::string(good.size() - syncedBytes, '\0'));
}

TEST_CASE_FIXTURE(
    Tail,
    "a root without SYNCED, as earlier versions wrote it, is refused where commits stand behind damage") {
  files.erase("SYNCED");
  const std::string& good = files.at(log);
  for (const size_t place : {size_t{3}, size_t{5}, syncedBytes / 4, syncedBytes / 2, syncedBytes - 100}) {
    std::string bytes = good;
    bytes[place] = static_cast<char>(bytes[place] ^ 0x04);
    checkRefused(with(bytes), "there are records behind it");
  }
  for (const size_t end : {good.size() - 3, syncedBytes + 5}) {
    files.erase("SYNCED");
    checkOpens(good.substr(0, end));
  }
}

TEST_CASE_FIXTURE(Tail, "a damaged or torn SYNCED is no reason to refuse a root that is whole") {
  const std::string good = files.at("SYNCED");
  for (const size_t place :
       {size_t{0}, size_t{5}, size_t{9}, size_t{17}, size_t{30}, size_t{16'384}, size_t{16'400}}) {
    std::string bytes = good;
    bytes[place] = static_cast<char>(bytes[place] ^ 0x10);
    Bytes changed = files;
    changed["SYNCED"] = bytes;
    put(changed);
    REQUIRE(tryOpen() == ErrorCode::OK);
    CHECK(countRows() == rows);
  }
  for (const size_t size : {size_t{0}, size_t{10}, size_t{16'390}}) {
    Bytes changed = files;
    changed["SYNCED"] = good.substr(0, size);
    put(changed);
    REQUIRE(tryOpen() == ErrorCode::OK);
    CHECK(countRows() == rows);
  }
}

TEST_CASE_FIXTURE(
    Damaged, "after a clean end, or a second with no commit, all of the log is known to be on the disk") {
  writeRows(20, Durability::MEMORY);
  store.reset();
  Bytes files = snapshot();
  std::string& log = files.at(logsOf(files).back());
  log.back() = static_cast<char>(log.back() ^ 1);
  checkRefused(files, "is damaged at byte");
}

TEST_CASE_FIXTURE(Damaged, "a log that is missing is CORRUPTION, and so is a missing CURRENT") {
  writeRows(20, Durability::SYNCED);
  Bytes files = snapshot();
  Bytes without = files;
  without.erase(logsOf(files).back());
  checkRefused(without, "is missing");
  without = files;
  without.erase("CURRENT");
  checkRefused(without, "the file CURRENT is missing", false);
}

TEST_CASE_FIXTURE(Damaged,
                  "a manifest that is damaged in what was synced is CORRUPTION, and its lost end is not") {
  options.memtableBytes = 64 << 10;
  reopen();
  writeRows(100, Durability::SYNCED, 1000);
  store.reset();
  const Bytes files = snapshot();
  const auto manifest = std::find_if(files.begin(), files.end(),
                                     [](const auto& file) { return file.first.starts_with("MANIFEST"); });
  REQUIRE(manifest != files.end());
  for (size_t place = 0; place < manifest->second.size(); place += 61) {
    Bytes changed = files;
    std::string& bytes = changed.at(manifest->first);
    bytes[place] = static_cast<char>(bytes[place] ^ 0x02);
    checkRefused(changed, manifest->first, false);
  }
  Bytes changed = files;
  changed.at(manifest->first) += std::string(100, '\x07');
  put(changed);
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(countRows() == rows);
}

namespace {

// A prepared transaction keeps all later logs.
struct Kept : Damaged {
  Kept() {
    options.memtableBytes = 64 << 10;
    reopen();
    writeRows(5, Durability::SYNCED);
    const uint64_t transaction = begin();
    REQUIRE(wait(insert(transaction, {{1'000'000, "", "x"}})).ok());
    REQUIRE(prepare(transaction, "kept", Durability::SYNCED).ok());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Kept, "a lost end stays no damage while a prepared transaction keeps its log") {
  const Bytes atSync = snapshot();
  writeRows(3, Durability::WRITTEN);
  Bytes files = snapshot();
  files["SYNCED"] = atSync.at("SYNCED");
  files.at(logsOf(files).back()).pop_back();
  put(files);
  // Nothing is written between: the log that follows is empty.
  for (int i = 0; i < 3; i++) {
    std::string message;
    REQUIRE_MESSAGE(tryOpen(&message) == ErrorCode::OK, message);
    CHECK(store->prepared().size() == 1);
    CHECK(scan(0, {}).size() == 7);
  }
  rows = 7;
  writeRows(1, Durability::SYNCED);
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(end(Ending::COMMIT, store->prepared().at(0).transaction, Durability::SYNCED).ok());
  CHECK(scan(0, {}).size() == 9);
}

TEST_CASE_FIXTURE(Kept, "a root without SYNCED whose prepared transactions stand in several logs is whole") {
  std::vector<uint64_t> prepared;
  for (uint32_t i = 0; i < 12; i++) {
    writeRows(15, Durability::SYNCED, 1000);
    const uint64_t transaction = begin();
    REQUIRE(wait(insert(transaction, {{2'000'000 + i, "", "x"}, {3'000'000 + i, "", "x"}})).ok());
    REQUIRE(prepare(transaction, "xid " + std::to_string(i), Durability::SYNCED).ok());
    prepared.push_back(transaction);
    if (i % 3 != 2) continue;
    // One of this log, and one of an earlier one.
    REQUIRE(end(Ending::COMMIT, prepared.at(i), Durability::SYNCED).ok());
    REQUIRE(end(i % 2 == 0 ? Ending::COMMIT : Ending::ROLLBACK, prepared.at(i - 2), Durability::SYNCED).ok());
  }
  const std::vector<std::string> found = scan(0, {}, 1 << 20);
  const size_t left = store->prepared().size();
  Bytes files = snapshot();
  REQUIRE(logsOf(files).size() > 3);
  for (int i = 0; i < 2; i++) {
    files.erase("SYNCED");
    put(files);
    std::string message;
    REQUIRE_MESSAGE(tryOpen(&message) == ErrorCode::OK, message);
    CHECK(scan(0, {}, 1 << 20) == found);
    CHECK(store->prepared().size() == left);
    store.reset();
    files = snapshot();
  }
  // Not whole: the end of a log that others follow.
  std::string& bytes = files.at(logsOf(files).front());
  bytes.resize(bytes.size() - 1);
  files.erase("SYNCED");
  checkRefused(files, logsOf(files).front());
}

TEST_CASE_FIXTURE(Kept,
                  "damage in a log that a prepared transaction keeps is found, and costs no later commit") {
  writeRows(120, Durability::SYNCED, 1000);
  Bytes files = snapshot();
  const std::vector<std::string> logs = logsOf(files);
  REQUIRE(logs.size() > 2);
  std::string& bytes = files.at(logs.front());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  checkRefused(files, logs.front() + " is damaged at byte");
  const RepairReport report = repair(options, true);
  CHECK(report.parts.size() == 1);
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(scan(0, {}, 1 << 20).size() == 125);
}

TEST_CASE_FIXTURE(
    Tail, "a repair says what a damaged log costs, and costs that and no more when the loss is accepted") {
  std::string bytes = files.at(log);
  // In the record of a row in the middle.
  const uint32_t before = 60;
  const size_t place = bytes.find(spaceKey(10, numberKey(before + 1)));
  REQUIRE(place != std::string::npos);
  bytes[place] = static_cast<char>(bytes[place] ^ 1);
  checkRefused(with(bytes), "is damaged");
  const Bytes damaged = snapshot();

  RepairReport report = repair(options, false);
  CHECK(report.damage.find(log) != std::string::npos);
  // Each row has three entries in its table's indexes.
  CHECK(report.lost.records == 3 * (rows - before));
  // All but the damaged one can be read.
  CHECK(report.lost.commits == commits - before - 1);
  CHECK_FALSE(report.lost.isIncomplete);
  CHECK(report.keptIn.empty());
  CHECK(snapshot() == damaged);
  CHECK(tryOpen() == ErrorCode::CORRUPTION);

  report = repair(options, true);
  CHECK(report.lost.records == 3 * (rows - before));
  CHECK(readFile(fs::path(report.keptIn) / log) == bytes);
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(countRows() == before);
  rows = before;
  writeRows(1, Durability::SYNCED);
  store.reset();
  CHECK(repair(options, true).damage.empty());
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(countRows() == before + 1);
}

TEST_CASE_FIXTURE(Damaged, "a repair of a log that lost its end says that more is lost than can be counted") {
  writeRows(50, Durability::SYNCED);
  Bytes files = snapshot();
  std::string& bytes = files.at(logsOf(files).back());
  bytes.resize(bytes.size() / 2);
  checkRefused(files, "where it ends");
  CHECK(repair(options, true).lost.isIncomplete);
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(countRows() > 10);
  CHECK(countRows() < 50);
}

TEST_CASE_FIXTURE(Damaged, "a repair does not touch a root that is open, or whose manifest is damaged") {
  writeRows(5, Durability::SYNCED);
  CHECK_THROWS_AS(repair(options, true), StoreError);
  store.reset();
  CHECK(repair(options, true).damage.empty());
  Bytes files = snapshot();
  files.erase("CURRENT");
  put(files);
  CHECK_THROWS_AS(repair(options, true), StoreError);
  CHECK(snapshot() == files);
}

// docs/backups.md tells operators so.
TEST_CASE_FIXTURE(Damaged,
                  "a root that RocksDB's own tools opened is refused; without SYNCED it is as they left it") {
  writeRows(50, Durability::SYNCED);
  store.reset();
  rocksdb::DB* opened = nullptr;
  REQUIRE(rocksdb::DB::Open(rocksdb::Options(), options.path, &opened).ok());
  delete opened;
  checkRefused(snapshot(), "is missing", false);
  CHECK_THROWS_AS(repair(options, true), StoreError);
  fs::remove(tables() / "SYNCED");
  REQUIRE(tryOpen() == ErrorCode::OK);
  CHECK(countRows() == rows);
}
