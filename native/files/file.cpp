#include "files/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace vamos::files {

namespace {

Timestamp timestamp(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

// Ranges [first, end) that one system call can serve, and their length.
struct Run {
  size_t end;
  size_t lengthBytes;
};

Run runFrom(const std::vector<Range>& ranges, size_t first) {
  Run run{first + 1, ranges[first].lengthBytes};
  const auto start = ranges[first].offset;
  while (run.end < ranges.size()) {
    const auto next = ranges[run.end].offset;
    const bool follows = start ? next && *next == *start + run.lengthBytes : !next;
    if (!follows) break;
    run.lengthBytes += ranges[run.end].lengthBytes;
    ++run.end;
  }
  return run;
}

bool offsetsFit(const std::vector<Range>& ranges) {
  constexpr uint64_t last = std::numeric_limits<off_t>::max();
  return std::all_of(ranges.begin(), ranges.end(), [](const Range& range) {
    return !range.offset || (*range.offset <= last && range.lengthBytes <= last - *range.offset);
  });
}

size_t totalBytes(const std::vector<Range>& ranges) {
  size_t total = 0;
  for (const Range& range : ranges) total += range.lengthBytes;
  return total;
}

void putU32(uint8_t* to, size_t value) {
  for (int byte = 0; byte < 4; ++byte) to[byte] = static_cast<uint8_t>(value >> (8 * byte));
}

Errno readRun(int descriptor, const std::optional<uint64_t>& offset, uint8_t* to, size_t lengthBytes,
              size_t& done) {
  done = 0;
  while (done < lengthBytes) {
    const ssize_t count =
        offset ? ::pread(descriptor, to + done, lengthBytes - done, static_cast<off_t>(*offset + done))
               : ::read(descriptor, to + done, lengthBytes - done);
    if (count == 0) return 0;
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

Errno writeRun(int descriptor, const std::optional<uint64_t>& offset, const uint8_t* from, size_t lengthBytes,
               size_t& done) {
  done = 0;
  do {  // once even for no bytes: a handle that can't be written must say so
    const ssize_t count =
        offset ? ::pwrite(descriptor, from + done, lengthBytes - done, static_cast<off_t>(*offset + done))
               : ::write(descriptor, from + done, lengthBytes - done);
    if (count >= 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return errno;
    }
  } while (done < lengthBytes);
  return 0;
}

// A directory entry as the kernel writes it (getdents64); glibc has no name for it without extensions.
struct KernelEntry {
  static constexpr size_t lengthAt = 16, typeAt = 18, nameAt = 19;
};

uint8_t typeOf(int directory, const char* name) {
  struct stat status;
  if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
  return static_cast<uint8_t>(IFTODT(status.st_mode));
}

}  // namespace

Errno statDescriptor(int descriptor, FileStat& stat) {
  struct statx from;
  if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &from) != 0) return errno;
  stat.device = makedev(from.stx_dev_major, from.stx_dev_minor);
  stat.inode = from.stx_ino;
  stat.mode = from.stx_mode;
  stat.links = from.stx_nlink;
  stat.user = from.stx_uid;
  stat.group = from.stx_gid;
  stat.specialDevice = makedev(from.stx_rdev_major, from.stx_rdev_minor);
  stat.sizeBytes = from.stx_size;
  stat.blockBytes = from.stx_blksize;
  stat.blocks = from.stx_blocks;
  stat.accessed = timestamp(from.stx_atime);
  stat.modified = timestamp(from.stx_mtime);
  stat.changed = timestamp(from.stx_ctime);
  stat.born = timestamp(from.stx_btime);
  return 0;
}

Errno File::read(const std::vector<Range>& ranges, ReadReply& reply) {
  if (!offsetsFit(ranges)) return EINVAL;
  const size_t headBytes = ranges.size() * 4;
  const size_t allocatedBytes = headBytes + totalBytes(ranges);
  // The memory is not cleared: pages that the file does not fill are never touched.
  reply.bytes.reset(static_cast<uint8_t*>(std::malloc(std::max<size_t>(allocatedBytes, 1))));
  if (!reply.bytes) return ENOMEM;
  uint8_t* const bytes = reply.bytes.get();
  size_t used = headBytes;
  for (size_t first = 0; first < ranges.size();) {
    const Run run = runFrom(ranges, first);
    size_t done = 0;
    if (const Errno failure =
            readRun(descriptor_.get(), ranges[first].offset, bytes + used, run.lengthBytes, done)) {
      return failure;
    }
    used += done;
    for (; first < run.end; ++first) {
      const size_t share = std::min<size_t>(ranges[first].lengthBytes, done);
      putU32(bytes + first * 4, share);
      done -= share;
    }
  }
  reply.lengthBytes = used;
  if (used < allocatedBytes / 2) {
    if (auto* smaller = static_cast<uint8_t*>(std::realloc(bytes, std::max<size_t>(used, 1)))) {
      static_cast<void>(reply.bytes.release());
      reply.bytes.reset(smaller);
    }
  }
  return 0;
}

Errno File::write(const std::vector<Range>& ranges, const uint8_t* data, SyncKind kind, bool mustBeWhole,
                  uint64_t& writtenBytes) {
  writtenBytes = 0;
  if (!offsetsFit(ranges)) return EINVAL;
  for (size_t first = 0; first < ranges.size();) {
    const Run run = runFrom(ranges, first);
    size_t done = 0;
    const Errno failure =
        writeRun(descriptor_.get(), ranges[first].offset, data + writtenBytes, run.lengthBytes, done);
    writtenBytes += done;
    if (failure) return writtenBytes > 0 && !mustBeWhole ? 0 : failure;
    first = run.end;
  }
  return sync(kind);
}

Errno File::sync(SyncKind kind) {
  if (kind == SyncKind::NO_SYNC) return 0;
  const int result = kind == SyncKind::DATA ? ::fdatasync(descriptor_.get()) : ::fsync(descriptor_.get());
  return result == 0 ? 0 : errno;
}

Errno File::truncate(uint64_t lengthBytes) {
  if (lengthBytes > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return EINVAL;
  while (::ftruncate(descriptor_.get(), static_cast<off_t>(lengthBytes)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

Errno File::readDirectory(size_t windowBytes, std::string& entries, bool& atEnd) {
  // The size of the kernel's record of the longest name; ours of the same entry is always shorter.
  constexpr size_t recordBytes = 19 + 255 + 1 + 7;
  std::array<char, 32 * 1024> records;
  atEnd = false;
  while (entries.size() + recordBytes <= windowBytes) {
    const size_t room = std::min(records.size(), windowBytes - entries.size());
    const long count = ::syscall(SYS_getdents64, descriptor_.get(), records.data(), room);
    if (count < 0) return errno;
    if (count == 0) {
      atEnd = true;
      return 0;
    }
    for (long at = 0; at < count;) {
      const char* record = records.data() + at;
      uint16_t lengthBytes;
      std::memcpy(&lengthBytes, record + KernelEntry::lengthAt, sizeof lengthBytes);
      at += lengthBytes;
      const char* name = record + KernelEntry::nameAt;
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      auto type = static_cast<uint8_t>(record[KernelEntry::typeAt]);
      if (type == DT_UNKNOWN) type = typeOf(descriptor_.get(), name);
      const size_t nameBytes = std::strlen(name);
      entries.push_back(static_cast<char>(type));
      entries.push_back(static_cast<char>(nameBytes & 0xff));
      entries.push_back(static_cast<char>(nameBytes >> 8));
      entries.append(name, nameBytes);
    }
  }
  return 0;
}

}  // namespace vamos::files
