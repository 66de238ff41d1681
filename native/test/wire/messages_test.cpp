#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <optional>

#include "protocol/tables_messages.hpp"
#include "wire/session_messages.hpp"

// The messages of test/vectors/messages.ts, as TypeScript encodes them.
using namespace vamos;
using namespace vamos::wire;

namespace {

std::map<std::string, std::string> vectors() {
  std::ifstream file(VAMOS_MESSAGES);
  std::map<std::string, std::string> messages;
  for (std::string name, hex; file >> name >> hex;) {
    std::string& bytes = messages[name];
    for (size_t i = 0; i < hex.size(); i += 2) {
      uint8_t byte = 0;
      std::from_chars(&hex[i], &hex[i] + 2, byte, 16);
      bytes.push_back(static_cast<char>(byte));
    }
  }
  REQUIRE_FALSE(messages.empty());
  return messages;
}

std::string vector(const std::string& name) { return vectors().at(name); }

// The bytes of the message as C++ read and wrote them; nothing if it didn't read them.
using Copy = std::function<std::optional<std::string>(std::string_view bytes)>;

template <typename Message>
std::optional<std::string> copy(std::string_view bytes) {
  Message message;
  if (!Message::decode(bytes, message)) return std::nullopt;
  return message.encode();
}

std::optional<std::string> copyRequests(std::string_view bytes) {
  RequestBatch batch;
  if (!RequestBatch::decode(bytes, batch)) return std::nullopt;
  std::string written;
  for (const Request& request : batch.requests) appendRequest(written, request);
  appendReceivedBytes(written, batch.receivedBytes);
  appendStamp(written, batch.stamp);
  return written;
}

std::optional<std::string> copyReplies(std::string_view bytes) {
  ReplyBatch batch;
  if (!ReplyBatch::decode(bytes, 100, batch)) return std::nullopt;
  return batch.encode();
}

const std::map<std::string, Copy> kCopies{
    {"CreateTable", copy<CreateTable>},
    {"RedefineTable", copy<RedefineTable>},
    {"TableName", copy<TableName>},
    {"RenameTable", copy<RenameTable>},
    {"TableStatistics", copy<TableStatistics>},
    {"TableSample", copy<TableSample>},
    {"TableInfo", copy<TableInfo>},
    {"ListTables", copy<ListTables>},
    {"TableList", copy<TableList>},
    {"Begin", copy<Begin>},
    {"Commit", copy<Commit>},
    {"Savepoint", copy<Savepoint>},
    {"Prepare", copy<Prepare>},
    {"EndPrepared", copy<EndPrepared>},
    {"PreparedList", copy<PreparedList>},
    {"LastCommit", copy<LastCommit>},
    {"LastCommitted", copy<LastCommitted>},
    {"Unlock", copy<Unlock>},
    {"Write", copy<Write>},
    {"Written", copy<Written>},
    {"Get", copy<Get>},
    {"OpenCursor", copy<OpenCursor>},
    {"Fetch", copy<Fetch>},
    {"CloseCursor", copy<CloseCursor>},
    {"Rows", copy<Rows>},
    {"Reserve", copy<Reserve>},
    {"Reserved", copy<Reserved>},
    {"Statistics", copy<Statistics>},
    {"Estimate", copy<Estimate>},
    {"Estimated", copy<Estimated>},
    {"WriteBlob", copy<WriteBlob>},
    {"BlobWritten", copy<BlobWritten>},
    {"ReadBlob", copy<ReadBlob>},
    {"BlobRead", copy<BlobRead>},
    {"Hello", copy<Hello>},
    {"Welcome", copy<Welcome>},
    {"RequestBatch", copyRequests},
    {"ReplyBatch", copyReplies},
    {"Parked", copy<Parked>},
    {"Cancel", copy<Cancel>},
    {"Goodbye", copy<Goodbye>},
    {"Credit", copy<Credit>},
};

}  // namespace

TEST_CASE("a message of TypeScript's is written again byte for byte: no field is unknown here") {
  const auto messages = vectors();
  CHECK(messages.size() == kCopies.size());
  for (const auto& [name, bytes] : messages) {
    CAPTURE(name);
    REQUIRE(kCopies.contains(name));
    CHECK(kCopies.at(name)(bytes) == bytes);
  }
}

