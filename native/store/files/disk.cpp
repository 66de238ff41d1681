#include "store/files/disk.hpp"

#include <algorithm>
#include <utility>

namespace vamos::store {
namespace {

using rocksdb::IOStatus;
using rocksdb::Slice;

}  // namespace

// A file that RocksDB writes.
class Disk::File : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  // log: what is known of it, where it is a log that is written from its start on.
  File(Disk& disk, WritableFile file, std::shared_ptr<Log> log, Importance writes)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), log_(std::move(log)), writes_(writes) {}

  Status Append(const Slice& data, const Options& options, Context* context) override {
    return append(data, [&] { return target()->Append(data, options, context); });
  }
  Status Append(const Slice& data, const Options& options, const rocksdb::DataVerificationInfo& verification,
                Context* context) override {
    return append(data, [&] { return target()->Append(data, options, verification, context); });
  }
  Status PositionedAppend(const Slice& data, uint64_t offset, const Options& options,
                          Context* context) override {
    return disk_.run(writes_, [&] { return target()->PositionedAppend(data, offset, options, context); });
  }
  Status PositionedAppend(const Slice& data, uint64_t offset, const Options& options,
                          const rocksdb::DataVerificationInfo& verification, Context* context) override {
    return disk_.run(
        writes_, [&] { return target()->PositionedAppend(data, offset, options, verification, context); });
  }
  Status Truncate(uint64_t size, const Options& options, Context* context) override {
    return disk_.run(writes_, [&] { return target()->Truncate(size, options, context); });
  }
  Status Allocate(uint64_t offset, uint64_t length, const Options& options, Context* context) override {
    return disk_.run(Importance::ORDINARY,
                     [&] { return target()->Allocate(offset, length, options, context); });
  }
  Status Flush(const Options& options, Context* context) override {
    return disk_.run(writes_, [&] { return target()->Flush(options, context); });
  }
  Status Sync(const Options& options, Context* context) override {
    return sync([&] { return target()->Sync(options, context); });
  }
  Status Fsync(const Options& options, Context* context) override {
    return sync([&] { return target()->Fsync(options, context); });
  }
  Status RangeSync(uint64_t offset, uint64_t length, const Options& options, Context* context) override {
    return disk_.run(Importance::VITAL,
                     [&] { return target()->RangeSync(offset, length, options, context); });
  }
  // Closed in any case.
  Status Close(const Options& options, Context* context) override {
    Status status = target()->Close(options, context);
    return disk_.run(writes_, [&] { return std::move(status); });
  }

 private:
  template <typename Perform>
  Status append(const Slice& data, Perform perform) {
    return disk_.run(writes_, [&] {
      Status status = perform();
      if (status.ok() && log_) {
        tracker_.append({data.data(), data.size()});
        log_->recordsEndBytes = tracker_.recordsEndBytes();
      }
      return status;
    });
  }
  template <typename Perform>
  Status sync(Perform perform) {
    return disk_.run(Importance::VITAL, [&] {
      const uint64_t endBytes = log_ ? log_->recordsEndBytes.load() : 0;
      Status status = perform();
      if (status.ok() && log_) disk_.setSynced(*log_, endBytes);
      return status;
    });
  }

  Disk& disk_;
  const std::shared_ptr<Log> log_;
  const Importance writes_;
  LogTracker tracker_;
};

class Disk::Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(Disk& disk, std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), disk_(disk) {}

  Status Fsync(const Options& options, Context* context) override {
    return sync([&] { return FSDirectoryWrapper::Fsync(options, context); });
  }
  Status FsyncWithDirOptions(const Options& options, Context* context,
                             const rocksdb::DirFsyncOptions& directoryOptions) override {
    return sync([&] { return FSDirectoryWrapper::FsyncWithDirOptions(options, context, directoryOptions); });
  }

 private:
  template <typename Perform>
  Status sync(Perform perform) {
    return disk_.run(Importance::VITAL, [&] {
      const std::vector<std::shared_ptr<Log>> logs = disk_.unlisted();
      Status status = perform();
      if (status.ok()) disk_.setListed(logs);
      return status;
    });
  }

  Disk& disk_;
};

Disk::Disk(const std::shared_ptr<rocksdb::FileSystem>& target, std::string folder)
    : FileSystemWrapper(target), folder_(std::move(folder)), synced_(*target, folder_) {}

Disk::~Disk() {
  if (lock_ != nullptr) target()->UnlockFile(lock_, {}, nullptr).PermitUncheckedError();
}

IOStatus Disk::lock() {
  IOStatus status = target()->CreateDirIfMissing(folder_, {}, nullptr);
  if (status.ok()) status = target()->LockFile(folder_ + "/LOCK", {}, &lock_, nullptr);
  return status;
}

IOStatus Disk::LockFile(const std::string& path, const Options& options, rocksdb::FileLock** lock,
                        Context* context) {
  if (lock_ == nullptr) return target()->LockFile(path, options, lock, context);
  *lock = std::exchange(lock_, nullptr);
  return IOStatus::OK();
}

