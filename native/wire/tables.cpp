#include "wire/tables.hpp"

#include "wire/batch.hpp"
#include "wire/message_coder.hpp"

namespace vamos::wire {

// The most elements of a list in a reply.
static constexpr size_t kMaxListed = 1 << 16;
// The most parts of an index and of the primary key together.
static constexpr size_t maxStatistics = 64;

template <typename Visitor, Is<Column> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.name);
  visit(2, message.kind);
  visit(3, message.nullable);
  visit(4, message.widthBytes);
  visit(5, message.type);
}

template <typename Visitor, Is<KeyPart> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.column);
  visit(2, message.descending);
  visit(3, message.opaque);
  visit(4, message.prefixCharacters);
  visit(5, message.levels);
}

template <typename Visitor, Is<Index> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.name);
  visit(2, message.unique);
  visit(3, message.parts, maxColumns);
}

template <typename Visitor, Is<Definition> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.name);
  visit(2, message.columns, maxColumns);
  visit(3, message.indexes, maxIndexes);
  visit(4, message.autoIncrement);
  visit(5, message.detail);
}

template <typename Visitor, Is<CreateTable> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.definition);
  visit(2, message.nextAutoIncrement);
  visit(3, message.temporary);
}

template <typename Visitor, Is<RedefineTable> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.name);
  visit(2, message.definition);
  visit(3, message.nextAutoIncrement);
}

template <typename Visitor, Is<TableName> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.name);
}

template <typename Visitor, Is<RenameTable> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.from);
  visit(2, message.to);
  visit(3, message.rebuilt);
}

template <typename Visitor, Is<IndexStatistics> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.hundredthsPerKey, maxStatistics);
}

template <typename Visitor, Is<TableStatistics> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.rows);
  visit(2, message.bytes);
  visit(3, message.nextAutoIncrement);
  visit(4, message.indexBytes);
  visit(5, message.blobBytes);
  visit(6, message.sample);
  visit(7, message.indexes, maxIndexes);
  visit(8, message.createdMs);
  visit(9, message.updatedMs);
}

template <typename Visitor, Is<TableSample> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.number);
  visit(2, message.rows);
  visit(3, message.changed);
  visit(4, message.updatedMs);
  visit(5, message.rowBytes);
  visit(6, message.blobBytes);
  visit(7, message.entryBytes);
  visit(8, message.indexes, maxIndexes);
}

template <typename Visitor, Is<TableInfo> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.definition);
  visit(4, message.statistics);
}

template <typename Visitor, Is<ListTables> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.after);
}

template <typename Visitor, Is<TableList> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.tables, kMaxListed);
  visit(2, message.hasMore);
}

template <typename Visitor, Is<Begin> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.isolation);
  visit(2, message.readOnly);
  visit(3, message.consistentSnapshot);
}

template <typename Visitor, Is<Commit> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.durability);
  visit(2, message.number);
  visit(3, message.token);
}

template <typename Visitor, Is<Savepoint> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.action);
  visit(2, message.name);
  visit(3, message.statement);
}

template <typename Visitor, Is<Prepare> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.xid);
  visit(2, message.durability);
}

template <typename Visitor, Is<EndPrepared> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.xid);
  visit(2, message.durability);
}

template <typename Visitor, Is<PreparedList> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.xids, kMaxListed);
}

template <typename Visitor, Is<LastCommit> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.stream);
  visit(2, message.session);
}

template <typename Visitor, Is<LastCommitted> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.number);
  visit(2, message.token);
}

template <typename Visitor, Is<Scope> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.inTransaction);
  visit(2, message.durability);
  visit(3, message.wait);
  visit(4, message.lockTimeoutMs);
  visit(5, message.statement);
  visit(6, message.commitNumber);
  visit(7, message.commitToken);
}

template <typename Visitor, Is<Unlock> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.scope);
  visit(4, message.keys);
}

template <typename Visitor, Is<Write> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.scope);
  visit(4, message.batch);
  visit(5, message.autoIncrementSeen);
  visit(6, message.duplicateLock);
}

template <typename Visitor, Is<Written> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.rows);
}

template <typename Visitor, Is<Get> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.scope);
  visit(4, message.index);
  visit(5, message.keys);
  visit(6, message.lock);
  visit(7, message.columns, maxColumns);
  visit(8, message.withKeys);
  visit(9, message.filter);
}

template <typename Visitor, Is<Bounds> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.lower);
  visit(2, message.upper);
  visit(3, message.hasLower);
  visit(4, message.hasUpper);
  visit(5, message.lowerExclusive);
  visit(6, message.upperExclusive);
}

