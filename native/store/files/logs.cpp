#include "store/files/logs.hpp"

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "store/files/log_format.hpp"

namespace vamos::store {
namespace {

using rocksdb::IOStatus;
using rocksdb::Slice;
using rocksdb::Status;

constexpr size_t batchHeadBytes = 12;  // u64 sequence number, u32 count

// Counts what the records of a log write, as recovery would: what is prepared counts with its commit.
class BatchCounter : public rocksdb::WriteBatch::Handler {
 public:
  // False: it is no batch of writes.
  bool take(const std::string& record) {
    const std::optional<uint64_t> sequence = sequenceOf(record);
    if (!sequence) return false;
    writes_ = 0;
    prepared_ = 0;
    isPreparing_ = false;
    endsPrepared_ = false;
    const Status status = rocksdb::WriteBatch(record).Iterate(this);
    if (!first_) first_ = *sequence;
    if (!status.ok() || isLost_) {
      next_.reset();
    } else {
      next_ = *sequence + writes_;
    }
    contents_.records += writes_;
    if (writes_ > 0 || endsPrepared_) contents_.commits++;
    return status.ok();
  }
  static std::optional<uint64_t> sequenceOf(const std::string& record) {
    if (record.size() < batchHeadBytes) return std::nullopt;
    uint64_t sequence = 0;
    std::memcpy(&sequence, record.data(), sizeof sequence);
    return sequence;
  }
  const LostWrites& contents() const { return contents_; }
  std::optional<uint64_t> first() const { return first_; }
  std::optional<uint64_t> next() const { return next_; }

  Status PutCF(uint32_t, const Slice&, const Slice&) override { return write(); }
  Status DeleteCF(uint32_t, const Slice&) override { return write(); }
  Status SingleDeleteCF(uint32_t, const Slice&) override { return write(); }
  Status DeleteRangeCF(uint32_t, const Slice&, const Slice&) override { return write(); }
  Status MergeCF(uint32_t, const Slice&, const Slice&) override { return write(); }
  void LogData(const Slice&) override {}
  Status MarkNoop(bool) override { return {}; }
  Status MarkBeginPrepare(bool) override {
    isPreparing_ = true;
    return {};
  }
  Status MarkEndPrepare(const Slice& xid) override {
    isPreparing_ = false;
    preparedWrites_[xid.ToString()] = prepared_;
    return {};
  }
  Status MarkRollback(const Slice& xid) override {
    preparedWrites_.erase(xid.ToString());
    return {};
  }
  Status MarkCommit(const Slice& xid) override {
    endsPrepared_ = true;
    const auto found = preparedWrites_.find(xid.ToString());
    // Prepared in a log that is no longer needed.
    isLost_ = isLost_ || found == preparedWrites_.end();
    if (found == preparedWrites_.end()) return {};
    writes_ += found->second;
    preparedWrites_.erase(found);
    return {};
  }

 private:
  Status write() {
    (isPreparing_ ? prepared_ : writes_)++;
    return {};
  }

