#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <sys/wait.h>
#include <unistd.h>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

using Texts = std::vector<std::string>;

namespace {

ErrorCode openingFails(const std::string& path) {
  try {
    Store({path}, [] {});
  } catch (const StoreError& error) {
    CHECK(error.message.find(path) != std::string::npos);
    return error.code;
  }
  return ErrorCode::OK;
}

}  // namespace

TEST_CASE_FIXTURE(StoreFixture, "what was committed is there after the root is opened again") {
  load({{1, "ann", "oslo"}});
  const uint64_t memory = begin();
  CHECK(wait(insert(memory, {{2, "", "x"}})).ok());
  CHECK(commit(memory, Durability::MEMORY).ok());
  const uint64_t open = begin();
  CHECK(wait(insert(open, {{3, "", "x"}})).ok());
  reopen();
  CHECK(scan(0, {.index = byCity}) == Texts{"1/ann/oslo", "2//x"});
}

TEST_CASE("a process killed after a synced commit loses nothing that was answered") {
  std::string directory = (std::filesystem::temp_directory_path() / "vamos-kill-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  const pid_t child = fork();
  if (child == 0) {
    Store store({directory + "/tables"}, [] {});
    store.defineTable({1, {{10, true}}, {}});
    for (uint32_t i = 0;; i++) {
      const uint64_t transaction = store.begin(Isolation::REPEATABLE_READ, false, false);
      std::string batch;
      const std::string key = StoreFixture::numberKey(i);
      appendNewRow(batch, {"", {{key, "", false}}});
      store.write(transaction, 1, WriteKind::INSERT, batch, Wait::WAIT);
      store.end(Ending::COMMIT, {transaction}, Durability::SYNCED);
      while (store.takeEvents().empty()) usleep(50);
      if (write(pipes[1], &i, sizeof i) != sizeof i) _exit(1);
    }
  }
  uint32_t answered = 0;
  while (answered < 200) REQUIRE(::read(pipes[0], &answered, sizeof answered) == sizeof answered);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  close(pipes[1]);
  while (::read(pipes[0], &answered, sizeof answered) == sizeof answered) {
  }
  close(pipes[0]);
  {
    Store store({directory + "/tables"}, [] {});
    store.defineTable({1, {{10, true}}, {}});
    CursorOptions options;
    options.table = 1;
    options.aggregates = {{}};
    const uint64_t cursor = store.openCursor(0, options);
    Answer answer = store.fetch(cursor, 1);
    if (answer.operation != 0) {
      std::vector<Event> events;
      while ((events = store.takeEvents()).empty()) usleep(50);
      answer.outcome = events.at(0).outcome;
    }
    CHECK(answer.outcome.count >= answered + 1);
  }
  std::filesystem::remove_all(directory);
}

TEST_CASE_FIXTURE(StoreFixture, "a root has one opener") {
  CHECK(openingFails(directory() + "/tables") == ErrorCode::ROOT_IN_USE);
  CHECK(read(0, 1) == Texts{"-"});
}

TEST_CASE_FIXTURE(StoreFixture, "an unknown format and a foreign RocksDB are refused, and left as they are") {
  store.reset();
  const std::string path = directory() + "/tables";
  rocksdb::DB* rocks = nullptr;
  REQUIRE(rocksdb::DB::Open({}, path, &rocks).ok());
  const std::string key = recordKey(RecordKind::FORMAT);
  SUBCASE("another version") { REQUIRE(rocks->Put({}, key, std::string("\2\0\0\0", 4)).ok()); }
  SUBCASE("no version") {
    REQUIRE(rocks->Delete({}, key).ok());
    REQUIRE(rocks->Put({}, "foreign", "data").ok());
  }
  delete rocks;
  // It still speaks of the logs that were there before.
  std::filesystem::remove(path + "/SYNCED");
  CHECK(openingFails(path) == ErrorCode::UNKNOWN_FORMAT);
}

TEST_CASE_FIXTURE(StoreFixture, "a path that can't be made is refused with what went wrong") {
  CHECK(openingFails("/proc/nowhere") == ErrorCode::STORAGE_FAILED);
}

TEST_CASE_FIXTURE(StoreFixture, "records are put, removed and found by prefix, also after opening again") {
  CHECK(wait(store->putRecords({{"table/1", "one"}, {"table/2", "two"}, {"other", "x"}}, true)).ok());
  CHECK(wait(store->putRecords({{"table/1", std::nullopt}, {"table/3", ""}}, false)).ok());
  reopen();
  const std::vector<Record> records = store->getRecords("table/");
  REQUIRE(records.size() == 2);
  CHECK(records[0].key == "table/2");
  CHECK(records[0].value == "two");
  CHECK(records[1].value == "");
  CHECK(store->getRecords("").size() == 3);
}

TEST_CASE_FIXTURE(StoreFixture, "a scan after restarts finds the rows of every file, none of them cached") {
  constexpr uint32_t rowsARun = 300;
  const auto count = [this](bool reverse) {
    CursorOptions options;
    options.table = 8;
    options.reverse = reverse;
    options.aggregates = {{}};
    return wait(store->fetch(store->openCursor(0, options), 1)).count;
  };
  // Keys only rise, so each run's file goes down the levels beside the others, as it is.
  for (uint32_t run = 0; run < 7; run++) {
    reopen();
    store->defineTable({8, {{20, true}}, {}});
    if (run > 0)
      CHECK(wait(store->get(0, 8, 0, keyBatch(numberKey(5)), Lock::NONE, Wait::WAIT, {}, false)).ok());
    CHECK(count(run % 2 == 1) == run * rowsARun);
    std::string batch;
    for (uint32_t row = 0; row < rowsARun; row++) {
      const std::string key = numberKey(run * rowsARun + row);
      appendNewRow(batch, {"", {{key, "", false}}});
    }
    const uint64_t transaction = begin();
    REQUIRE(wait(store->write(transaction, 8, WriteKind::INSERT, batch, Wait::WAIT)).ok());
    REQUIRE(commit(transaction, Durability::SYNCED).ok());
  }
}