template <typename Visitor, Is<Aggregate> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.function);
  visit(2, message.value);
  visit(3, message.padded);
}

template <typename Visitor, Is<OpenCursor> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.scope);
  visit(4, message.index);
  visit(5, message.bounds);
  visit(6, message.reverse);
  visit(7, message.limitRows);
  visit(8, message.lock);
  visit(9, message.columns, maxColumns);
  visit(10, message.withKeys);
  visit(11, message.windowBytes);
  visit(12, message.countOnly);
  visit(13, message.filter);
  visit(14, message.aggregates, maxAggregates);
  visit(15, message.firstRows);
  visit(16, message.semiConsistent);
}

template <typename Visitor, Is<Assignment> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.column);
  visit(2, message.value);
}

template <typename Visitor, Is<ChangeWhere> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.scope);
  visit(4, message.index);
  visit(5, message.ranges, maxChangeMessages);
  visit(6, message.keys);
  visit(7, message.reverse);
  visit(8, message.filter);
  visit(9, message.limitRows);
  visit(10, message.assignments, maxColumns);
  visit(11, message.semiConsistent);
}

template <typename Visitor, Is<Changed> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.found);
  visit(2, message.changed);
}

template <typename Visitor, Is<Fetch> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.cursor);
  visit(2, message.windowBytes);
}

template <typename Visitor, Is<CloseCursor> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.cursor);
}

template <typename Visitor, Is<Rows> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.window);
  visit(2, message.cursor);
  visit(3, message.count);
  visit(4, message.lastUnlocked);
}

template <typename Visitor, Is<Reserve> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.count);
}

template <typename Visitor, Is<Reserved> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.first);
  visit(2, message.count);
}

template <typename Visitor, Is<Statistics> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.knownSample);
  visit(3, message.fresh);
}

template <typename Visitor, Is<Estimate> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.table);
  visit(2, message.version);
  visit(3, message.index);
  visit(4, message.bounds);
}

template <typename Visitor, Is<Estimated> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.rows);
  visit(2, message.bytes);
}

template <typename Visitor, Is<WriteBlob> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.blob);
  visit(2, message.data);
  visit(3, message.discard);
}

template <typename Visitor, Is<BlobWritten> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.blob);
  visit(2, message.lengthBytes);
}

template <typename Visitor, Is<ReadBlob> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.blob);
  visit(2, message.offset);
  visit(3, message.lengthBytes);
  visit(4, message.inTransaction);
}

template <typename Visitor, Is<BlobRead> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.data);
}

std::string CreateTable::encode() const { return encodeMessage(*this); }
bool CreateTable::decode(std::string_view bytes, CreateTable& message) {
  return decodeMessage(bytes, message);
}

std::string RedefineTable::encode() const { return encodeMessage(*this); }
bool RedefineTable::decode(std::string_view bytes, RedefineTable& message) {
  return decodeMessage(bytes, message);
}

std::string TableName::encode() const { return encodeMessage(*this); }
bool TableName::decode(std::string_view bytes, TableName& message) { return decodeMessage(bytes, message); }

std::string RenameTable::encode() const { return encodeMessage(*this); }
bool RenameTable::decode(std::string_view bytes, RenameTable& message) {
  return decodeMessage(bytes, message);
}

std::string TableStatistics::encode() const { return encodeMessage(*this); }
bool TableStatistics::decode(std::string_view bytes, TableStatistics& message) {
  return decodeMessage(bytes, message);
}

std::string TableInfo::encode() const { return encodeMessage(*this); }
bool TableInfo::decode(std::string_view bytes, TableInfo& message) { return decodeMessage(bytes, message); }

std::string ListTables::encode() const { return encodeMessage(*this); }
bool ListTables::decode(std::string_view bytes, ListTables& message) { return decodeMessage(bytes, message); }

std::string TableList::encode() const { return encodeMessage(*this); }
bool TableList::decode(std::string_view bytes, TableList& message) { return decodeMessage(bytes, message); }

std::string Begin::encode() const { return encodeMessage(*this); }
bool Begin::decode(std::string_view bytes, Begin& message) { return decodeMessage(bytes, message); }

std::string Commit::encode() const { return encodeMessage(*this); }
bool Commit::decode(std::string_view bytes, Commit& message) { return decodeMessage(bytes, message); }

std::string Savepoint::encode() const { return encodeMessage(*this); }
bool Savepoint::decode(std::string_view bytes, Savepoint& message) { return decodeMessage(bytes, message); }

