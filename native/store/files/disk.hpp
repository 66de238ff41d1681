#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/files/log_format.hpp"
#include "store/files/synced_file.hpp"

namespace vamos::store {

// The files of a root as RocksDB reaches them. Two things are added to those of the system:
//
// - A sync that fails, or a write to a log, is the end: what the disk has from then on is not known. From
// this moment
//   nothing reaches the disk any more, as if the process had been killed, and everybody but RocksDB is told.
//   RocksDB itself is told that all went well: it has assertions against being used after such a failure, and
//   could make things worse, for instance remove a log.
// - SyncedFile learns up to where each log is on the disk.
class Disk : public rocksdb::FileSystemWrapper {
 public:
  Disk(const std::shared_ptr<rocksdb::FileSystem>& target, std::string folder);
  ~Disk() override;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  static const char* kClassName() { return "Disk"; }
  const char* Name() const override { return kClassName(); }

  // Locks the root, which RocksDB then finds locked by itself.
  rocksdb::IOStatus lock();
  SyncedFile& synced() { return synced_; }
  // Called once, from any thread, when hasFailed() has become true.
  void onFailure(std::function<void()> call);
  bool hasFailed() const { return hasFailed_.load(std::memory_order_acquire); }
  // Why.
  rocksdb::IOStatus failure() const;

  using Options = rocksdb::IOOptions;
  using Context = rocksdb::IODebugContext;
  using Status = rocksdb::IOStatus;
  using WritableFile = std::unique_ptr<rocksdb::FSWritableFile>;
  Status NewWritableFile(const std::string& path, const rocksdb::FileOptions& options, WritableFile* result,
                         Context* context) override;
  Status ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                            WritableFile* result, Context* context) override;
  Status ReuseWritableFile(const std::string& path, const std::string& oldPath,
                           const rocksdb::FileOptions& options, WritableFile* result,
                           Context* context) override;
  Status NewDirectory(const std::string& path, const Options& options,
                      std::unique_ptr<rocksdb::FSDirectory>* result, Context* context) override;
  Status DeleteFile(const std::string& path, const Options& options, Context* context) override;
  Status RenameFile(const std::string& path, const std::string& newPath, const Options& options,
                    Context* context) override;
  Status LinkFile(const std::string& path, const std::string& newPath, const Options& options,
                  Context* context) override;
  Status Truncate(const std::string& path, size_t size, const Options& options, Context* context) override;
  Status LockFile(const std::string& path, const Options& options, rocksdb::FileLock** lock,
                  Context* context) override;

 private:
  class File;
  class Directory;

  // What is known of a log that this process writes.
  struct Log {
    LogName name;
    std::atomic<uint64_t> recordsEndBytes = 0;
    std::atomic<uint64_t> syncedBytes = 0;
    // Its name is on the disk: its folder was synced.
    std::atomic<bool> isListed = false;
  };

  enum class Importance {
    ORDINARY,  // RocksDB deals with its failure
    VITAL      // its failure is the end
  };
  template <typename Perform>
  Status run(Importance importance, Perform perform);
  void fail(const Status& status);
  WritableFile watch(const std::string& path, WritableFile file, bool isNew);
  void setSynced(Log& log, uint64_t bytes);
  std::vector<std::shared_ptr<Log>> unlisted() const;
  void setListed(const std::vector<std::shared_ptr<Log>>& logs);

  const std::string folder_;
  SyncedFile synced_;
  rocksdb::FileLock* lock_ = nullptr;  // until RocksDB takes it
  mutable std::mutex mutex_;
  std::function<void()> onFailure_;
  Status failure_;
  std::atomic<bool> hasFailed_ = false;
  std::vector<std::shared_ptr<Log>> unlisted_;
};

}  // namespace vamos::store
