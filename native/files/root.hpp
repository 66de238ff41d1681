// A guest's directory on the host. The kernel resolves every path beneath it (openat2): no `..`, absolute
// path or symbolic link leads out, even while another process renames. Names are changed through the parent
// directory's descriptor. Every call may block: not for the event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "files/errno.hpp"
#include "files/file.hpp"
#include "protocol/files_enums.hpp"
#include "wire/descriptor.hpp"

namespace vamos::files {

// The operations beneath the root. Errors beside those of the system calls: EXDEV: the path leads out of the
// root; ENXIO: neither a regular file nor a directory; EINVAL: a zero byte in the path, or flags that make no
// sense together.
class Root {
 public:
  // Opens a root. ENOSYS: the kernel has no openat2 (Linux 5.6).
  static Errno open(const std::string& path, std::shared_ptr<Root>& root);

  Errno openFile(const std::string& path, uint32_t flags, uint32_t mode, std::shared_ptr<File>& file,
                 FileStat& stat) const;
  Errno stat(const std::string& path, bool noFollow, FileStat& stat) const;
  // Checks access. mode: bits of access(2).
  Errno access(const std::string& path, uint32_t mode) const;
  // Makes a directory. firstBytes: length of the path's prefix that names the first directory made; 0:
  // recursive, and all were there.
  Errno makeDirectory(const std::string& path, uint32_t mode, bool recursive, size_t& firstBytes) const;
  Errno rename(const std::string& from, const std::string& to) const;
  Errno removeFile(const std::string& path) const;
  Errno removeDirectory(const std::string& path) const;
  // Removes at most maxEntries; call it again until done. Symbolic links are removed, never followed.
  Errno removeTree(const std::string& path, size_t maxEntries, bool& done) const;

 private:
  explicit Root(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  Errno resolve(const std::string& path, uint64_t flags, uint32_t mode, Descriptor& descriptor) const;
  // Opens the directory that holds the path's last component, and returns that component (with its trailing
  // slash, if any).
  Errno resolveParent(const std::string& path, Descriptor& parent, std::string& name) const;
  Errno makeOne(const std::string& path, uint32_t mode) const;
  Errno makeAll(const std::string& path, uint32_t mode, size_t& firstBytes) const;

  Descriptor descriptor_;
};

}  // namespace vamos::files
