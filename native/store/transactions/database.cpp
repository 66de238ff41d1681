#include "store/transactions/database.hpp"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "store/files/logs.hpp"
#include "store/transactions/cache_update.hpp"
#include "store/transactions/write_order.hpp"
#include "wire/bytes.hpp"
#include "wire/descriptor.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr uint64_t maxWalBytes = 512 << 20;
constexpr uint64_t syncEveryBytes = 1 << 20;
constexpr int bloomBitsPerKey = 10;
constexpr size_t blockBytes = 8 << 10;
constexpr size_t filterBlockBytes = 4 << 10;
// Part of the cache that filters and indexes may take before they give way like rows.
constexpr double filterShare = 0.5;
constexpr uint64_t leastShardBytes = 16 << 20;
constexpr int mostShardBits = 6;

// RocksDB would divide 64 MiB into 64 parts with a lock each. A worker has few threads, and a part has to
// hold the largest blocks, which are as large as the largest row.
std::shared_ptr<rocksdb::Cache> blockCache(uint64_t bytes) {
  int shardBits = 0;
  while (shardBits < mostShardBits && bytes >> (shardBits + 1) >= leastShardBytes) ++shardBits;
  return rocksdb::NewLRUCache(bytes, shardBits, false, filterShare);
}

// Keeps all logs but the last one synced, which RocksDB does not where there is one column family. A memtable
// may hold the end of a transaction that was prepared in a log which is still needed, and the file made of it
// is synced: a power loss could leave the transaction both prepared and done. And of two logs it could take
// the end of the first, and leave what builds on it.
class LogSyncer : public rocksdb::EventListener {
 public:
  const char* Name() const override { return "LogSyncer"; }
  void OnFlushBegin(rocksdb::DB* db, const rocksdb::FlushJobInfo&) override {
    db->SyncWAL().PermitUncheckedError();
  }
  // The next log was begun, and nothing is written to it before this returns.
  void OnMemTableSealed(const rocksdb::MemTableInfo&) override {
    if (rocksdb::DB* db = db_.load()) db->SyncWAL().PermitUncheckedError();
  }
  void setDatabase(rocksdb::DB* db) { db_ = db; }

 private:
  std::atomic<rocksdb::DB*> db_ = nullptr;
};

rocksdb::Options rocksOptions(const StoreOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = blockCache(options.blockCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(bloomBitsPerKey));
  table.block_size = blockBytes;
  table.format_version = 5;
  // Filters and indexes in small blocks, of which only the topmost are always in memory: one for a whole file
  // outgrows the cache, and each lookup would read it anew.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = filterBlockBytes;
  table.pin_top_level_index_and_filter = true;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;

  rocksdb::Options rocks;
  rocks.create_if_missing = true;
  rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocks.compression = rocksdb::kLZ4Compression;
  rocks.level_compaction_dynamic_level_bytes = true;
  rocks.write_buffer_size = options.memtableBytes;
  rocks.max_write_buffer_number = 4;
  rocks.memtable_prefix_bloom_size_ratio = 0.02;
  rocks.memtable_whole_key_filtering = true;
  rocks.memtable_insert_with_hint_prefix_extractor = placesOfSpaces();
  rocks.max_total_wal_size = maxWalBytes;
  // Records reach the file when the commit queue says so: one write and one sync for a group of commits.
  rocks.manual_wal_flush = true;
  // The event loop frees iterators and snapshots; files that this makes obsolete go in the background.
  rocks.avoid_unnecessary_blocking_io = true;
  rocks.bytes_per_sync = syncEveryBytes;
  // Each table file has a checksum of the whole file, with which a copy is compared.
  rocks.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  rocks.max_background_jobs = 2;
  rocks.stats_dump_period_sec = 0;
  return rocks;
}

bool isLockedByAnother(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return status.IsIOError() && text.find("LOCK") != std::string::npos &&
         (text.find("lock hold") != std::string::npos || text.find("temporarily") != std::string::npos);
}

