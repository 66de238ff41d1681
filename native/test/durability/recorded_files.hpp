#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// The files of a root, as a store under test reaches them (StoreOptions::env): every operation that changes
// one is recorded, and can be made to fail:
//   const auto files = RecordedFiles::make();
//   const auto env = rocksdb::NewCompositeEnv(files);
//   options.env = env.get();
//   files->setRefusal([](const FileOperation& operation) { ... });
// A file that the store writes without RocksDB is recorded, too, if it goes through the same Env's file
// system
// (`Env::GetFileSystem()`): NewWritableFile makes it, NewRandomRWFile writes in place (each Write is one
// pwrite), RenameFile, NewDirectory and Fsync.
namespace vamos::test {

enum class FileAction {
  CREATE,            // an empty file
  WRITE,             // bytes at an offset
  TRUNCATE,          // to `offset` bytes
  RANGE_SYNC,        // sync_file_range: guarantees nothing
  SYNC,              // fsync, fdatasync
  RENAME,            // renames a file or a folder to newPath
  LINK,              // newPath is one more name
  REMOVE,            // a name
  MAKE_DIRECTORY,    //
  REMOVE_DIRECTORY,  //
  SYNC_DIRECTORY,    // the names in it
  MARK,              // made by the test itself
};

struct FileOperation {
  FileAction action;
  std::string path;   // as the file was named when it was opened
  uint64_t file = 0;  // which file or folder that is, by whatever name; 0: none that was made while recording
  std::string newPath;  // RENAME, LINK
  uint64_t offset = 0;
  std::string bytes;
  // SYNC, SYNC_DIRECTORY: how many operations were recorded when it began. Of those it made durable what it
  // is for; it is recorded itself once it has ended.
  size_t covered = 0;
  uint64_t mark = 0;
};

// Syncs are not passed on to the system: what a test reads comes from the page cache anyway.
class RecordedFiles : public rocksdb::FileSystemWrapper {
 public:
  // Called before each operation, from any thread: what it returns, unless that is OK, is the operation's
  // result, and the operation does not take place.
  using Refusal = std::function<rocksdb::IOStatus(const FileOperation&)>;

  static std::shared_ptr<RecordedFiles> make() { return std::make_shared<RecordedFiles>(); }
  RecordedFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  static const char* kClassName() { return "RecordedFiles"; }
  const char* Name() const override { return kClassName(); }

