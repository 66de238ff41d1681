// Each kind of damage that no checksum shows: it is written to the store as RocksDB's own, whole records.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <rocksdb/db.h>

#include "engine/keys.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

struct Cities : StoreFixture {
  Cities() { load({{1, "a", "x"}, {2, "b", "x"}, {3, "", "y"}, {4, "d", "z"}}); }

  // Changes the store past VAMOS.
  void damage(const std::function<void(rocksdb::WriteBatch&)>& change) {
    store.reset();
    {
      rocksdb::DB* opened = nullptr;
      REQUIRE(rocksdb::DB::Open({}, directory() + "/tables", &opened).ok());
      const std::unique_ptr<rocksdb::DB> base(opened);
      rocksdb::WriteBatch batch;
      change(batch);
      REQUIRE(base->Write({}, &batch).ok());
      REQUIRE(base->FlushWAL(true).ok());
    }
    // It still speaks of the logs that were there before.
    std::filesystem::remove(directory() + "/tables/SYNCED");
    reopen();
  }
  // The findings as JSON, of as many steps as it takes.
  std::string verify(uint64_t maxBytes = 1 << 20) {
    const uint64_t verification = store->openVerification({table}, {});
    std::string last;
    std::string findings;
    do {
      last = wait(store->verify(verification, maxBytes)).result;
      const size_t start = last.find(R"("findings":[)") + 12;
      findings += last.substr(start, last.size() - start - 2);
    } while (last.find(R"("isDone":true)") == std::string::npos);
    store->closeVerification(verification);
    counts = last;
    return findings;
  }
  std::string counts;

  static std::string cityEntry(const std::string& city, uint32_t number) {
    return spaceKey(12, textKey(city) + numberKey(number));
  }
  static std::string inKeyValue() {
    std::string value;
    appendU32(value, 4 | 0x80000000);
    return value;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Cities, "a sound store has no findings, in one step or in many") {
  CHECK(verify() == "");
  CHECK(counts.find(R"("rows":4)") != std::string::npos);
  CHECK(counts.find(R"("entries":8)") != std::string::npos);
  CHECK(verify(1) == "");
  CHECK(counts.find(R"("rows":4)") != std::string::npos);
  CHECK(counts.find(R"("entries":8)") != std::string::npos);
}

TEST_CASE_FIXTURE(Cities, "what open and prepared transactions have written is none of the store's yet") {
  const uint64_t open = begin();
  CHECK(wait(insert(open, {{10, "j", "x"}})).ok());
  const uint64_t prepared = begin();
  CHECK(wait(insert(prepared, {{11, "k", "x"}})).ok());
  CHECK(prepare(prepared, "xid").ok());
  CHECK(verify() == "");
  CHECK(counts.find(R"("rows":4)") != std::string::npos);
}

TEST_CASE_FIXTURE(Cities, "a row without its entry is found, and so is an entry without its row") {
  SUBCASE("not unique") {
    damage([](auto& batch) { batch.Delete(cityEntry("x", 2)); });
    const std::string findings = verify();
    CHECK(findings.find(R"("index":2,"kind":"index","text":"4 rows, 3 entries)") != std::string::npos);
    CHECK(findings.find(R"("kind":"row","text":"row 00000002 has no entry")") != std::string::npos);
  }
  SUBCASE("unique") {
    damage([](auto& batch) { batch.Delete(spaceKey(11, nullableKey("a"))); });
    CHECK(verify().find(R"("index":1,"kind":"row","text":"row 00000001 has no entry")") != std::string::npos);
  }
  SUBCASE("row") {
    damage([](auto& batch) { batch.Delete(spaceKey(10, numberKey(4))); });
    const std::string findings = verify(1);
    CHECK(findings.find("is of row 00000004, which is not there") != std::string::npos);
    CHECK(findings.find(R"("index":1,"kind":"index","text":"3 rows, 4 entries)") != std::string::npos);
    CHECK(findings.find(R"("index":2,"kind":"index","text":"3 rows, 4 entries)") != std::string::npos);
  }
  SUBCASE("as many entries as rows, but others") {
    damage([](auto& batch) {
      batch.Delete(cityEntry("x", 2));
      batch.Put(cityEntry("w", 2), inKeyValue());
    });
    CHECK(verify().find("is not what its row 00000002 says") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Cities, "a row that does not decode, or is not that of its key, is found") {
  damage([](auto& batch) {
    batch.Put(spaceKey(10, numberKey(1)), "short");
    batch.Put(spaceKey(10, numberKey(2)), rowBytes({7, "b", "x"}));
  });
  const std::string findings = verify();
  CHECK(findings.find("row 00000001: its bytes do not decode") != std::string::npos);
  CHECK(findings.find("row 00000002 has other values than its primary key") != std::string::npos);
}

TEST_CASE_FIXTURE(Cities, "data that belong to no table, and records that do not decode, are found") {
  damage([](auto& batch) {
    batch.Put(spaceKey(77, "x"), "");
    batch.Put(recordKey(RecordKind::LAST_COMMIT, "short"), "x");
    // It is being removed.
    batch.Put(spaceKey(78, "x"), "");
    batch.Put(recordKey32(RecordKind::REMOVED_SPACE, 78), "");
  });
  const std::string findings = verify();
  CHECK(findings.find("data of index 77, which belongs to no table") != std::string::npos);
  CHECK(findings.find("of index 78") == std::string::npos);
  CHECK(findings.find(R"("kind":"record")") != std::string::npos);
}

TEST_CASE_FIXTURE(Cities,
                  "a store that is open for reading alone is verified and stays byte for byte as it was") {
  CHECK(wait(store->putRecords({{"x", "y"}}, true)).ok());
  store.reset();
  const std::string folder = directory() + "/tables";
  const auto content = [&folder] {
    std::map<std::string, std::pair<uintmax_t, std::filesystem::file_time_type>> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      files[entry.path().filename()] = {entry.file_size(), entry.last_write_time()};
    }
    return files;
  };
  const auto before = content();
  options.readOnly = true;
  reopen();
  CHECK(verify() == "");
  CHECK(counts.find(R"("rows":4)") != std::string::npos);
  store.reset();
  CHECK(content() == before);
}

TEST_CASE_FIXTURE(Cities,
                  "the files that are held stay until they are released, and no release is one too many") {
  CHECK(wait(store->releaseFiles()).code == ErrorCode::BAD_REQUEST);
  const Outcome held = wait(store->holdFiles());
  CHECK(held.ok());
  CHECK(held.result.find(R"("name":"MANIFEST-)") != std::string::npos);
  CHECK(held.result.find(".log\"") != std::string::npos);
  CHECK(store->statistics().filesHeld == 1);
  CHECK(wait(store->releaseFiles()).ok());
  CHECK(store->statistics().filesHeld == 0);
  CHECK(wait(store->releaseFiles()).code == ErrorCode::BAD_REQUEST);
}
