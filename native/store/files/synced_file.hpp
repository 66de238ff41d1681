#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

namespace vamos::store {

// A log or manifest of RocksDB: their numbers are of one series.
struct LogName {
  uint64_t number = 0;
  bool isManifest = false;

  // False: the file's name is none of these.
  static bool parse(const std::string& fileName, LogName& name);
  std::string fileName() const;
  bool operator==(const LogName& other) const = default;
  bool operator<(const LogName& other) const {
    return std::tie(number, isManifest) < std::tie(other.number, other.isManifest);
  }
};

// The file SYNCED beside the store's own: up to which byte each log and manifest is on the disk. It is what
// tells a damaged log from one whose end was lost with the power. A write of some 50 bytes after each sync,
// without a sync of its own: where the power goes before the disk has it, it says less than is true, never
// more. src/protocol/FORMATS.md, section Store, describes its bytes.
class SyncedFile {
 public:
  SyncedFile(rocksdb::FileSystem& fileSystem, const std::string& folder);

  using Ends = std::map<LogName, uint64_t>;
  // What the file says. False: it is not there, or does not check, and says nothing.
  bool read(Ends& ends);
  // Writes and syncs it, after read(): from now on it says this.
  rocksdb::IOStatus start(const Ends& ends);

  // From any thread. A failure is none of the store's: the file says less then.
  void setEnd(const LogName& name, uint64_t bytes);
  // On the disk when it returns, so that no log is missed that was removed after it.
  rocksdb::IOStatus forget(const LogName& name);
  rocksdb::IOStatus sync();

 private:
  rocksdb::IOStatus make();
  rocksdb::IOStatus write();

  rocksdb::FileSystem& fileSystem_;
  const std::string path_;
  const std::string folder_;
  std::mutex mutex_;
  std::unique_ptr<rocksdb::FSRandomRWFile> file_;
  Ends ends_;
  bool isThere_ = false;
  uint64_t generation_ = 0;
};

}  // namespace vamos::store