std::string Prepare::encode() const { return encodeMessage(*this); }
bool Prepare::decode(std::string_view bytes, Prepare& message) { return decodeMessage(bytes, message); }

std::string EndPrepared::encode() const { return encodeMessage(*this); }
bool EndPrepared::decode(std::string_view bytes, EndPrepared& message) {
  return decodeMessage(bytes, message);
}

std::string PreparedList::encode() const { return encodeMessage(*this); }
bool PreparedList::decode(std::string_view bytes, PreparedList& message) {
  return decodeMessage(bytes, message);
}

std::string LastCommit::encode() const { return encodeMessage(*this); }
bool LastCommit::decode(std::string_view bytes, LastCommit& message) { return decodeMessage(bytes, message); }

std::string LastCommitted::encode() const { return encodeMessage(*this); }
bool LastCommitted::decode(std::string_view bytes, LastCommitted& message) {
  return decodeMessage(bytes, message);
}

std::string Unlock::encode() const { return encodeMessage(*this); }
bool Unlock::decode(std::string_view bytes, Unlock& message) { return decodeMessage(bytes, message); }

std::string Write::encode() const { return encodeMessage(*this); }
bool Write::decode(std::string_view bytes, Write& message) { return decodeMessage(bytes, message); }

std::string Written::encode() const { return encodeMessage(*this); }
bool Written::decode(std::string_view bytes, Written& message) { return decodeMessage(bytes, message); }

std::string Get::encode() const { return encodeMessage(*this); }
bool Get::decode(std::string_view bytes, Get& message) { return decodeMessage(bytes, message); }

std::string OpenCursor::encode() const { return encodeMessage(*this); }
bool OpenCursor::decode(std::string_view bytes, OpenCursor& message) { return decodeMessage(bytes, message); }

std::string ChangeWhere::encode() const { return encodeMessage(*this); }
bool ChangeWhere::decode(std::string_view bytes, ChangeWhere& message) {
  return decodeMessage(bytes, message);
}

std::string Changed::encode() const { return encodeMessage(*this); }
bool Changed::decode(std::string_view bytes, Changed& message) { return decodeMessage(bytes, message); }

std::string Fetch::encode() const { return encodeMessage(*this); }
bool Fetch::decode(std::string_view bytes, Fetch& message) { return decodeMessage(bytes, message); }

std::string CloseCursor::encode() const { return encodeMessage(*this); }
bool CloseCursor::decode(std::string_view bytes, CloseCursor& message) {
  return decodeMessage(bytes, message);
}

std::string Rows::encode() const { return encodeMessage(*this); }
bool Rows::decode(std::string_view bytes, Rows& message) { return decodeMessage(bytes, message); }

std::string Reserve::encode() const { return encodeMessage(*this); }
bool Reserve::decode(std::string_view bytes, Reserve& message) { return decodeMessage(bytes, message); }

std::string Reserved::encode() const { return encodeMessage(*this); }
bool Reserved::decode(std::string_view bytes, Reserved& message) { return decodeMessage(bytes, message); }

std::string Statistics::encode() const { return encodeMessage(*this); }
bool Statistics::decode(std::string_view bytes, Statistics& message) { return decodeMessage(bytes, message); }

std::string TableSample::encode() const { return encodeMessage(*this); }
bool TableSample::decode(std::string_view bytes, TableSample& message) {
  return decodeMessage(bytes, message);
}

std::string Estimate::encode() const { return encodeMessage(*this); }
bool Estimate::decode(std::string_view bytes, Estimate& message) { return decodeMessage(bytes, message); }

std::string Estimated::encode() const { return encodeMessage(*this); }
bool Estimated::decode(std::string_view bytes, Estimated& message) { return decodeMessage(bytes, message); }

std::string WriteBlob::encode() const { return encodeMessage(*this); }
bool WriteBlob::decode(std::string_view bytes, WriteBlob& message) { return decodeMessage(bytes, message); }

std::string BlobWritten::encode() const { return encodeMessage(*this); }
bool BlobWritten::decode(std::string_view bytes, BlobWritten& message) {
  return decodeMessage(bytes, message);
}

std::string ReadBlob::encode() const { return encodeMessage(*this); }
bool ReadBlob::decode(std::string_view bytes, ReadBlob& message) { return decodeMessage(bytes, message); }

std::string BlobRead::encode() const { return encodeMessage(*this); }
bool BlobRead::decode(std::string_view bytes, BlobRead& message) { return decodeMessage(bytes, message); }

}  // namespace vamos::wire