TEST_CASE("fields have the values that TypeScript gave them") {
  Write write;
  REQUIRE(Write::decode(vector("Write"), write));
  CHECK(write.table == 7);
  CHECK(write.version == 300);
  CHECK(write.scope.inTransaction);
  CHECK(write.scope.durability == Durability::MEMORY);
  CHECK(write.scope.wait == Wait::NO_WAIT);
  CHECK(write.scope.lockTimeoutMs == 70'000);
  CHECK(write.scope.statement == 3);
  CHECK(write.scope.commitNumber == uint64_t(1) << 40);
  CHECK(write.scope.commitToken == "token");
  CHECK(write.batch == "b");
  CHECK(write.autoIncrementSeen == 5);
  CHECK(write.duplicateLock == Lock::EXCLUSIVE);

  OpenCursor cursor;
  REQUIRE(OpenCursor::decode(vector("OpenCursor"), cursor));
  CHECK(cursor.bounds.lower == "low");
  CHECK(cursor.bounds.upper == "up");
  CHECK(cursor.limitRows == 10);
  CHECK(cursor.columns == std::vector<uint32_t>{2});
  CHECK(cursor.windowBytes == 65536);
  CHECK(cursor.semiConsistent);

  CreateTable create;
  REQUIRE(CreateTable::decode(vector("CreateTable"), create));
  REQUIRE(create.definition.columns.size() == 2);
  CHECK(create.definition.columns[1].kind == ColumnKind::BLOB);
  CHECK(create.definition.columns[1].nullable);
  CHECK(create.definition.columns[1].widthBytes == 65535);
  REQUIRE(create.definition.indexes.size() == 2);
  CHECK(create.definition.indexes[0].unique);
  CHECK(create.definition.indexes[1].parts[0].column == 1);
  CHECK(create.definition.indexes[1].parts[0].prefixCharacters == 20);
  CHECK(create.definition.autoIncrement == 1);
  CHECK(create.definition.detail == std::string("\0frm", 4));
  CHECK(create.nextAutoIncrement == 9);

  Rows rows;
  const std::string bytes = vector("Rows");
  REQUIRE(Rows::decode(bytes, rows));
  CHECK(rows.window == "window");
  CHECK(rows.window.data() > bytes.data());
  CHECK(rows.cursor == 2);
  CHECK(rows.count == 3);
  CHECK(rows.lastUnlocked);

  ReplyBatch replies;
  const std::string batch = vector("ReplyBatch");
  REQUIRE(ReplyBatch::decode(batch, 2, replies));
  CHECK(replies.replies[0].body == "body");
  CHECK(replies.replies[1].failure.code == ErrorCode::DUPLICATE_KEY);
  CHECK(replies.replies[1].failure.message == "twice");
  CHECK(replies.replies[1].failure.detail == "d");
  CHECK(replies.stamp == UINT32_MAX);
  CHECK_FALSE(ReplyBatch::decode(batch, 1, replies));
}

TEST_CASE(
    "a message that is cut off, or is none, is refused or reads as something shorter, and harms nobody") {
  for (const auto& [name, bytes] : vectors()) {
    CAPTURE(name);
    for (size_t length = 0; length < bytes.size(); length++) {
      // On the heap and no longer than it is, so that sanitizers see what is read behind it.
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
      const auto copied = kCopies.at(name)({cut.data(), cut.size()});
      if (copied) CHECK(copied->size() <= length);
    }
    CHECK_FALSE(kCopies.at(name)("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    CHECK_FALSE(kCopies.at(name)("\x0f"));
  }
}

TEST_CASE("lists beyond their limits are refused") {
  CreateTable create;
  create.definition.columns.resize(maxColumns);
  CHECK(CreateTable::decode(create.encode(), create));
  CHECK(create.definition.columns.size() == maxColumns);
  create.definition.columns.emplace_back();
  CHECK_FALSE(CreateTable::decode(create.encode(), create));
}

TEST_CASE("fields of a later version, and of other types, are passed over") {
  TableName message;
  CHECK(TableName::decode(std::string("\x0a\x01"
                                      "a\x78\x05\x0d\x01\x02\x03\x04"),
                          message));
  CHECK(message.name == "a");
}