// Since 1970.
uint64_t nowMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// Whether another process has the store open, asked without taking its lock.
bool isLocked(const std::string& path) {
  const Descriptor file(::open((path + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return file.isOpen() && ::fcntl(file.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

[[noreturn]] void fail(Outcome outcome) { throw StoreError{outcome.code, std::move(outcome.message)}; }

}  // namespace

Outcome failureOf(const rocksdb::Status& status, const std::string& path) {
  const std::string text = status.ToString();
  if (isLockedByAnother(status)) {
    return Outcome::failure(ErrorCode::ROOT_IN_USE,
                            path + ": another process has this root open; stop it first");
  }
  if (status.IsNoSpace() || text.find("No space left on device") != std::string::npos) {
    return Outcome::failure(ErrorCode::DISK_FULL, path + ": the disk is full; make room on it");
  }
  if (status.IsCorruption()) {
    return Outcome::failure(ErrorCode::CORRUPTION, path + ": stored data don't check: " + text);
  }
  return Outcome::failure(ErrorCode::STORAGE_FAILED, path + ": " + text);
}

std::shared_ptr<rocksdb::FileSystem> fileSystemOf(const StoreOptions& options) {
  return options.env != nullptr ? options.env->GetFileSystem() : rocksdb::FileSystem::Default();
}

Database::Database(const StoreOptions& options)
    : path_(options.path),
      maxTransactionBytes_(options.maxTransactionBytes),
      maxCommitNumbers_(options.maxCommitNumbers),
      cache_(options.cacheBytes == 0 || options.readOnly
                 ? nullptr
                 : std::make_unique<cache::Cache>(options.cacheBytes)),
      messages_(options.messages ? options.messages : std::make_shared<Messages>()),
      disk_(std::make_shared<Disk>(fileSystemOf(options), options.path)),
      env_(rocksdb::NewCompositeEnv(disk_)),
      statistics_(rocksdb::CreateDBStatistics()) {
  statistics_->set_stats_level(rocksdb::kExceptTimers);
  if (options.readOnly) {
    openReadOnly(options);
    return;
  }
  checkLogs();
  disk_->onFailure([this] { lose(disk_->failure()); });
  rocksdb::Options rocks = rocksOptions(options);
  rocks.env = env_.get();
  rocks.statistics = statistics_;
  rocks.info_log = messages_;
  const auto syncer = std::make_shared<LogSyncer>();
  rocks.listeners.push_back(syncer);
  rocksdb::TransactionDB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::TransactionDB::Open(rocks, rocksdb::TransactionDBOptions(), path_, &opened);
  transactions_.reset(opened);
  if (disk_->hasFailed()) fail(failure(disk_->failure()));
  if (!status.ok()) fail(failure(status));
  base_ = opened->GetBaseDB();
  syncer->setDatabase(base_);
  checkFormat();
  compactor_ = std::make_unique<Compactor>(*base_);
}

Database::~Database() { disk_->onFailure({}); }

void Database::addTombstones(uint64_t count, uint64_t rows, const KeyRange& range) const {
  tombstonesRead_.fetch_add(count, std::memory_order_relaxed);
  // The rows are written anew, too: that pays where tombstones are the greater part.
  if (count >= Compactor::manyTombstones && count > rows && compactor_) compactor_->compact(range);
}

// Under the root's lock, and before RocksDB, which would go on without what it can't read.
void Database::checkLogs() {
  rocksdb::IOStatus status = disk_->lock();
  if (!status.ok()) fail(failure(status));
  Logs logs(*disk_->target(), path_);
  SyncedFile::Ends ends;
  status = logs.read(disk_->synced().read(ends) ? std::optional(ends) : std::nullopt);
  if (!status.ok()) fail(failure(status));
  if (const std::string damage = logs.damageText(); !damage.empty()) {
    fail(Outcome::failure(
        ErrorCode::CORRUPTION,
        path_ + ": " + damage +
            ": commits that were acknowledged can't be read. Nothing was changed; restore a "
            "backup" +
            (logs.hasLostTables() ? " with `vamos host restore`"
                                  : ", or let `vamos host repair` say what is lost, and accept that")));
  }
  std::vector<std::string> cut;
  status = logs.cutTails(cut);
  for (std::string& message : cut) messages_->add(false, std::move(message));
  if (status.ok()) status = disk_->synced().start(logs.ends());
  if (!status.ok()) fail(failure(status));
}

void Database::openReadOnly(const StoreOptions& options) {
  if (isLocked(path_)) {
    fail(Outcome::failure(ErrorCode::ROOT_IN_USE,
                          path_ + ": another process has this root open; stop it first, or ask it"));
  }
  Logs logs(*disk_->target(), path_);
  SyncedFile::Ends ends;
  const rocksdb::IOStatus isRead = logs.read(disk_->synced().read(ends) ? std::optional(ends) : std::nullopt);
  if (!isRead.ok()) fail(failure(isRead));
  if (const std::string damage = logs.damageText(); !damage.empty()) {
    fail(Outcome::failure(ErrorCode::CORRUPTION, path_ + ": " + damage));
  }
  rocksdb::Options rocks = rocksOptions(options);
  if (options.env != nullptr) rocks.env = options.env;
  rocks.statistics = statistics_;
  rocks.info_log = messages_;
  // Else a log with prepared transactions is refused.
  rocks.allow_2pc = true;
  rocks.create_if_missing = false;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocks, path_, &opened);
  if (!status.ok()) fail(failure(status));
  readOnly_.reset(opened);
  base_ = opened;
  std::string version;
  if (!base_->Get({}, recordKey(RecordKind::FORMAT), &version).ok()) {
    fail(Outcome::failure(ErrorCode::CORRUPTION, path_ + ": the store does not say its format"));
  }
  checkFormat();
}

void Database::checkFormat() {
  const std::string key = recordKey(RecordKind::FORMAT);
  std::string value;
  rocksdb::Status status = base_->Get({}, key, &value);
  if (status.IsNotFound()) {
    const std::unique_ptr<rocksdb::Iterator> iterator(base_->NewIterator({}));
    iterator->SeekToFirst();
    if (iterator->Valid()) {
      fail(Outcome::failure(ErrorCode::UNKNOWN_FORMAT, path_ + ": holds a RocksDB that VAMOS did not make"));
    }
    status = iterator->status();
    if (status.ok()) status = syncFolderAbove();
    if (status.ok()) {
      appendU32(value, formatVersion);
      status = base_->Put({}, key, value);
    }
    if (status.ok()) status = flush(true);
  }
  if (!status.ok()) fail(failure(status));
  const uint32_t version = value.size() == 4 ? Reader(value).u32() : 0;
  if (version != formatVersion) {
    fail(Outcome::failure(ErrorCode::UNKNOWN_FORMAT, path_ + ": on-disk format " + std::to_string(version) +
                                                         ", this VAMOS reads format " +
                                                         std::to_string(formatVersion) +
                                                         "; use the version that wrote it"));
  }
}

// A new store's own name is safe only then: RocksDB syncs the folder, not the name that the folder has above.
rocksdb::Status Database::syncFolderAbove() const {
  const std::filesystem::path folder =
      std::filesystem::absolute(path_ + "/.").lexically_normal().parent_path();
  std::unique_ptr<rocksdb::Directory> above;
  rocksdb::Status status = base_->GetEnv()->NewDirectory(folder.parent_path().string(), &above);
  if (status.ok()) status = above->Fsync();
  return status;
}

rocksdb::Transaction* Database::begin() const {
  rocksdb::TransactionOptions options;
  options.skip_concurrency_control = true;
  options.max_write_batch_size = maxTransactionBytes_;
  return transactions_->BeginTransaction({}, options);
}

rocksdb::Status Database::write(rocksdb::WriteBatch& records) const {
  const auto guard = lockWrites();
  return writeLocked(records);
}

rocksdb::Status Database::writeLocked(rocksdb::WriteBatch& records) const {
  // RocksDB may mend itself and write on: behind a gap in the log.
  if (hasFailed()) return rocksdb::Status::Aborted("the log could not be written before");
  return watch(base_->Write({}, &records));
}

rocksdb::Status Database::flush(bool isSynced) const {
  if (readOnly_) return {};
  if (hasFailed()) return rocksdb::Status::Aborted("the log could not be written before");
  return watch(base_->FlushWAL(isSynced));
}

// Other failures are refusals, before anything was written. Some I/O errors are, too, where an earlier one in
// the background has stopped all writes; of those RocksDB recovers in few cases, opening again in all.
rocksdb::Status Database::watch(rocksdb::Status status) const {
  if (disk_->hasFailed()) {
    status = disk_->failure();
  } else if (!status.IsIOError() && !status.IsCorruption()) {
    return status;
  }
  lose(status);
  return status;
}

void Database::lose(const rocksdb::Status& status) const {
  {
    const std::lock_guard guard(fatalMutex_);
    if (hasFailed()) return;
    fatal_ = failure(status);
    if (fatal_.code == ErrorCode::STORAGE_FAILED) {
      fatal_.message += "; the disk may be failing: the kernel's log says more";
    }
    hasFailed_.store(true, std::memory_order_release);
  }
  const std::lock_guard guard(onFatalMutex_);
  if (onFatal_) onFatal_();
}

void Database::onFatal(std::function<void()> call) {
  const std::lock_guard guard(onFatalMutex_);
  onFatal_ = std::move(call);
  if (onFatal_ && hasFailed()) onFatal_();
}

void Database::syncEnds() const {
  if (!readOnly_) disk_->synced().sync().PermitUncheckedError();
}

Outcome Database::fatal() const {
  const std::lock_guard guard(fatalMutex_);
  return fatal_;
}

rocksdb::Status Database::removal(const KeyRange& range, std::string_view record,
                                  rocksdb::WriteBatch& batch) {
  const rocksdb::Status status = batch.DeleteRange(rocksdb::Slice(range.low), rocksdb::Slice(range.high));
  return status.ok() ? batch.Delete(toSlice(record)) : status;
}

rocksdb::Status Database::removeSpace(uint32_t space) {
  const KeyRange range = prefixRange(spaceKey(space));
  const rocksdb::Slice low(range.low);
  const rocksdb::Slice high(range.high);
  rocksdb::WriteBatch batch;
  rocksdb::Status status = removal(range, recordKey32(RecordKind::REMOVED_SPACE, space), batch);
  if (status.ok()) {
    CacheUpdate update(*this, 0);
    update.changeSpace(range.low);
    status = writeLocked(batch);
    if (status.ok()) update.end();
  }
  if (!status.ok()) return status;
  return rocksdb::DeleteFilesInRange(base_, base_->DefaultColumnFamily(), &low, &high, false);
}

rocksdb::Status Database::removeBlob(uint64_t blob, RecordKind kind) {
  std::string number;
  appendBigEndian64(number, blob);
  rocksdb::WriteBatch batch;
  const rocksdb::Status status =
      removal(prefixRange(spaceKey(blobSpace, number)), recordKey(kind, number), batch);
  return status.ok() ? write(batch) : status;
}

rocksdb::Status Database::removeKeys(const KeyRange& range) {
  const std::unique_ptr<rocksdb::Iterator> iterator(base_->NewIterator({}));
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  for (iterator->Seek(range.low); iterator->Valid() && range.contains(toView(iterator->key()));
       iterator->Next()) {
    if (status.ok()) status = batch.Delete(iterator->key());
  }
  if (status.ok()) status = iterator->status();
  if (status.ok() && batch.Count() > 0) status = write(batch);
  return status;
}

std::string Database::commitRecord(const CommitMark& mark) const {
  std::string value;
  appendU64(value, mark.number);
  appendU64(value, nowMs());
  appendU64(value, base_->GetLatestSequenceNumber());
  value += mark.token;
  return value;
}

// A session that ends with a goodbye takes its numbers with it; those of all others gather. Which are the
// oldest is told by the order in which they were written, since a clock may be wrong by weeks: a number that
// is forgotten too soon is a commit that is done twice.
void Database::forgetOldCommits(uint64_t keptCount) {
  const KeyRange range = prefixRange(recordKey(RecordKind::LAST_COMMIT));
  std::vector<std::pair<uint64_t, std::string>> records;
  const std::unique_ptr<rocksdb::Iterator> iterator(base_->NewIterator({}));
  for (iterator->Seek(range.low); iterator->Valid() && range.contains(toView(iterator->key()));
       iterator->Next()) {
    // Earlier versions wrote no order: theirs count as the oldest.
    Reader value(toView(iterator->value()), 2 * sizeof(uint64_t));
    records.emplace_back(value.atEnd() ? 0 : value.u64(), iterator->key().ToString());
  }
  if (!iterator->status().ok()) fail(failure(iterator->status()));
  if (records.size() <= keptCount) return;
  const auto end = records.begin() + static_cast<std::ptrdiff_t>(records.size() - keptCount);
  std::nth_element(records.begin(), end, records.end());
  for (auto record = records.begin(); record != end; ++record) {
    const rocksdb::Status status = base_->Delete({}, record->second);
    if (!status.ok()) fail(failure(status));
  }
}

std::vector<rocksdb::Transaction*> Database::prepared() const {
  std::vector<rocksdb::Transaction*> result;
  if (transactions_) transactions_->GetAllPreparedTransactions(&result);
  return result;
}

void Database::cleanUp(const std::unordered_set<uint64_t>& keptBlobs) {
  if (readOnly_) return;
  forgetOldCommits(maxCommitNumbers_);
  for (const RecordKind kind :
       {RecordKind::PENDING_BLOB, RecordKind::REMOVED_BLOB, RecordKind::REMOVED_SPACE}) {
    const std::string prefix = recordKey(kind);
    const std::unique_ptr<rocksdb::Iterator> iterator(base_->NewIterator({}));
    for (iterator->Seek(prefix); iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
      const std::string_view number = toView(iterator->key()).substr(prefix.size());
      if (kind == RecordKind::PENDING_BLOB && keptBlobs.contains(bigEndian64(number))) continue;
      const rocksdb::Status status = kind == RecordKind::REMOVED_SPACE
                                         ? removeSpace(bigEndian32(number))
                                         : removeBlob(bigEndian64(number), kind);
      if (!status.ok()) fail(failure(status));
    }
    if (!iterator->status().ok()) fail(failure(iterator->status()));
  }
}

Outcome Database::failure(const rocksdb::Status& status) const {
  if (status.IsMemoryLimit() && !status.IsNoSpace()) {
    return Outcome::failure(ErrorCode::TRANSACTION_TOO_LARGE,
                            "the transaction's writes are over its limit of " +
                                std::to_string(maxTransactionBytes_) + " bytes; commit in smaller pieces");
  }
  return failureOf(status, path_);
}

void Database::refuseFor(const rocksdb::Status& status) const {
  Outcome outcome = failure(status);
  refuse(outcome.code, std::move(outcome.message));
}

}  // namespace vamos::store
