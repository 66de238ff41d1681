#include "files/copy.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "wire/crc32c.hpp"
#include "wire/descriptor.hpp"

namespace vamos::files {
namespace {

constexpr size_t pieceBytes = 1 << 20;

Errno writeAll(int target, const char* data, size_t lengthBytes) {
  while (lengthBytes > 0) {
    const ssize_t count = ::write(target, data, lengthBytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    data += count;
    lengthBytes -= static_cast<size_t>(count);
  }
  return 0;
}

// Reads in pieces, and writes them to `target` unless it is -1.
Errno readPieces(int source, const Part& part, int target, Content& content) {
  const uint64_t lengthBytes = part.lengthBytes.value_or(std::numeric_limits<uint64_t>::max());
  std::vector<char> piece(pieceBytes);
  content = {};
  while (content.lengthBytes < lengthBytes) {
    const size_t wanted = std::min<uint64_t>(pieceBytes, lengthBytes - content.lengthBytes);
    const ssize_t count =
        ::pread(source, piece.data(), wanted, static_cast<off_t>(part.offset + content.lengthBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) break;
    const auto length = static_cast<size_t>(count);
    content.crc32c = crc32c(piece.data(), length, content.crc32c);
    content.lengthBytes += length;
    if (target < 0) continue;
    if (const Errno failure = writeAll(target, piece.data(), length)) return failure;
  }
  return 0;
}

}  // namespace

Errno readContent(int source, Part part, Content& content) { return readPieces(source, part, -1, content); }

Errno copyContent(int source, Part part, const std::string& target, uint32_t mode, Content& content) {
  Descriptor made(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!made.isOpen()) return errno;
  Errno failure = readPieces(source, part, made.get(), content);
  // The mode at open was reduced by the umask.
  if (failure == 0 && ::fchmod(made.get(), mode) != 0) failure = errno;
  const Errno closed = made.close();
  if (failure == 0) failure = closed;
  if (failure != 0) ::unlink(target.c_str());
  return failure;
}

Errno linkFile(int source, const std::string& target) {
  const std::string link = "/proc/self/fd/" + std::to_string(source);
  return ::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, target.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

Errno syncFileSystem(const std::string& path) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.isOpen()) return errno;
  return ::syncfs(descriptor.get()) == 0 ? 0 : errno;
}

}  // namespace vamos::files
