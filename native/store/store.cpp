#include "store/store.hpp"

#include <algorithm>
#include <unordered_set>

#include "engine/rows/get.hpp"
#include "engine/rows/write.hpp"
#include "protocol/limits.hpp"
#include "store/transactions/cached_source.hpp"
#include "store/upkeep/checkpoint.hpp"

namespace vamos::store {

using namespace engine;
namespace {

// More than this is not for the event loop.
constexpr size_t maxInputBytesHere = 256 << 10;
constexpr size_t maxFilterBytesHere = 1 << 10;
// A shared transaction that is larger takes no more writes: each may have to be undone.
constexpr size_t maxSharedBytes = 64 << 10;
constexpr size_t maxSharedLockBytes = 256 << 10;

}  // namespace

Store::Store(const StoreOptions& options, std::function<void()> notify)
    : options_(options),
      database_(options),
      rocks_(database_),
      cached_(database_.cache() == nullptr ? nullptr : std::make_unique<CachedSource>(rocks_, database_)),
      source_(options.source != nullptr ? *options.source
              : cached_                 ? *cached_
                                        : rocks_),
      locks_([](void* store, uint64_t owner) { static_cast<Store*>(store)->scheduler_.wake(owner); }, this),
      scheduler_(options.threads, std::move(notify)),
      commits_(database_, [this](const CommitQueue::Group& group) {
        scheduler_.finish(std::vector<std::shared_ptr<Operation>>(group.begin(), group.end()));
      }) {
  adoptPrepared();
  checkUsable();
  database_.onFatal([this] { scheduler_.announce(); });
}

void Store::adoptPrepared() {
  std::unordered_set<uint64_t> kept;
  for (rocksdb::Transaction* prepared : database_.prepared()) {
    const uint64_t number = begin(Isolation::REPEATABLE_READ, false, false);
    Transaction& transaction = *transactions_.at(number);
    transaction.adopt(std::make_unique<RocksWrites>(database_, prepared), prepared->GetName());
    kept.insert(transaction.adoptedBlobs.begin(), transaction.adoptedBlobs.end());
  }
  database_.cleanUp(kept);
}

std::vector<Event> Store::takeEvents() {
  Scheduler::News news = scheduler_.takeNews();
  std::vector<Event> events;
  const bool hasFailed = database_.hasFailed();
  if (hasFailed && !std::exchange(isFailureTold_, true)) events.push_back({0, false, database_.fatal()});
  for (const auto& operation : news.finished) {
    // Both in one go: that it was parked is of no use any more.
    std::erase(news.parked, operation->number);
  }
  for (const uint64_t number : news.parked) events.push_back({number, true, {}});
  for (const auto& operation : news.finished) {
    operations_.erase(operation->number);
    auto* end = dynamic_cast<CommitOperation*>(operation.get());
    // What it read may be of a commit that failed.
    if (hasFailed && end == nullptr && operation->outcome.ok()) operation->outcome = database_.fatal();
    if (auto* fetch = dynamic_cast<FetchOperation*>(operation.get())) {
      fetch->cursor->isBusy = false;
    } else if (end != nullptr && end->transaction && end->outcome.ok()) {
      if (end->ending == Ending::COMMIT) blobsCommitted(*end->transaction);
      if (end->ending == Ending::ROLLBACK) discardBlobs(*end->transaction);
    }
    if (operation->transaction) settleTransaction(operation->transaction);
    events.push_back({operation->number, false, std::move(operation->outcome)});
  }
  return events;
}

// After an operation of its own has ended.
void Store::settleTransaction(const TransactionPointer& transaction) {
  transaction->isBusy = false;
  if (transaction->rollbackRequested) transaction->end();
  if (transaction->hasEnded()) forget(transaction);
}

void Store::forget(const TransactionPointer& transaction) {
  transactions_.erase(transaction->number());
  std::erase_if(cursors_, [&](const auto& item) { return item.second->transaction == transaction; });
}

void Store::defineTable(const TableLayout& layout) {
  const std::optional<RowLayout> row = RowLayout::make(layout.columns);
  const auto isSpace = [](const IndexLayout& index) {
    return index.space >= firstTableSpace && index.space <= lastTableSpace;
  };
  const auto isPart = [&](const KeyPart& part) {
    return part.column < row->columnCount() && (part.isOpaque || row->kind(part.column) != ColumnKind::BLOB);
  };
  const auto isIndex = [&](const IndexLayout& index) {
    return isSpace(index) && std::all_of(index.parts.begin(), index.parts.end(), isPart);
  };
  if (!row || layout.indexes.empty() || layout.indexes.size() > maxIndexes || !layout.indexes[0].isUnique ||
      !std::all_of(layout.indexes.begin(), layout.indexes.end(), isIndex)) {
    refuse(ErrorCode::BAD_REQUEST,
           "table " + std::to_string(layout.table) + ": a layout that the store can't hold");
  }
  const TablePointer before = findTable(layout.table);
  // Snapshots don't outlive the process: when it starts, any that comes shows all that was stored before.
  const uint64_t firstSequence = layout.isNew ? source_.snapshot()->sequence
                                 : before     ? before->firstSequence
                                              : 0;
  tables_[layout.table] =
      std::make_shared<const Table>(Table{layout.table, layout.indexes, *row, firstSequence});
}

void Store::dropTable(uint32_t number) {
  const auto found = tables_.find(number);
  if (found == tables_.end()) return;
  const TablePointer table = found->second;
  tables_.erase(found);
  scheduler_.background([this, table] {
    rocksdb::WriteBatch records;
    rocksdb::Status status;
    for (const IndexLayout& index : table->indexes) {
      if (status.ok()) status = records.Put(recordKey32(RecordKind::REMOVED_SPACE, index.space), "");
    }
    if (status.ok()) status = database_.write(records);
    // What fails here is done when the store opens again.
    for (const IndexLayout& index : table->indexes) {
      if (status.ok()) status = database_.removeSpace(index.space);
    }
  });
}

Store::TransactionPointer Store::findTransaction(uint64_t number) const {
  const auto found = transactions_.find(number);
  if (found == transactions_.end() || found->second->hasEnded() || found->second->rollbackRequested)
    return nullptr;
  return found->second;
}

Store::TransactionPointer Store::idleTransaction(uint64_t number) const {
  TransactionPointer transaction = findTransaction(number);
  if (!transaction)
    refuse(ErrorCode::NO_TRANSACTION, "transaction " + std::to_string(number) + " is not open");
  if (transaction->isBusy) refuse(ErrorCode::BAD_REQUEST, "an operation of the transaction is under way");
  return transaction;
}

std::optional<Outcome> Store::checkTransaction(uint64_t number, TransactionPointer& transaction) const {
  if (number == 0) return std::nullopt;
  transaction = findTransaction(number);
  if (!transaction) {
    return Outcome::failure(ErrorCode::NO_TRANSACTION,
                            "transaction " + std::to_string(number) + " is not open");
  }
  if (transaction->isBusy) {
    return Outcome::failure(ErrorCode::BAD_REQUEST, "an operation of the transaction is under way");
  }
  return std::nullopt;
}

Store::TablePointer Store::findTable(uint32_t number) const {
  const auto found = tables_.find(number);
  return found == tables_.end() ? nullptr : found->second;
}

std::optional<Outcome> Store::findTarget(uint64_t transaction, uint32_t table, Access access,
                                         Target& target) const {
  if (auto failure = checkTransaction(transaction, target.transaction)) return failure;
  target.table = findTable(table);
  if (!target.table) {
    return Outcome::failure(ErrorCode::TABLE_MISSING, "table " + std::to_string(table) + " is not defined");
  }
  if (access == Access::READ && target.transaction && !target.transaction->canRead(*target.table)) {
    return Outcome::failure(ErrorCode::SNAPSHOT_TOO_OLD,
                            "the table was created, emptied or rebuilt after the transaction's snapshot was "
                            "taken: roll back and run the transaction again");
  }
  return std::nullopt;
}

void Store::checkUsable() const {
  if (!database_.hasFailed()) return;
  Outcome fatal = database_.fatal();
  refuse(fatal.code, std::move(fatal.message));
}

Answer Store::run(const std::shared_ptr<Operation>& operation, bool mayRunHere) {
  if (database_.hasFailed()) return {0, database_.fatal()};
  const TransactionPointer& transaction = operation->transaction;
  if (transaction && transaction->isShared()) return runAtOnce(*operation, mayRunHere);
  if (transaction) transaction->isBusy = true;
  if (mayRunHere && scheduler_.runHere(operation)) {
    if (transaction) {
      if (operation->outcome.code == ErrorCode::DEADLOCK) transaction->end();
      settleTransaction(transaction);
    }
    return {0, std::move(operation->outcome)};
  }
  operations_[operation->number] = operation;
  if (!mayRunHere) scheduler_.start(operation);
  return {operation->number, {}};
}

// What would have to wait, or go on later, is undone: the others' commit doesn't wait for it. Nor is anybody
// to wait for the locks of what is undone.
Answer Store::runAtOnce(Operation& operation, bool mayRunHere) {
  Transaction& shared = *operation.transaction;
  const size_t writtenBytes = shared.writtenBytes();
  if (shared.hasUndone() || writtenBytes > maxSharedBytes || shared.lockBytes() > maxSharedLockBytes) {
    return Answer::failure(ErrorCode::TRANSACTION_TOO_LARGE, "the shared transaction takes no more writes");
  }
  const uint64_t locks = shared.lockMark();
  const bool isDone = mayRunHere && operation.go(Scheduler::loopBudget()) == Progress::DONE;
  if (!isDone) {
    operation.cancelCode = static_cast<uint32_t>(ErrorCode::LOCK_NOT_AVAILABLE);
    operation.go(Scheduler::loopBudget());
  }
  if (operation.outcome.ok() && shared.writtenBytes() > writtenBytes) {
    shared.commitCount++;
  } else {
    shared.releaseLocks(locks);
  }
  return {0, std::move(operation.outcome)};
}

uint64_t Store::begin(Isolation isolation, bool readOnly, bool snapshotNow) {
  const uint64_t number = ++lastNumber_;
  auto transaction = std::make_shared<Transaction>(source_, locks_, number, isolation, readOnly);
  if (snapshotNow && isolation != Isolation::READ_COMMITTED) transaction->takeSnapshot();
  transactions_.emplace(number, std::move(transaction));
  return number;
}

// Each write in it is a transaction of its own to its connector: it reads nothing again, so no gap is locked.
uint64_t Store::beginShared() {
  const uint64_t number = ++lastNumber_;
  auto transaction = std::make_shared<Transaction>(source_, locks_, number, Isolation::READ_COMMITTED, false,
                                                   Transaction::Kind::SHARED);
  transaction->commitCount = 0;
  transactions_.emplace(number, std::move(transaction));
  return number;
}

void Store::beginStatement(uint64_t number) { idleTransaction(number)->beginStatement(); }

Answer Store::write(uint64_t number, uint32_t tableNumber, WriteKind kind, std::string_view batch, Wait wait,
                    Lock duplicateLock) {
  Target target;
  const Access access = kind == WriteKind::INSERT ? Access::ADD : Access::READ;
  if (auto failure = findTarget(number, tableNumber, access, target)) return {0, std::move(*failure)};
  auto& [transaction, table] = target;
  if (!transaction) return Answer::failure(ErrorCode::BAD_REQUEST, "a write needs a transaction");
  if (transaction->isReadOnly())
    return Answer::failure(ErrorCode::READ_ONLY, "the transaction was begun as read-only");
  if (wait == Wait::SKIP_LOCKED)
    return Answer::failure(ErrorCode::BAD_REQUEST, "a write can't skip locked rows");
  if (transaction->isShared()) wait = Wait::NO_WAIT;
  return run(std::make_shared<WriteOperation>(++lastNumber_, std::move(transaction), source_,
                                              std::move(table), kind, batch, wait, lockMode(duplicateLock)),
             batch.size() <= maxInputBytesHere);
}

Answer Store::get(uint64_t number, uint32_t tableNumber, uint32_t index, std::string_view keys, Lock lock,
                  Wait wait, std::vector<uint32_t> columns, bool withKeys, std::string_view filter) {
  Target target;
  if (auto failure = findTarget(number, tableNumber, Access::READ, target)) return {0, std::move(*failure)};
  auto& [transaction, table] = target;
  if (index >= table->indexes.size() || !table->indexes[index].isUnique) {
    return Answer::failure(ErrorCode::INDEX_MISSING,
                           "index " + std::to_string(index) + " is no unique index of the table");
  }
  if (!Projection::isValid(*table, columns)) {
    return Answer::failure(ErrorCode::BAD_REQUEST, "a projection names columns of the table, each once");
  }
  if (transaction) lock = transaction->readLock(lock);
  if (!transaction && lock != Lock::NONE)
    return Answer::failure(ErrorCode::BAD_REQUEST, "a locking read needs a transaction");
  GetOperation::Request request{index, keys, lock, wait, Projection{std::move(columns), withKeys}, {}};
  if (!filter.empty()) {
    std::string refusal;
    std::optional<Program> program = Program::makeFilter(table->row, filter, refusal);
    if (!program) return Answer::failure(ErrorCode::BAD_REQUEST, "filter: " + refusal);
    request.filter = std::make_shared<const Program>(std::move(*program));
  }
  return run(std::make_shared<GetOperation>(++lastNumber_, std::move(transaction), source_, std::move(table),
                                            std::move(request)),
             keys.size() <= maxInputBytesHere && filter.size() <= maxFilterBytesHere);
}

void Store::unlock(uint64_t number, uint32_t tableNumber, std::string_view keys) {
  const TransactionPointer transaction = idleTransaction(number);
  const TablePointer table = findTable(tableNumber);
  if (!table) refuse(ErrorCode::TABLE_MISSING, "table " + std::to_string(tableNumber) + " is not defined");
  // Where gaps are locked, a row's lock keeps its place in them.
  if (transaction->locksGaps()) return;
  Reader reader(keys);
  while (!reader.atEnd()) {
    std::string_view key;
    if (!readKey(reader, key)) refuse(ErrorCode::BAD_REQUEST, "the key batch breaks its format or a limit");
    transaction->unlockRow(spaceKey(table->indexes[0].space, key), transaction->statementLockMark());
  }
}

std::vector<uint64_t> Store::end(Ending ending, const std::vector<uint64_t>& numbers, Durability durability) {
  std::vector<uint64_t> operations;
  CommitQueue::Group group;
  std::vector<std::shared_ptr<Operation>> ended;
  for (const uint64_t number : numbers) {
    TransactionPointer transaction;
    std::optional<Outcome> failure = checkTransaction(number, transaction);
    if (!failure && !transaction)
      failure = Outcome::failure(ErrorCode::NO_TRANSACTION, "no transaction to end");
    const bool isPrepared = !failure && transaction->isPrepared();
    const bool fits = ending == Ending::PREPARE ? !isPrepared : ending == Ending::COMMIT || isPrepared;
    if (!failure && !fits) {
      failure =
          Outcome::failure(ErrorCode::BAD_REQUEST, "a transaction is prepared once, then ended as such");
    }
    auto operation =
        std::make_shared<CommitOperation>(++lastNumber_, failure ? nullptr : transaction, durability, ending);
    operations.push_back(operation->number);
    operations_[operation->number] = operation;
    if (!failure) transaction->isBusy = true;
    if (!failure && (ending != Ending::COMMIT || isPrepared || transaction->hasWrites())) {
      group.push_back(std::move(operation));
      continue;
    }
    if (failure) {
      operation->outcome = std::move(*failure);
    } else {
      transaction->end();
    }
    ended.push_back(std::move(operation));
  }
  // Together: one group, one sync.
  if (!group.empty()) commits_.add(group);
  if (!ended.empty()) scheduler_.finish(ended);
  return operations;
}

void Store::setXid(uint64_t number, std::string xid) {
  if (xid.empty() || xid.size() > maxXidBytes) refuse(ErrorCode::BAD_REQUEST, "an xid has 1 to 160 bytes");
  idleTransaction(number)->xid = std::move(xid);
}

std::vector<PreparedTransaction> Store::prepared() {
  std::vector<PreparedTransaction> result;
  for (const auto& [number, transaction] : transactions_) {
    if (!transaction->isPrepared()) continue;
    result.push_back({transaction->xid, number, transaction->addedKeys()});
  }
  return result;
}

void Store::numberCommit(uint64_t number, std::string_view stream, const CommitMark& mark) {
  const TransactionPointer transaction = idleTransaction(number);
  if (!transaction->hasWrites()) return;
  transaction->writes().attach(recordKey(RecordKind::LAST_COMMIT, stream), database_.commitRecord(mark));
}

CommitMark Store::lastCommit(std::string_view stream) {
  checkUsable();
  std::string value;
  const rocksdb::Status status = database_.base().Get({}, recordKey(RecordKind::LAST_COMMIT, stream), &value);
  if (status.IsNotFound()) return {};
  if (!status.ok()) database_.refuseFor(status);
  constexpr size_t tokenOffset = 3 * sizeof(uint64_t);
  // Records of earlier versions have no token.
  return {Reader(value).u64(), value.size() > tokenOffset ? value.substr(tokenOffset) : std::string()};
}

// What fails here goes with what is old, when the store opens.
void Store::forgetCommits(std::string_view streams) {
  scheduler_.background([this, range = prefixRange(recordKey(RecordKind::LAST_COMMIT, streams))] {
    database_.removeKeys(range).PermitUncheckedError();
  });
}

void Store::rollback(uint64_t number) {
  const TransactionPointer transaction = findTransaction(number);
  if (!transaction) return;
  if (!transaction->isBusy) {
    transaction->end();
    forget(transaction);
    return;
  }
  for (const auto& [key, operation] : operations_) {
    if (operation->transaction != transaction) continue;
    // A commit that is under way can't be called back.
    if (dynamic_cast<CommitOperation*>(operation.get()) != nullptr) return;
    transaction->rollbackRequested = true;
    stop(operation, ErrorCode::CANCELLED);
    return;
  }
}

void Store::setSavepoint(uint64_t number) { idleTransaction(number)->setSavepoint(); }

void Store::rollbackToSavepoint(uint64_t number) {
  if (!idleTransaction(number)->rollbackToSavepoint()) {
    refuse(ErrorCode::SAVEPOINT_MISSING, "the transaction has no savepoint");
  }
}

void Store::releaseSavepoint(uint64_t number) {
  if (!idleTransaction(number)->releaseSavepoint()) {
    refuse(ErrorCode::SAVEPOINT_MISSING, "the transaction has no savepoint");
  }
}

void Store::cancel(uint64_t number, ErrorCode code) {
  const auto found = operations_.find(number);
  if (found != operations_.end() && code != ErrorCode::OK) stop(found->second, code);
}

void Store::stop(const std::shared_ptr<Operation>& operation, ErrorCode code) {
  scheduler_.cancel(operation, code);
  // Now, and not when a thread comes to it: who asks for a lock next must not find a circle through it.
  if (operation->transaction) operation->transaction->stopWaiting();
}

Answer Store::putRecords(const std::vector<Record>& records, bool synced) {
  auto operation = std::make_shared<CommitOperation>(++lastNumber_, nullptr,
                                                     synced ? Durability::SYNCED : Durability::WRITTEN);
  rocksdb::Status status;
  for (const Record& record : records) {
    const std::string key = recordKey(RecordKind::CATALOGUE, record.key);
    if (status.ok()) {
      status = record.value ? operation->records.Put(key, *record.value) : operation->records.Delete(key);
    }
  }
  if (!status.ok()) return {0, database_.failure(status)};
  operations_[operation->number] = operation;
  commits_.add({operation});
  return {operation->number, {}};
}

std::vector<Record> Store::getRecords(std::string_view prefix) {
  checkUsable();
  const KeyRange range = prefixRange(recordKey(RecordKind::CATALOGUE, prefix));
  const size_t headBytes = recordKey(RecordKind::CATALOGUE).size();
  std::vector<Record> records;
  const std::unique_ptr<rocksdb::Iterator> iterator(database_.base().NewIterator({}));
  for (iterator->Seek(range.low); iterator->Valid() && range.contains(toView(iterator->key()));
       iterator->Next()) {
    records.push_back({iterator->key().ToString().substr(headBytes), iterator->value().ToString()});
  }
  if (!iterator->status().ok()) database_.refuseFor(iterator->status());
  return records;
}

Answer Store::holdFiles() {
  return run(std::make_shared<HoldFilesOperation>(++lastNumber_, database_, fileHolds_), false);
}

Answer Store::releaseFiles() {
  return run(std::make_shared<ReleaseFilesOperation>(++lastNumber_, database_, fileHolds_), false);
}

uint64_t Store::openVerification(const std::vector<uint32_t>& numbers,
                                 const std::vector<uint32_t>& removedSpaces) {
  checkUsable();
  std::vector<TablePointer> tables;
  for (const uint32_t number : numbers) {
    TablePointer table = findTable(number);
    if (!table) refuse(ErrorCode::TABLE_MISSING, "table " + std::to_string(number) + " is not defined");
    tables.push_back(std::move(table));
  }
  const uint64_t number = ++lastNumber_;
  verifications_[number] = std::make_shared<Verification>(
      database_.base(), std::move(tables), std::set(removedSpaces.begin(), removedSpaces.end()),
      !options_.readOnly);
  return number;
}

Answer Store::verify(uint64_t number, uint64_t maxBytes) {
  const auto found = verifications_.find(number);
  if (found == verifications_.end()) {
    return Answer::failure(ErrorCode::BAD_REQUEST, "no verification " + std::to_string(number));
  }
  return run(std::make_shared<VerifyOperation>(++lastNumber_, found->second, maxBytes), false);
}

void Store::closeVerification(uint64_t number) { verifications_.erase(number); }

Statistics Store::statistics() {
  Statistics result;
  result.transactionsOpen = transactions_.size();
  result.operationsParked = scheduler_.parkedCount();
  result.locksHeld = locks_.heldCount();
  result.deadlocks = locks_.deadlockCount();
  result.commits = commits_.commitCount();
  result.syncs = commits_.syncCount();
  result.bytesWritten = database_.ticker(rocksdb::BYTES_WRITTEN);
  result.blockCacheHits = database_.ticker(rocksdb::BLOCK_CACHE_HIT);
  result.blockCacheMisses = database_.ticker(rocksdb::BLOCK_CACHE_MISS);
  result.blockBytesRead = database_.ticker(rocksdb::BLOCK_CACHE_BYTES_WRITE);
  if (database_.cache() != nullptr) {
    const cache::Cache::Counts cached = database_.cache()->counts();
    result.cacheHits = cached.hits;
    result.cacheMisses = cached.misses;
    result.cacheBytes = cached.usedBytes;
    result.cacheEvictions = cached.evictions;
    result.cacheContradictions = cached.contradictions;
  }
  result.rowsFromIndex = database_.rowsFromIndex();
  result.tombstonesRead = database_.tombstonesRead();
  result.rangesCompacted = database_.rangesCompacted();
  result.filesHeld = fileHolds_;
  result.threads = options_.threads;
  return result;
}

void Store::close() {
  if (std::exchange(isClosed_, true)) return;
  database_.onFatal({});
  for (const auto& [number, operation] : operations_) scheduler_.cancel(operation, ErrorCode::CANCELLED);
  commits_.stop();
  scheduler_.stop();
  cursors_.clear();
  transactions_.clear();
  operations_.clear();
  verifications_.clear();
  if (database_.hasFailed() || options_.readOnly) return;
  database_.base().FlushWAL(true).PermitUncheckedError();
  database_.syncEnds();
}

}  // namespace vamos::store