  LostWrites contents_;
  std::optional<uint64_t> first_;
  std::optional<uint64_t> next_;
  std::unordered_map<std::string, uint64_t> preparedWrites_;
  uint64_t writes_ = 0;
  uint64_t prepared_ = 0;
  bool isPreparing_ = false;
  bool endsPrepared_ = false;
  bool isLost_ = false;
};

}  // namespace

Logs::Logs(rocksdb::FileSystem& fileSystem, std::string folder)
    : fileSystem_(fileSystem), folder_(std::move(folder)) {}

IOStatus Logs::read(const std::optional<SyncedFile::Ends>& ends) {
  logs_.clear();
  damaged_.clear();
  isGuessed_ = !ends;
  std::vector<std::string> files;
  IOStatus status = fileSystem_.GetChildren(folder_, {}, &files, nullptr);
  if (!status.ok()) return status;
  bool hasCurrent = false;
  bool hasData = false;
  for (const std::string& file : files) {
    LogName name;
    if (LogName::parse(file, name)) logs_.push_back({name});
    hasCurrent = hasCurrent || file == "CURRENT";
    hasData = hasData || file.ends_with(".sst") || file.ends_with(".log");
  }
  // RocksDB would make an empty root of it.
  lacksCurrent_ = hasData && !hasCurrent;
  std::sort(logs_.begin(), logs_.end(), [](const Log& a, const Log& b) { return a.name < b.name; });
  std::map<LogName, Sequences> sequences;
  std::map<LogName, bool> hasRecordsBehind;
  for (Log& log : logs_) {
    status = readLog(log, isGuessed_ ? &sequences[log.name] : nullptr, hasRecordsBehind[log.name]);
    if (!status.ok()) return status;
  }
  if (ends) {
    compare(*ends);
  } else {
    guess(sequences, hasRecordsBehind);
  }
  return status;
}

// What a failed sync of an earlier process left in the page cache is not on the disk, and marked as if it
// were. So it is dropped there, after what can still be written was written.
IOStatus Logs::readLog(Log& log, Sequences* sequences, bool& hasRecordsBehind) const {
  const std::string path = pathOf(log.name);
  std::unique_ptr<rocksdb::FSRandomRWFile> written;
  IOStatus status = fileSystem_.NewRandomRWFile(path, {}, &written, nullptr);
  if (status.ok()) status = written->Sync({}, nullptr);
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  if (status.ok()) status = fileSystem_.NewSequentialFile(path, {}, &file, nullptr);
  if (status.ok()) status = fileSystem_.GetFileSize(path, {}, &log.sizeBytes, nullptr);
  if (!status.ok()) return status;
  file->InvalidateCache(0, 0).PermitUncheckedError();
  LogReader reader(*file);
  BatchCounter counter;
  std::string record;
  // What a block of the file held before, when it was another log's, checks as well, but is older.
  for (uint64_t newest = 0; reader.next(record); log.recordsEndBytes = reader.recordsEndBytes()) {
    if (log.name.isManifest) continue;
    const uint64_t sequence = BatchCounter::sequenceOf(record).value_or(newest);
    if (sequence < newest) break;
    newest = sequence;
    if (sequences != nullptr) counter.take(record);
  }
  if (sequences != nullptr) {
    *sequences = {counter.first(), counter.next()};
    hasRecordsBehind = log.isTorn() && reader.skipDamage() && reader.next(record);
  }
  return reader.status();
}

void Logs::compare(const SyncedFile::Ends& ends) {
  for (const auto& end : ends) {
    const LogName& name = end.first;
    const uint64_t endBytes = end.second;
    const auto log =
        std::find_if(logs_.begin(), logs_.end(), [&](const Log& each) { return each.name == name; });
    if (log == logs_.end()) {
      damaged_.push_back({name, 0, 0, endBytes, true});
      continue;
    }
    log->syncedBytes = endBytes;
    if (log->recordsEndBytes < endBytes) damaged_.push_back(*log);
  }
}

// Without SYNCED, of a root that an earlier version wrote. A lost end has nothing behind it, except that the
// power may take one page and leave the next: this can't be told from damage, and counts as damage. A log
// that goes on where the one before broke off was begun after that place had been found, and accepted.
void Logs::guess(const std::map<LogName, Sequences>& sequences,
                 const std::map<LogName, bool>& hasRecordsBehind) {
  std::optional<uint64_t> next;
  Log* last = nullptr;
  for (Log& log : logs_) {
    if (log.name.isManifest) {
      if (hasRecordsBehind.at(log.name)) damaged_.push_back(log);
      continue;
    }
    const Sequences& own = sequences.at(log.name);
    if (!own.first) {
      if (hasRecordsBehind.at(log.name)) damaged_.push_back(log);
      continue;
    }
    const bool goesOn = !next || *own.first <= *next;
    const bool isPassedOver = !goesOn && std::any_of(logs_.begin(), logs_.end(), [&](const Log& later) {
      return !later.name.isManifest && log.name < later.name && sequences.at(later.name).first == next;
    });
    if (isPassedOver) continue;
    if (!goesOn && last != nullptr) damaged_.push_back(*last);
    if (hasRecordsBehind.at(log.name)) {
      const bool isAccepted = own.next && std::any_of(logs_.begin(), logs_.end(), [&](const Log& later) {
                                return !later.name.isManifest && log.name < later.name &&
                                       sequences.at(later.name).first == own.next;
                              });
      if (!isAccepted) damaged_.push_back(log);
    }
    next = own.next;
    last = &log;
  }
}

bool Logs::hasLostTables() const {
  return lacksCurrent_ ||
         std::any_of(damaged_.begin(), damaged_.end(), [](const Log& log) { return log.name.isManifest; });
}

std::string Logs::damageText() const {
  if (lacksCurrent_) return "the file CURRENT is missing";
  if (damaged_.empty()) return {};
  const Log& log = damaged_.front();
  const std::string file = log.name.fileName();
  if (log.isMissing) return "the log " + file + " is missing";
  const std::string at = file + " is damaged at byte " + std::to_string(log.recordsEndBytes);
  if (isGuessed_ && log.isTorn()) return at + ", and there are records behind it";
  if (isGuessed_)
    return file + " ends at byte " + std::to_string(log.sizeBytes) +
           ", and the next log does not go on there";
  return at + (log.sizeBytes < log.syncedBytes ? ", where it ends" : "") +
         ", while it was on the disk up to byte " + std::to_string(log.syncedBytes);
}

IOStatus Logs::cut(Log& log, uint64_t sizeBytes) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  IOStatus status = fileSystem_.ReopenWritableFile(pathOf(log.name), {}, &file, nullptr);
  if (status.ok()) status = file->Truncate(sizeBytes, {}, nullptr);
  if (status.ok()) status = file->Sync({}, nullptr);
  if (status.ok()) status = file->Close({}, nullptr);
  if (!status.ok()) return status;
  log.sizeBytes = sizeBytes;
  log.recordsEndBytes = std::min(log.recordsEndBytes, sizeBytes);
  return status;
}