void Disk::onFailure(std::function<void()> call) {
  const std::lock_guard guard(mutex_);
  onFailure_ = std::move(call);
}

IOStatus Disk::failure() const {
  const std::lock_guard guard(mutex_);
  return failure_;
}

template <typename Perform>
IOStatus Disk::run(Importance importance, Perform perform) {
  if (hasFailed()) return IOStatus::OK();
  IOStatus status = perform();
  if (status.ok() || status.IsNotSupported() || importance == Importance::ORDINARY) return status;
  fail(status);
  return IOStatus::OK();
}

void Disk::fail(const Status& status) {
  std::function<void()> call;
  {
    const std::lock_guard guard(mutex_);
    if (hasFailed()) return;
    failure_ = status;
    call = onFailure_;
    hasFailed_.store(true, std::memory_order_release);
  }
  if (call) call();
}

// A log is reckoned with, and missed if it is gone, when its name is on the disk as well as its bytes.
void Disk::setSynced(Log& log, uint64_t bytes) {
  uint64_t before = log.syncedBytes;
  while (before < bytes && !log.syncedBytes.compare_exchange_weak(before, bytes)) {
  }
  if (log.isListed) synced_.setEnd(log.name, bytes);
}

std::vector<std::shared_ptr<Disk::Log>> Disk::unlisted() const {
  const std::lock_guard guard(mutex_);
  return unlisted_;
}

void Disk::setListed(const std::vector<std::shared_ptr<Log>>& logs) {
  const std::lock_guard guard(mutex_);
  for (const std::shared_ptr<Log>& log : logs) {
    if (std::erase(unlisted_, log) == 0) continue;
    log->isListed = true;
    if (log->syncedBytes > 0) synced_.setEnd(log->name, log->syncedBytes);
  }
}

Disk::WritableFile Disk::watch(const std::string& path, WritableFile file, bool isNew) {
  LogName name;
  const bool isLog = LogName::parse(path, name);
  std::shared_ptr<Log> log;
  if (isLog && isNew) {
    log = std::make_shared<Log>();
    log->name = name;
    const std::lock_guard guard(mutex_);
    unlisted_.push_back(log);
  }
  return std::make_unique<File>(*this, std::move(file), std::move(log),
                                isLog ? Importance::VITAL : Importance::ORDINARY);
}

IOStatus Disk::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                               WritableFile* result, Context* context) {
  if (hasFailed()) return failure();
  IOStatus status = target()->NewWritableFile(path, options, result, context);
  if (status.ok()) *result = watch(path, std::move(*result), true);
  return status;
}

IOStatus Disk::ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                  WritableFile* result, Context* context) {
  if (hasFailed()) return failure();
  IOStatus status = target()->ReopenWritableFile(path, options, result, context);
  if (status.ok()) *result = watch(path, std::move(*result), false);
  return status;
}

IOStatus Disk::ReuseWritableFile(const std::string& path, const std::string& oldPath,
                                 const rocksdb::FileOptions& options, WritableFile* result,
                                 Context* context) {
  if (hasFailed()) return failure();
  IOStatus status = target()->ReuseWritableFile(path, oldPath, options, result, context);
  if (status.ok()) *result = watch(path, std::move(*result), false);
  return status;
}

IOStatus Disk::NewDirectory(const std::string& path, const Options& options,
                            std::unique_ptr<rocksdb::FSDirectory>* result, Context* context) {
  IOStatus status = target()->NewDirectory(path, options, result, context);
  if (status.ok()) *result = std::make_unique<Directory>(*this, std::move(*result));
  return status;
}

IOStatus Disk::DeleteFile(const std::string& path, const Options& options, Context* context) {
  LogName name;
  if (LogName::parse(path, name)) {
    run(Importance::VITAL, [&] {
      {
        const std::lock_guard guard(mutex_);
        std::erase_if(unlisted_, [&](const std::shared_ptr<Log>& log) { return log->name == name; });
      }
      return synced_.forget(name);
    }).PermitUncheckedError();
  }
  return run(Importance::ORDINARY, [&] { return target()->DeleteFile(path, options, context); });
}

IOStatus Disk::RenameFile(const std::string& path, const std::string& newPath, const Options& options,
                          Context* context) {
  return run(Importance::ORDINARY, [&] { return target()->RenameFile(path, newPath, options, context); });
}

IOStatus Disk::LinkFile(const std::string& path, const std::string& newPath, const Options& options,
                        Context* context) {
  return run(Importance::ORDINARY, [&] { return target()->LinkFile(path, newPath, options, context); });
}

IOStatus Disk::Truncate(const std::string& path, size_t size, const Options& options, Context* context) {
  return run(Importance::ORDINARY, [&] { return target()->Truncate(path, size, options, context); });
}

}  // namespace vamos::store
