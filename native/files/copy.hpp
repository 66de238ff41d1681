// Copies of files with their checksums. Every call may block: not for the event loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "files/errno.hpp"

namespace vamos::files {

struct Content {
  uint64_t lengthBytes = 0;
  uint32_t crc32c = 0;
};

// A part of a file: from an offset on, to the file's end if there is no length.
struct Part {
  uint64_t offset = 0;
  std::optional<uint64_t> lengthBytes;
};

// Reads a part of a file, fewer bytes where the file ends before.
Errno readContent(int source, Part part, Content& content);
// Does the same, and writes the part to a new file of this mode. EEXIST: there is one. What an error leaves
// is removed.
Errno copyContent(int source, Part part, const std::string& target, uint32_t mode, Content& content);
// Gives the open file one more name. EEXIST: there is one; EXDEV, EMLINK, EPERM: it has to be copied.
Errno linkFile(int source, const std::string& target);
// Makes all that was written to the path's file system durable.
Errno syncFileSystem(const std::string& path);

}  // namespace vamos::files
