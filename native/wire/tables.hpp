#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/tables_enums.hpp"
#include "wire/row.hpp"

// The messages of src/protocol/tables.proto that C++ uses; their meaning stands there.
//
// encode() leaves out fields that have their default. decode() takes bytes that any program may have sent,
// and returns false where they are no such message or break a limit. Numbers of enumerations come as they
// are, known or not.
namespace vamos::wire {

struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::INT8;
  bool nullable = false;
  uint32_t widthBytes = 0;
  std::string type;
};

struct KeyPart {
  uint32_t column = 0;
  bool descending = false;
  bool opaque = false;
  uint32_t prefixCharacters = 0;
  std::string levels;
};

struct Index {
  std::string name;
  bool unique = false;
  std::vector<KeyPart> parts;
};

struct Definition {
  std::string name;
  std::vector<Column> columns;
  std::vector<Index> indexes;
  int32_t autoIncrement = 0;
  std::string detail;
};

struct CreateTable {
  Definition definition;
  uint64_t nextAutoIncrement = 0;
  bool temporary = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, CreateTable& message);
};

struct RedefineTable {
  std::string name;
  Definition definition;
  uint64_t nextAutoIncrement = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, RedefineTable& message);
};

struct TableName {
  std::string name;

  std::string encode() const;
  static bool decode(std::string_view bytes, TableName& message);
};

struct RenameTable {
  std::string from;
  std::string to;
  bool rebuilt = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, RenameTable& message);
};

struct IndexStatistics {
  std::vector<uint32_t> hundredthsPerKey;
};

struct TableStatistics {
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t nextAutoIncrement = 0;
  uint64_t indexBytes = 0;
  uint64_t blobBytes = 0;
  uint64_t sample = 0;
  std::vector<IndexStatistics> indexes;
  uint64_t createdMs = 0;
  uint64_t updatedMs = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, TableStatistics& message);
};

struct TableInfo {
  uint32_t table = 0;
  uint32_t version = 0;
  Definition definition;
  TableStatistics statistics;

  std::string encode() const;
  static bool decode(std::string_view bytes, TableInfo& message);
};

struct ListTables {
  uint32_t after = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, ListTables& message);
};

struct TableList {
  std::vector<TableInfo> tables;
  bool hasMore = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, TableList& message);
};

struct Begin {
  Isolation isolation = Isolation::REPEATABLE_READ;
  bool readOnly = false;
  bool consistentSnapshot = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, Begin& message);
};

struct Commit {
  Durability durability = Durability::SYNCED;
  uint64_t number = 0;
  std::string token;

  std::string encode() const;
  static bool decode(std::string_view bytes, Commit& message);
};

struct Savepoint {
  SavepointAction action = SavepointAction::SET;
  std::string name;
  uint32_t statement = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Savepoint& message);
};

struct Prepare {
  std::string xid;
  Durability durability = Durability::SYNCED;

  std::string encode() const;
  static bool decode(std::string_view bytes, Prepare& message);
};

struct EndPrepared {
  std::string xid;
  Durability durability = Durability::SYNCED;

  std::string encode() const;
  static bool decode(std::string_view bytes, EndPrepared& message);
};

struct PreparedList {
  std::vector<std::string> xids;

  std::string encode() const;
  static bool decode(std::string_view bytes, PreparedList& message);
};

struct LastCommit {
  uint32_t stream = 0;
  std::string session;

  std::string encode() const;
  static bool decode(std::string_view bytes, LastCommit& message);
};

struct LastCommitted {
  uint64_t number = 0;
  std::string token;

  std::string encode() const;
  static bool decode(std::string_view bytes, LastCommitted& message);
};

struct Scope {
  bool inTransaction = false;
  Durability durability = Durability::SYNCED;
  Wait wait = Wait::WAIT;
  uint32_t lockTimeoutMs = 0;
  uint32_t statement = 0;
  uint64_t commitNumber = 0;
  std::string commitToken;
};

struct Unlock {
  uint32_t table = 0;
  uint32_t version = 0;
  Scope scope;
  std::string keys;

  std::string encode() const;
  static bool decode(std::string_view bytes, Unlock& message);
};

struct Write {
  uint32_t table = 0;
  uint32_t version = 0;
  Scope scope;
  std::string batch;
  uint64_t autoIncrementSeen = 0;
  Lock duplicateLock = Lock::NONE;

