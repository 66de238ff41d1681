#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <atomic>

#include "test/durability/recorded_files.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t mostRows = 3000;

// A store whose disk refuses some sync.
struct Refused : StoreFixture {
  Refused() {
    store.reset();
    files->record(false);
    options.env = env.get();
    options.memtableBytes = 64 << 10;
    open();
  }
  ~Refused() { store.reset(); }

  // The sync of this kind of file, after so many that succeed.
  void refuse(FileAction action, std::string suffix, uint32_t after) {
    left = after;
    files->setRefusal([this, action, suffix = std::move(suffix)](const FileOperation& operation) {
      const bool isIt = operation.action == action && operation.path.find(suffix) != std::string::npos;
      if (!isIt || (left > 0 && left-- > 0)) return rocksdb::IOStatus::OK();
      isRefused = true;
      return rocksdb::IOStatus::IOError("refused", operation.path);
    });
  }
  // Commits rows until the store has failed. True: it has.
  bool writeUntilFailure(Durability durability = Durability::SYNCED) {
    for (uint32_t i = 0; i < mostRows && last.ok(); i++) {
      const uint64_t transaction = begin();
      last = wait(insert(transaction, {{acknowledged + 1, "", std::string(2000, 'x')}}));
      if (!last.ok()) break;
      last = commit(transaction, durability);
      if (last.ok()) acknowledged++;
    }
    return !last.ok();
  }
  void checkFailed() {
    CHECK(isRefused);
    CHECK((last.code == ErrorCode::OUTCOME_UNKNOWN || last.code == ErrorCode::STORAGE_FAILED));
    CHECK_MESSAGE(last.message.find("refused") != std::string::npos, last.message);
    // The event that tells of it.
    CHECK(wait(0).code == ErrorCode::STORAGE_FAILED);
    CHECK(wait(get(0, 1)).code == ErrorCode::STORAGE_FAILED);
    CHECK(wait(store->putRecords({{"a", "b"}}, true)).code == ErrorCode::STORAGE_FAILED);
  }
  // It closes without an abort, and the next one has what was acknowledged.
  void checkReopens() {
    files->setRefusal({});
    last = {};
    reopen();
    const std::vector<std::string> found = scan(0, {}, 1 << 20);
    CHECK(found.size() >= acknowledged);
    CHECK(found.size() <= acknowledged + 1);
    // The commit whose outcome was not known may be there: its key is not to be inserted again.
    acknowledged = static_cast<uint32_t>(found.size());
  }

  std::shared_ptr<RecordedFiles> files = RecordedFiles::make();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  std::atomic<uint32_t> left = 0;
  std::atomic<bool> isRefused = false;
  uint32_t acknowledged = 0;
  Outcome last;
};

}  // namespace

TEST_CASE_FIXTURE(Refused,
                  "a sync that fails, whichever it is, ends the store with an error, and loses no commit") {
  FileAction action = FileAction::SYNC;
  std::string suffix = ".log";
  uint32_t after = 0;
  SUBCASE("of the log, the first one") {}
  SUBCASE("of the log, a later one") { after = 30; }
  SUBCASE("of a memtable's table") { suffix = ".sst"; }
  SUBCASE("of a table of flushes and compactions") {
    suffix = ".sst";
    after = 6;
  }
  SUBCASE("of the manifest") { suffix = "MANIFEST"; }
  SUBCASE("of the folder") {
    action = FileAction::SYNC_DIRECTORY;
    suffix = "tables";
  }
  SUBCASE("a write to the log") {
    action = FileAction::WRITE;
    after = 50;
  }
  SUBCASE("a write to the manifest") {
    action = FileAction::WRITE;
    suffix = "MANIFEST";
  }
  refuse(action, suffix, after);
  REQUIRE(writeUntilFailure());
  checkFailed();
  checkReopens();
  REQUIRE(wait(store->putRecords({{"a", "b"}}, true)).ok());
}

TEST_CASE_FIXTURE(Refused, "a compaction whose table can't be synced ends the store with an error") {
  REQUIRE_FALSE([&] {
    for (int i = 0; i < 300 && last.ok(); i++) {
      const uint64_t transaction = begin();
      REQUIRE(wait(insert(transaction, {{++acknowledged, "", std::string(2000, 'y')}})).ok());
      last = commit(transaction, Durability::SYNCED);
    }
    return !last.ok();
  }());
  for (uint32_t after = 0; after < 5; after++) {
    refuse(FileAction::SYNC, ".sst", after);
    REQUIRE(writeUntilFailure(Durability::WRITTEN));
    checkFailed();
    checkReopens();
  }
}

TEST_CASE_FIXTURE(Refused, "a root whose files can't be synced does not open") {
  REQUIRE(wait(insert(begin(), {{1, "", "x"}})).ok());
  store.reset();
  for (const char* suffix : {".log", "MANIFEST", "SYNCED", "dbtmp"}) {
    refuse(FileAction::SYNC, suffix, 0);
    CHECK_THROWS_AS(open(), StoreError);
    files->setRefusal({});
  }
  open();
}
