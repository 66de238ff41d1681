#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint64_t blob = 5;

struct Blobs : StoreFixture {
  void writeChunks(uint64_t number, const std::vector<std::string>& chunks) {
    uint64_t offset = 0;
    for (const std::string& chunk : chunks) {
      REQUIRE(wait(store->writeBlob(number, offset, chunk)).ok());
      offset += chunk.size();
    }
  }
  Outcome readPart(uint64_t number, uint64_t offset, uint64_t lengthBytes, uint64_t transaction = 0) {
    return wait(store->readBlob(transaction, number, offset, lengthBytes));
  }
  void adopt(uint64_t number) {
    const uint64_t transaction = begin();
    store->adoptBlob(transaction, number);
    REQUIRE(commit(transaction).ok());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Blobs, "a blob reads back across its chunks from any offset") {
  writeChunks(blob, {"abc", "d", "efghij"});
  writeChunks(blob + 1, {"other"});
  const std::string whole = "abcdefghij";
  for (uint64_t offset = 0; offset < whole.size(); offset++) {
    for (const uint64_t length : {1, 3, 20})
      CHECK(readPart(blob, offset, length).result == whole.substr(offset, length));
  }
  CHECK(readPart(blob, 10, 5).result.empty());
  CHECK(readPart(blob, 500, 5).result.empty());
  CHECK(readPart(99, 0, 5).code == ErrorCode::BLOB_MISSING);
}

TEST_CASE_FIXTURE(Blobs, "large chunks keep their bytes") {
  std::string chunk(1 << 20, '\0');
  for (size_t i = 0; i < chunk.size(); i++) chunk[i] = static_cast<char>(i * 31 >> 3);
  writeChunks(blob, {chunk, chunk});
  adopt(blob);
  reopen();
  CHECK(readPart(blob, 1, 1 << 20).result == chunk.substr(1) + chunk[0]);
}

TEST_CASE_FIXTURE(Blobs, "a short read that needs the disk gets its bytes") {
  writeChunks(blob, {std::string(1 << 20, 'a'), std::string(1 << 20, 'b')});
  adopt(blob);
  reopen();  // nothing is in memory now
  CHECK(readPart(blob, (1 << 20) - 3, 5).result == "aaabb");
  CHECK(readPart(blob, 7, 64 << 10).result == std::string(64 << 10, 'a'));
}

TEST_CASE_FIXTURE(Blobs, "chunks that don't follow one another, or are too large, are refused") {
  CHECK(wait(store->writeBlob(blob, 3, "late")).code == ErrorCode::BLOB_MISSING);
  writeChunks(blob, {"abc"});
  CHECK(wait(store->writeBlob(blob, 4, "gap")).code == ErrorCode::BAD_REQUEST);
  CHECK(wait(store->writeBlob(blob, 3, "")).code == ErrorCode::BAD_REQUEST);
  CHECK(wait(store->writeBlob(blob, 3, std::string((1 << 20) + 1, 'x'))).code == ErrorCode::BAD_REQUEST);
  CHECK(wait(store->writeBlob(blob, 0xFFFFFFFFFFFFFFFF, "x")).code == ErrorCode::BAD_REQUEST);
  CHECK(readPart(blob, 0, (1 << 20) + 1).code == ErrorCode::BAD_REQUEST);
  adopt(blob);
  CHECK(wait(store->writeBlob(blob, 3, "owned")).code == ErrorCode::BLOB_MISSING);
}

TEST_CASE_FIXTURE(Blobs, "an adopted blob stays, one that nobody owns goes when the store opens") {
  writeChunks(blob, {"kept"});
  adopt(blob);
  writeChunks(6, {"rolled back"});
  const uint64_t transaction = begin();
  store->adoptBlob(transaction, 6);
  store->rollback(transaction);
  writeChunks(7, {"back to a savepoint"});
  const uint64_t other = begin();
  store->setSavepoint(other);
  store->adoptBlob(other, 7);
  store->rollbackToSavepoint(other);
  CHECK(commit(other).ok());
  reopen();
  CHECK(readPart(blob, 0, 10).result == "kept");
  CHECK(readPart(6, 0, 10).code == ErrorCode::BLOB_MISSING);
  CHECK(readPart(7, 0, 10).code == ErrorCode::BLOB_MISSING);
}

TEST_CASE_FIXTURE(Blobs, "a removed blob goes after the commit, but not from older views") {
  writeChunks(blob, {"bytes"});
  adopt(blob);
  const uint64_t reader = store->begin(Isolation::REPEATABLE_READ, false, true);
  const uint64_t one = begin();
  store->removeBlob(one, blob);
  CHECK(readPart(blob, 0, 10).result == "bytes");
  CHECK(commit(one).ok());
  while (readPart(blob, 0, 10).ok()) std::this_thread::yield();
  CHECK(readPart(blob, 0, 10, reader).result == "bytes");
}

TEST_CASE_FIXTURE(Blobs, "a discarded blob goes, an adopted one can't be discarded") {
  writeChunks(blob, {"bytes"});
  store->discardBlob(blob);
  while (readPart(blob, 0, 10).ok()) std::this_thread::yield();
  writeChunks(6, {"owned"});
  adopt(6);
  store->discardBlob(6);
  reopen();
  CHECK(readPart(6, 0, 10).result == "owned");
}
