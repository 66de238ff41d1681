#pragma once

#include <rocksdb/file_system.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vamos::store {

// RocksDB's format of its write-ahead logs and manifests (db/log_format.h): blocks of 32 KiB, in them
// fragments with a checksum each, which make up records. A fragment does not cross blocks; less room than a
// header has is filled with zeros.
namespace log_format {

constexpr size_t blockBytes = 32 << 10;
constexpr size_t headerBytes = 7;  // masked CRC-32C, u16 length, u8 type
// With the number of the log behind the type; RocksDB writes it where files of older logs are used again.
constexpr size_t longHeaderBytes = 11;

enum class Type : uint8_t {
  ZERO = 0,
  FULL = 1,
  FIRST = 2,
  MIDDLE = 3,
  LAST = 4,
  LAST_LONG = 8,
  LAST_OTHER = 11
};

struct Header {
  uint32_t maskedCrc = 0;
  size_t lengthBytes = 0;
  uint8_t type = 0;

  static Header parse(const char* bytes);
  size_t ownBytes() const;
  bool isKnown() const { return type > 0 && type <= static_cast<uint8_t>(Type::LAST_OTHER); }
  // Says in which of the four ways a fragment stands in its record: FULL for one that is no part of a record.
  Type role() const;
};

}  // namespace log_format

// Follows what is appended to a new log, and knows where the last whole record ends. Checks no bytes.
class LogTracker {
 public:
  void append(std::string_view bytes);
  uint64_t recordsEndBytes() const { return recordsEndBytes_; }

 private:
  uint64_t offsetBytes_ = 0;
  uint64_t recordsEndBytes_ = 0;
  std::array<char, log_format::longHeaderBytes> header_{};
  size_t headerBytes_ = 0;  // bytes of the header that have come so far
  size_t bodyBytes_ = 0;    // still to come
  bool endsRecord_ = false;
};

// Reads a log's records up to the first place that does not check, and behind it.
class LogReader {
 public:
  explicit LogReader(rocksdb::FSSequentialFile& file) : file_(file) {}

  // The next whole record. False: there is none before the end of the file, or before a damaged place.
  bool next(std::string& record);
  // Where the last record ends that next() gave.
  uint64_t recordsEndBytes() const { return recordsEndBytes_; }
  // After next() gave false: looks for the next whole record behind the damage, which next() gives then.
  bool skipDamage();
  // An error of the disk: then next() gives nothing more.
  const rocksdb::IOStatus& status() const { return status_; }

 private:
  enum class Found { FRAGMENT, END, DAMAGE };

  Found nextFragment(log_format::Type& role, std::string_view& body);
  bool isFragment(size_t position, log_format::Header& header) const;
  bool readBlock();

  rocksdb::FSSequentialFile& file_;
  rocksdb::IOStatus status_;
  std::string block_;
  uint64_t blockStartBytes_ = 0;
  size_t position_ = 0;
  size_t lastHeaderBytes_ = 0;
  uint64_t recordsEndBytes_ = 0;
  bool isAtEnd_ = false;
};

}  // namespace vamos::store
