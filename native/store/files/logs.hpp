#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/files/synced_file.hpp"

namespace vamos::store {

// What would go with parts of logs.
struct LostWrites {
  uint64_t records = 0;
  uint64_t commits = 0;  // that can still be read: with nearly all of the records
  uint64_t bytes = 0;    // bytes of the logs that go
  // Nothing can be read behind the damage: there is more than was counted.
  bool isIncomplete = false;
};

// The write-ahead logs and manifests of a root that is not open, and what is wrong with them. RocksDB by
// itself stops at the first place of a log that does not check, and goes on as if the rest had never been:
// right for the end of a log that the power took before it was synced, and wrong for a log that was damaged.
class Logs {
 public:
  struct Log {
    LogName name;
    uint64_t sizeBytes = 0;
    uint64_t recordsEndBytes = 0;  // before the first place that does not check
    uint64_t syncedBytes = 0;      // the records up to here were on the disk
    bool isMissing = false;

    bool isTorn() const { return recordsEndBytes < sizeBytes; }
  };

  Logs(rocksdb::FileSystem& fileSystem, std::string folder);

  // Reads them all, from the disk. ends: what SYNCED says, if there is one.
  rocksdb::IOStatus read(const std::optional<SyncedFile::Ends>& ends);
  const std::vector<Log>& all() const { return logs_; }
  // In order of their numbers; nothing: no damage.
  const std::vector<Log>& damaged() const { return damaged_; }
  // What is damaged and where, as a sentence without its end.
  std::string damageText() const;
  // Cuts off what the power took the end of, and empties the logs behind it: with them RocksDB finds no place
  // that does not check. What it does with such a place depends on what stands around it.
  rocksdb::IOStatus cutTails(std::vector<std::string>& messages);
  // After all that: what is on the disk now.
  SyncedFile::Ends ends() const;

  // From an offset on, which starts a record, the rest of a log.
  struct Part {
    LogName name;
    uint64_t fromBytes = 0;
  };
  // parts: in order, and each whole but the first ones of what is damaged.
  rocksdb::IOStatus count(const std::vector<Part>& parts, LostWrites& lost) const;
  // The damage is to what tells which tables belong to the root: no part can be given up.
  bool hasLostTables() const;

 private:
  // Where a log's writes stand in the order of all: first and next behind it. Nothing: not known, or it is
  // empty.
  struct Sequences {
    std::optional<uint64_t> first;
    std::optional<uint64_t> next;
  };

  std::string pathOf(const LogName& name) const { return folder_ + "/" + name.fileName(); }
  rocksdb::IOStatus readLog(Log& log, Sequences* sequences, bool& hasRecordsBehind) const;
  rocksdb::IOStatus cut(Log& log, uint64_t sizeBytes);
  void compare(const SyncedFile::Ends& ends);
  void guess(const std::map<LogName, Sequences>& sequences, const std::map<LogName, bool>& hasRecordsBehind);

  rocksdb::FileSystem& fileSystem_;
  const std::string folder_;
  std::vector<Log> logs_;
  std::vector<Log> damaged_;
  bool lacksCurrent_ = false;
  bool isGuessed_ = false;
};

}  // namespace vamos::store
