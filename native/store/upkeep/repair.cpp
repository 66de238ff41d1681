#include "store/upkeep/repair.hpp"

#include <rocksdb/db.h>
#include <rocksdb/wal_filter.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "store/files/disk.hpp"
#include "store/transactions/database.hpp"
#include "store/transactions/messages.hpp"

namespace vamos::store {
namespace {

constexpr size_t copiedBytes = 1 << 20;

// Learns from RocksDB which logs hold writes that are in no table yet, and keeps it from reading them.
class FirstLogNeeded : public rocksdb::WalFilter {
 public:
  uint64_t number = 0;
  bool wasAsked = false;

  const char* Name() const override { return "FirstLogNeeded"; }
  void ColumnFamilyLogNumberMap(const std::map<uint32_t, uint64_t>& logs,
                                const std::map<std::string, uint32_t>&) override {
    wasAsked = true;
    for (const auto& [family, log] : logs) number = std::max(number, log);
  }
  WalProcessingOption LogRecordFound(unsigned long long, const std::string&, const rocksdb::WriteBatch&,
                                     rocksdb::WriteBatch*, bool*) override {
    return WalProcessingOption::kStopReplay;
  }
};

class Repair {
 public:
  explicit Repair(const StoreOptions& options)
      : path_(options.path),
        fileSystem_(fileSystemOf(options)),
        disk_(fileSystem_, path_),
        logs_(*fileSystem_, path_) {}

  RepairReport run(bool acceptLoss) {
    check(disk_.lock());
    SyncedFile::Ends ends;
    check(logs_.read(disk_.synced().read(ends) ? std::optional(ends) : std::nullopt));
    RepairReport report;
    report.damage = logs_.damageText();
    if (report.damage.empty()) return report;
    if (logs_.hasLostTables()) {
      refuse(ErrorCode::CORRUPTION,
             path_ + ": " + report.damage +
                 ": which tables belong to the root is not known any more, so there is no part "
                 "to give up; restore a backup");
    }
    report.parts = lostParts();
    check(logs_.count(report.parts, report.lost));
    if (acceptLoss) report.keptIn = accept(report.parts);
    return report;
  }

 private:
  void check(const rocksdb::Status& status) const {
    if (status.ok()) return;
    Outcome outcome = failureOf(status, path_);
    refuse(outcome.code, std::move(outcome.message));
  }

  uint64_t firstLogNeeded() const {
    FirstLogNeeded filter;
    rocksdb::Options options;
    const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fileSystem_);
    options.env = env.get();
    options.wal_filter = &filter;
    options.info_log = std::make_shared<Messages>();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    // With families, for else it may leave the logs alone.
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(
        options, path_, {{rocksdb::kDefaultColumnFamilyName, options}}, &handles, &opened);
    const std::unique_ptr<rocksdb::DB> database(opened);
    // What it says of the damaged log is known.
    if (!filter.wasAsked) check(status);
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      database->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    return filter.number;
  }

  // A log that is kept for its prepared transactions alone loses some of these, and no more: what later logs
  // hold builds on nothing that is lost. Of a log that is needed for its commits all goes that follows.
  std::vector<Logs::Part> lostParts() const {
    const uint64_t firstNeeded = firstLogNeeded();
    std::vector<Logs::Part> parts;
    std::optional<uint64_t> allAfter;
    for (const Logs::Log& log : logs_.damaged()) {
      if (log.name.isManifest || allAfter) continue;
      parts.push_back({log.name, log.recordsEndBytes});
      if (log.name.number >= firstNeeded) allAfter = log.name.number;
    }
    for (const Logs::Log& log : logs_.all()) {
      if (allAfter && !log.name.isManifest && log.name.number > *allAfter && log.sizeBytes > 0) {
        parts.push_back({log.name, 0});
      }
    }
    return parts;
  }

  std::string accept(const std::vector<Logs::Part>& parts) {
    std::string folder = path_.substr(0, path_.rfind('/') + 1) + "lost-" + timeText();
    check(fileSystem_->CreateDir(folder, {}, nullptr));
    for (const auto& [name, endBytes] : parts) {
      const std::string file = path_ + "/" + name.fileName();
      if (!fileSystem_->FileExists(file, {}, nullptr).ok()) continue;
      check(fileSystem_->LinkFile(file, folder + "/" + name.fileName(), {}, nullptr));
      copy(file, file + ".new", endBytes);
      check(fileSystem_->RenameFile(file + ".new", file, {}, nullptr));
    }
    for (const std::string& changed : {path_, folder, folder.substr(0, folder.rfind('/') + 1)}) {
      std::unique_ptr<rocksdb::FSDirectory> directory;
      check(fileSystem_->NewDirectory(changed, {}, &directory, nullptr));
      check(directory->Fsync({}, nullptr));
    }
    // Last: until now the root is refused.
    Logs now(*fileSystem_, path_);
    check(now.read(SyncedFile::Ends()));
    check(disk_.synced().start(now.ends()));
    return folder;
  }

  void copy(const std::string& from, const std::string& to, uint64_t lengthBytes) const {
    std::unique_ptr<rocksdb::FSSequentialFile> source;
    std::unique_ptr<rocksdb::FSWritableFile> target;
    check(fileSystem_->NewSequentialFile(from, {}, &source, nullptr));
    check(fileSystem_->NewWritableFile(to, {}, &target, nullptr));
    std::string buffer(copiedBytes, '\0');
    for (uint64_t left = lengthBytes; left > 0;) {
      rocksdb::Slice read;
      check(source->Read(std::min<uint64_t>(left, copiedBytes), {}, &read, buffer.data(), nullptr));
      if (read.empty()) break;
      check(target->Append(read, {}, nullptr));
      left -= read.size();
    }
    check(target->Sync({}, nullptr));
    check(target->Close({}, nullptr));
  }

  static std::string timeText() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    std::array<char, 20> text{};
    gmtime_r(&now, &parts);
    return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts)};
  }

  const std::string path_;
  const std::shared_ptr<rocksdb::FileSystem> fileSystem_;
  Disk disk_;
  Logs logs_;
};

}  // namespace

RepairReport repair(const StoreOptions& options, bool acceptLoss) { return Repair(options).run(acceptLoss); }

}  // namespace vamos::store
