#include "files/tree.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <cstring>
#include <memory>

namespace vamos::files {

namespace {

constexpr int maxDepth = 256;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Errno removeEntry(int parent, const char* name, int depth, size_t& budget, bool& removed);

// Removes until the directory is empty or the budget is spent.
Errno removeEntries(int parent, const char* name, int depth, size_t& budget) {
  if (depth == maxDepth) return ENAMETOOLONG;
  const int descriptor = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(descriptor));
  if (!directory) {
    const Errno failure = errno;
    ::close(descriptor);
    return failure;
  }
  while (budget > 0) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (!entry) return errno;
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    bool removed = false;
    if (const Errno failure = removeEntry(descriptor, entry->d_name, depth + 1, budget, removed))
      return failure;
  }
  return 0;
}

// Removes an entry. Another process may remove the same tree, so it is no failure if the entry is gone
// already.
Errno removeEntry(int parent, const char* name, int depth, size_t& budget, bool& removed) {
  if (::unlinkat(parent, name, 0) != 0 && errno != ENOENT) {
    if (errno != EISDIR) return errno;
    const Errno failure = removeEntries(parent, name, depth, budget);
    if (failure != 0 && failure != ENOENT) return failure;
    if (budget == 0) return 0;
    if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return errno;
  }
  --budget;
  removed = true;
  return 0;
}

}  // namespace

Errno removeTree(int parent, const std::string& name, size_t maxEntries, bool& done) {
  done = false;
  if (::faccessat(parent, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  size_t budget = maxEntries;
  return removeEntry(parent, name.c_str(), 0, budget, done);
}

}  // namespace vamos::files