  void setRefusal(Refusal refusal) {
    const std::lock_guard guard(mutex_);
    refusal_ = std::move(refusal);
  }
  // What a sync takes, at least, as on a disk: what doesn't wait for it, and should, shows.
  void setSyncTime(std::chrono::microseconds time) { syncTime_ = time; }
  // Recording keeps every written byte in memory; off: operations can still be refused.
  void record(bool isOn) {
    const std::lock_guard guard(mutex_);
    isRecording_ = isOn;
  }
  void mark(uint64_t number) {
    const std::lock_guard guard(mutex_);
    append({.action = FileAction::MARK, .mark = number});
  }
  // Forgets the names of files, which others may have by now; numbers are not given twice.
  void forgetNames() {
    const std::lock_guard guard(mutex_);
    names_.clear();
  }
  std::vector<FileOperation> takeOperations() {
    const std::lock_guard guard(mutex_);
    return std::exchange(operations_, {});
  }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& oldPath,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewMemoryMappedFileBuffer(const std::string&,
                                              std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override {
    return rocksdb::IOStatus::NotSupported("writes to mapped memory can't be recorded");
  }
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::REMOVE, .path = path},
                  [&] { return target()->DeleteFile(path, options, context); });
  }
  rocksdb::IOStatus Truncate(const std::string& path, size_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::TRUNCATE, .path = path, .offset = size},
                  [&] { return target()->Truncate(path, size, options, context); });
  }
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::MAKE_DIRECTORY, .path = path},
                  [&] { return target()->CreateDir(path, options, context); });
  }
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* context) override {
    if (target()->FileExists(path, options, context).ok()) {
      return target()->CreateDirIfMissing(path, options, context);
    }
    return CreateDir(path, options, context);
  }
  rocksdb::IOStatus DeleteDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::REMOVE_DIRECTORY, .path = path},
                  [&] { return target()->DeleteDir(path, options, context); });
  }
  rocksdb::IOStatus RenameFile(const std::string& path, const std::string& newPath,
                               const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::RENAME, .path = path, .newPath = newPath},
                  [&] { return target()->RenameFile(path, newPath, options, context); });
  }
  rocksdb::IOStatus LinkFile(const std::string& path, const std::string& newPath,
                             const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return change({.action = FileAction::LINK, .path = path, .newPath = newPath},
                  [&] { return target()->LinkFile(path, newPath, options, context); });
  }

  // An operation on the file or folder that it names by number, or else by path: refused, or recorded and
  // done.
  template <typename Perform>
  rocksdb::IOStatus change(FileOperation operation, Perform perform) {
    {
      const std::lock_guard guard(mutex_);
      if (operation.file == 0) operation.file = fileAt(operation.path);
      if (refusal_) {
        rocksdb::IOStatus refused = refusal_(operation);
        if (!refused.ok()) return refused;
      }
      follow(operation);
      append(std::move(operation));
    }
    return perform();
  }
  // The same for one that makes durable what was done before it began.
  rocksdb::IOStatus sync(FileOperation operation) {
    std::unique_lock guard(mutex_);
    if (operation.file == 0) operation.file = fileAt(operation.path);
    if (refusal_) {
      rocksdb::IOStatus refused = refusal_(operation);
      if (!refused.ok()) return refused;
    }
    operation.covered = operations_.size();
    if (syncTime_.count() > 0) {
      guard.unlock();
      std::this_thread::sleep_for(syncTime_);
      guard.lock();
    }
    append(std::move(operation));
    return rocksdb::IOStatus::OK();
  }

 private:
  class WritableFile;
  class RandomRWFile;
  class Directory;

  void append(FileOperation operation) {
    if (isRecording_) operations_.push_back(std::move(operation));
  }
  uint64_t fileAt(const std::string& path) const {
    const auto found = names_.find(path);
    return found == names_.end() ? 0 : found->second;
  }
  // Keeps track of which file has which name.
  void follow(FileOperation& operation) {
    switch (operation.action) {
      case FileAction::CREATE:
      case FileAction::MAKE_DIRECTORY:
        operation.file = names_[operation.path] = ++lastFile_;
        break;
      case FileAction::RENAME:
        if (operation.file != 0) names_[operation.newPath] = operation.file;
        names_.erase(operation.path);
        break;
      case FileAction::LINK:
        if (operation.file != 0) names_[operation.newPath] = operation.file;
        break;
      case FileAction::REMOVE:
      case FileAction::REMOVE_DIRECTORY:
        names_.erase(operation.path);
        break;
      default:
        break;
    }
  }
  uint64_t findFile(const std::string& path) {
    const std::lock_guard guard(mutex_);
    return fileAt(path);
  }
  // Makes the name known that a file is about to be opened by; truncates: what it held goes.
  rocksdb::IOStatus opened(const std::string& path, bool truncates, const rocksdb::IOOptions& options) {
    const bool isThere = target()->FileExists(path, options, nullptr).ok();
    const auto nothing = [] { return rocksdb::IOStatus::OK(); };
    if (!isThere) return change({.action = FileAction::CREATE, .path = path}, nothing);
    return truncates ? change({.action = FileAction::TRUNCATE, .path = path}, nothing)
                     : rocksdb::IOStatus::OK();
  }

  std::mutex mutex_;
  Refusal refusal_;
  std::chrono::microseconds syncTime_{0};
  bool isRecording_ = true;
  std::vector<FileOperation> operations_;
  std::map<std::string, uint64_t> names_;
  uint64_t lastFile_ = 0;
};

class RecordedFiles::WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(RecordedFiles& files, std::string path, uint64_t sizeBytes,
               std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)),
        files_(files),
        path_(std::move(path)),
        file_(files.findFile(path_)),
        sizeBytes_(sizeBytes) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    return write(data, sizeBytes_, [&] { return target()->Append(data, options, context); });
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* context) override {
    return Append(data, options, context);
  }
  rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset,
                                     const rocksdb::IOOptions& options,
                                     rocksdb::IODebugContext* context) override {
    return write(data, offset, [&] { return target()->PositionedAppend(data, offset, options, context); });
  }
  rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset,
                                     const rocksdb::IOOptions& options, const rocksdb::DataVerificationInfo&,
                                     rocksdb::IODebugContext* context) override {
    return PositionedAppend(data, offset, options, context);
  }
  rocksdb::IOStatus Truncate(uint64_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override {
    return files_.change(operation(FileAction::TRUNCATE, size), [&] {
      const rocksdb::IOStatus status = target()->Truncate(size, options, context);
      if (status.ok()) sizeBytes_ = size;
      return status;
    });
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return files_.sync(operation(FileAction::SYNC, 0));
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return files_.sync(operation(FileAction::SYNC, 0));
  }
  rocksdb::IOStatus RangeSync(uint64_t offset, uint64_t, const rocksdb::IOOptions&,
                              rocksdb::IODebugContext*) override {
    return files_.sync(operation(FileAction::RANGE_SYNC, offset));
  }

 private:
  FileOperation operation(FileAction action, uint64_t offset) const {
    return {.action = action, .path = path_, .file = file_, .offset = offset};
  }
  template <typename Perform>
  rocksdb::IOStatus write(const rocksdb::Slice& data, uint64_t offset, Perform perform) {
    FileOperation written = operation(FileAction::WRITE, offset);
    written.bytes = data.ToString();
    return files_.change(std::move(written), [&] {
      const rocksdb::IOStatus status = perform();
      if (status.ok()) sizeBytes_ = std::max(sizeBytes_, offset + data.size());
      return status;
    });
  }

  RecordedFiles& files_;
  const std::string path_;
  const uint64_t file_;
  uint64_t sizeBytes_;
};