IOStatus Logs::cutTails(std::vector<std::string>& messages) {
  const auto last =
      std::find_if(logs_.rbegin(), logs_.rend(), [](const Log& log) { return !log.name.isManifest; });
  bool isBehindTail = false;
  for (Log& log : logs_) {
    // What an earlier version accepted may stand before logs that count.
    if (isGuessed_ && !log.name.isManifest && &log != &*last) continue;
    const bool isDropped = isBehindTail && !log.name.isManifest && log.syncedBytes == 0 && log.sizeBytes > 0;
    if (!log.isTorn() && !isDropped) continue;
    const uint64_t endBytes = isDropped ? 0 : log.recordsEndBytes;
    messages.push_back(folder_ + ": " + log.name.fileName() + " ends with " +
                       std::to_string(log.sizeBytes - endBytes) +
                       " bytes that were never synced, and not written in full: they are cut off");
    IOStatus status = cut(log, endBytes);
    if (!status.ok()) return status;
    isBehindTail = isBehindTail || !log.name.isManifest;
  }
  return IOStatus::OK();
}

SyncedFile::Ends Logs::ends() const {
  SyncedFile::Ends ends;
  for (const Log& log : logs_) {
    if (log.recordsEndBytes > 0) ends[log.name] = log.recordsEndBytes;
  }
  return ends;
}

IOStatus Logs::count(const std::vector<Part>& parts, LostWrites& lost) const {
  BatchCounter counter;
  LostWrites kept;
  // The sequence number that follows the record before the first damaged place. It tells how many are missing
  // where the next record can be read.
  std::optional<uint64_t> next;
  bool isGap = false;
  for (const Part& part : parts) {
    const LogName& name = part.name;
    const uint64_t fromBytes = part.fromBytes;
    const auto log =
        std::find_if(logs_.begin(), logs_.end(), [&](const Log& each) { return each.name == name; });
    if (log == logs_.end()) {
      isGap = true;
      continue;
    }
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    IOStatus status = fileSystem_.NewSequentialFile(pathOf(name), {}, &file, nullptr);
    if (!status.ok()) return status;
    lost.bytes += std::max(log->sizeBytes, log->syncedBytes) - fromBytes;
    isGap = isGap || fromBytes > 0 || log->isTorn();
    LogReader reader(*file);
    std::string record;
    do {
      while (reader.next(record)) {
        const LostWrites before = counter.contents();
        const std::optional<uint64_t> sequence = BatchCounter::sequenceOf(record);
        if (reader.recordsEndBytes() > fromBytes && isGap) {
          if (next && sequence && *sequence > *next) lost.records += *sequence - *next;
          isGap = false;
        }
        counter.take(record);
        next = counter.next();
        if (reader.recordsEndBytes() > fromBytes) continue;
        kept.records += counter.contents().records - before.records;
        kept.commits += counter.contents().commits - before.commits;
      }
    } while (reader.skipDamage());
    if (!reader.status().ok()) return reader.status();
  }
  lost.records += counter.contents().records - kept.records;
  lost.commits += counter.contents().commits - kept.commits;
  lost.isIncomplete = isGap;
  return IOStatus::OK();
}

}  // namespace vamos::store