  std::string encode() const;
  static bool decode(std::string_view bytes, Write& message);
};

struct Written {
  uint32_t rows = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Written& message);
};

struct Get {
  uint32_t table = 0;
  uint32_t version = 0;
  Scope scope;
  uint32_t index = 0;
  std::string keys;
  Lock lock = Lock::NONE;
  std::vector<uint32_t> columns;
  bool withKeys = false;
  std::string filter;

  std::string encode() const;
  static bool decode(std::string_view bytes, Get& message);
};

struct Bounds {
  std::string lower;
  std::string upper;
  bool hasLower = false;
  bool hasUpper = false;
  bool lowerExclusive = false;
  bool upperExclusive = false;
};

struct Aggregate {
  AggregateFunction function = AggregateFunction::COUNT;
  std::string value;
  bool padded = false;
};

struct OpenCursor {
  uint32_t table = 0;
  uint32_t version = 0;
  Scope scope;
  uint32_t index = 0;
  Bounds bounds;
  bool reverse = false;
  uint64_t limitRows = 0;
  Lock lock = Lock::NONE;
  std::vector<uint32_t> columns;
  bool withKeys = false;
  uint32_t windowBytes = 0;
  bool countOnly = false;
  std::string filter;
  std::vector<Aggregate> aggregates;
  uint32_t firstRows = 0;
  bool semiConsistent = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, OpenCursor& message);
};

struct Assignment {
  uint32_t column = 0;
  std::string value;
};

struct ChangeWhere {
  uint32_t table = 0;
  uint32_t version = 0;
  Scope scope;
  uint32_t index = 0;
  std::vector<Bounds> ranges;
  std::string keys;
  bool reverse = false;
  std::string filter;
  uint64_t limitRows = 0;
  std::vector<Assignment> assignments;
  bool semiConsistent = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, ChangeWhere& message);
};

struct Changed {
  uint64_t found = 0;
  uint64_t changed = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Changed& message);
};

struct Fetch {
  uint32_t cursor = 0;
  uint32_t windowBytes = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Fetch& message);
};

struct CloseCursor {
  uint32_t cursor = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, CloseCursor& message);
};

struct Rows {
  std::string_view window;  // in the bytes that were decoded
  uint32_t cursor = 0;
  uint64_t count = 0;
  bool lastUnlocked = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, Rows& message);
};

struct Reserve {
  uint32_t table = 0;
  uint32_t version = 0;
  uint32_t count = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Reserve& message);
};

struct Reserved {
  uint64_t first = 0;
  uint32_t count = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Reserved& message);
};

struct Statistics {
  uint32_t table = 0;
  uint64_t knownSample = 0;
  bool fresh = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, Statistics& message);
};

struct TableSample {
  uint64_t number = 0;
  uint64_t rows = 0;
  uint64_t changed = 0;
  uint64_t updatedMs = 0;
  uint64_t rowBytes = 0;
  uint64_t blobBytes = 0;
  uint64_t entryBytes = 0;
  std::vector<IndexStatistics> indexes;

  std::string encode() const;
  static bool decode(std::string_view bytes, TableSample& message);
};

struct Estimate {
  uint32_t table = 0;
  uint32_t version = 0;
  uint32_t index = 0;
  Bounds bounds;

  std::string encode() const;
  static bool decode(std::string_view bytes, Estimate& message);
};

struct Estimated {
  uint64_t rows = 0;
  uint64_t bytes = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Estimated& message);
};

struct WriteBlob {
  uint64_t blob = 0;
  std::string_view data;  // in the caller's memory
  bool discard = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, WriteBlob& message);
};

struct BlobWritten {
  uint64_t blob = 0;
  uint64_t lengthBytes = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, BlobWritten& message);
};

struct ReadBlob {
  uint64_t blob = 0;
  uint64_t offset = 0;
  uint32_t lengthBytes = 0;
  bool inTransaction = false;

  std::string encode() const;
  static bool decode(std::string_view bytes, ReadBlob& message);
};

struct BlobRead {
  std::string_view data;  // in the bytes that were decoded

  std::string encode() const;
  static bool decode(std::string_view bytes, BlobRead& message);
};

}  // namespace vamos::wire