class RecordedFiles::RandomRWFile : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  RandomRWFile(RecordedFiles& files, std::string path, std::unique_ptr<rocksdb::FSRandomRWFile> file)
      : FSRandomRWFileOwnerWrapper(std::move(file)),
        files_(files),
        path_(std::move(path)),
        file_(files.findFile(path_)) {}

  rocksdb::IOStatus Write(uint64_t offset, const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* context) override {
    FileOperation written{.action = FileAction::WRITE, .path = path_, .file = file_, .offset = offset};
    written.bytes = data.ToString();
    return files_.change(std::move(written), [&] { return target()->Write(offset, data, options, context); });
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return files_.sync({.action = FileAction::SYNC, .path = path_, .file = file_});
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return Sync(options, context);
  }

 private:
  RecordedFiles& files_;
  const std::string path_;
  const uint64_t file_;
};

class RecordedFiles::Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(RecordedFiles& files, std::string path, std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), files_(files), path_(std::move(path)) {}

  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return files_.sync({.action = FileAction::SYNC_DIRECTORY, .path = path_});
  }
  rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context,
                                        const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, context);
  }

 private:
  RecordedFiles& files_;
  const std::string path_;
};

inline rocksdb::IOStatus RecordedFiles::NewWritableFile(const std::string& path,
                                                        const rocksdb::FileOptions& options,
                                                        std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                        rocksdb::IODebugContext* context) {
  rocksdb::IOStatus status = opened(path, true, options.io_options);
  if (status.ok()) status = target()->NewWritableFile(path, options, result, context);
  if (status.ok()) *result = std::make_unique<WritableFile>(*this, path, 0, std::move(*result));
  return status;
}

inline rocksdb::IOStatus RecordedFiles::ReopenWritableFile(const std::string& path,
                                                           const rocksdb::FileOptions& options,
                                                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                           rocksdb::IODebugContext* context) {
  uint64_t sizeBytes = 0;
  rocksdb::IOStatus status = opened(path, false, options.io_options);
  if (status.ok()) status = target()->ReopenWritableFile(path, options, result, context);
  if (status.ok()) status = target()->GetFileSize(path, options.io_options, &sizeBytes, context);
  if (status.ok()) *result = std::make_unique<WritableFile>(*this, path, sizeBytes, std::move(*result));
  return status;
}

inline rocksdb::IOStatus RecordedFiles::ReuseWritableFile(const std::string& path, const std::string& oldPath,
                                                          const rocksdb::FileOptions& options,
                                                          std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                          rocksdb::IODebugContext* context) {
  rocksdb::IOStatus status = change({.action = FileAction::RENAME, .path = oldPath, .newPath = path}, [&] {
    return target()->ReuseWritableFile(path, oldPath, options, result, context);
  });
  if (status.ok()) *result = std::make_unique<WritableFile>(*this, path, 0, std::move(*result));
  return status;
}

inline rocksdb::IOStatus RecordedFiles::NewRandomRWFile(const std::string& path,
                                                        const rocksdb::FileOptions& options,
                                                        std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                                        rocksdb::IODebugContext* context) {
  rocksdb::IOStatus status = target()->NewRandomRWFile(path, options, result, context);
  if (status.ok()) *result = std::make_unique<RandomRWFile>(*this, path, std::move(*result));
  return status;
}

inline rocksdb::IOStatus RecordedFiles::NewDirectory(const std::string& path,
                                                     const rocksdb::IOOptions& options,
                                                     std::unique_ptr<rocksdb::FSDirectory>* result,
                                                     rocksdb::IODebugContext* context) {
  const rocksdb::IOStatus status = target()->NewDirectory(path, options, result, context);
  if (status.ok()) *result = std::make_unique<Directory>(*this, path, std::move(*result));
  return status;
}

}  // namespace vamos::test
