// An open file or directory: what its handle can do. Every call may block: not for the event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/errno.hpp"
#include "protocol/files_enums.hpp"
#include "wire/descriptor.hpp"

namespace vamos::files {

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct FileStat {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint32_t mode = 0;
  uint64_t links = 0;
  uint32_t user = 0;
  uint32_t group = 0;
  uint64_t specialDevice = 0;
  uint64_t sizeBytes = 0;
  uint32_t blockBytes = 0;
  uint64_t blocks = 0;
  Timestamp accessed, modified, changed, born;
};

// Reads the state of what a descriptor stands for, including O_PATH ones.
Errno statDescriptor(int descriptor, FileStat& stat);

struct Range {
  std::optional<uint64_t> offset;  // nothing: at the file's own position, which moves on
  uint32_t lengthBytes = 0;
};

struct FreeBytes {
  void operator()(uint8_t* bytes) const { std::free(bytes); }
};

struct ReadReply {
  std::unique_ptr<uint8_t[], FreeBytes> bytes;
  size_t lengthBytes = 0;
};

class File {
 public:
  explicit File(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  // Reads the body of a READ reply: a u32 byte count for each range, then the bytes. Ranges that follow one
  // another take one system call. A range is short only at the end of the file.
  Errno read(const std::vector<Range>& ranges, ReadReply& reply);

  // Writes. `data` holds the ranges' bytes, one after another. Unless all must be written, a failure after
  // some bytes shows as a short `writtenBytes` (the next write fails with it). The sync follows only when all
  // was written.
  Errno write(const std::vector<Range>& ranges, const uint8_t* data, SyncKind sync, bool mustBeWhole,
              uint64_t& writtenBytes);

  Errno sync(SyncKind kind);
  Errno truncate(uint64_t lengthBytes);
  Errno stat(FileStat& stat) const { return statDescriptor(descriptor_.get(), stat); }

  // Reads entries of a DirectoryWindow, at most `windowBytes` (1024 or more) of them.
  Errno readDirectory(size_t windowBytes, std::string& entries, bool& atEnd);

  Errno close() { return descriptor_.close(); }
  int descriptor() const { return descriptor_.get(); }

 private:
  Descriptor descriptor_;
};

}  // namespace vamos::files
