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

// Reads the first lengthBytes of a file, or all of it; fewer where it ends before.
Errno readContent(int source, std::optional<uint64_t> lengthBytes, Content& content);
// The same, and writes them to a new file of this mode. EEXIST: there is one. What an error leaves is removed.
Errno copyContent(int source, std::optional<uint64_t> lengthBytes, const std::string& target, uint32_t mode,
                  Content& content);
// Gives the open file one more name. EEXIST: there is one; EXDEV, EMLINK, EPERM: it has to be copied.
Errno linkFile(int source, const std::string& target);
// Makes all that was written to the path's file system durable.
Errno syncFileSystem(const std::string& path);

}  // namespace vamos::files
