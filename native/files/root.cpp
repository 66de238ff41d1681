#include "files/root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <climits>
#include <cstdio>

#include "files/tree.hpp"

namespace vamos::files {

namespace {

// A guest must not make set-user-ID files on the host.
constexpr uint32_t permissionBits = 0777;

Errno checkPath(const std::string& path) {
  if (path.empty()) return ENOENT;
  if (path.find('\0') != std::string::npos) return EINVAL;
  if (path.size() >= PATH_MAX) return ENAMETOOLONG;
  if (path.front() == '/') return EXDEV;
  return 0;
}

bool isDot(const std::string& name) { return name == "." || name == "./"; }
bool isDotDot(const std::string& name) { return name == ".." || name == "../"; }

constexpr uint32_t knownFlags = OpenFlag::FOR_READ | OpenFlag::FOR_WRITE | OpenFlag::APPEND |
                                OpenFlag::CREATE | OpenFlag::EXCLUSIVE | OpenFlag::CUT | OpenFlag::DIRECTORY |
                                OpenFlag::NO_FOLLOW | OpenFlag::SYNC_DATA | OpenFlag::SYNC_ALL;

Errno systemFlags(uint32_t flags, uint64_t& system) {
  const bool reads = flags & OpenFlag::FOR_READ;
  const bool writes = flags & OpenFlag::FOR_WRITE;
  if ((flags & ~knownFlags) != 0 || (!reads && !writes)) return EINVAL;
  if ((flags & OpenFlag::CUT) && !writes) return EINVAL;
  if ((flags & OpenFlag::DIRECTORY) &&
      (flags & ~(OpenFlag::FOR_READ | OpenFlag::DIRECTORY | OpenFlag::NO_FOLLOW))) {
    return EINVAL;
  }
  // O_NONBLOCK: a FIFO in the root must not hold the thread. It has no effect on regular files.
  system = O_NONBLOCK | O_NOCTTY | (reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY);
  if (flags & OpenFlag::APPEND) system |= O_APPEND;
  if (flags & OpenFlag::CREATE) system |= O_CREAT;
  if (flags & OpenFlag::EXCLUSIVE) system |= O_EXCL;
  if (flags & OpenFlag::CUT) system |= O_TRUNC;
  if (flags & OpenFlag::DIRECTORY) system |= O_DIRECTORY;
  if (flags & OpenFlag::NO_FOLLOW) system |= O_NOFOLLOW;
  if (flags & OpenFlag::SYNC_DATA) system |= O_DSYNC;
  if (flags & OpenFlag::SYNC_ALL) system |= O_SYNC;
  return 0;
}

}  // namespace

Errno Root::open(const std::string& path, std::shared_ptr<Root>& root) {
  Descriptor descriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) return errno;
  root.reset(new Root(std::move(descriptor)));
  Descriptor probe;
  return root->resolve(".", O_PATH | O_DIRECTORY, 0, probe);
}

Errno Root::resolve(const std::string& path, uint64_t flags, uint32_t mode, Descriptor& descriptor) const {
  if (const Errno failure = checkPath(path)) return failure;
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed meanwhile, so the kernel can't tell whether `..` stayed beneath.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const long number = ::syscall(SYS_openat2, descriptor_.get(), path.c_str(), &how, sizeof how);
    if (number >= 0) {
      descriptor = Descriptor(static_cast<int>(number));
      return 0;
    }
    if (errno != EAGAIN && errno != EINTR) return errno;
  }
  return EAGAIN;
}

Errno Root::resolveParent(const std::string& path, Descriptor& parent, std::string& name) const {
  if (const Errno failure = checkPath(path)) return failure;
  const size_t last = path.find_last_not_of('/');
  const size_t slash = path.find_last_of('/', last);
  name = path.substr(slash == std::string::npos ? 0 : slash + 1,
                     last - (slash == std::string::npos ? -1 : slash));
  if (last + 1 < path.size()) name += '/';
  return resolve(slash == std::string::npos ? "." : path.substr(0, slash), O_PATH | O_DIRECTORY, 0, parent);
}

Errno Root::openFile(const std::string& path, uint32_t flags, uint32_t mode, std::shared_ptr<File>& file,
                     FileStat& stat) const {
  uint64_t system = 0;
  if (const Errno failure = systemFlags(flags, system)) return failure;
  Descriptor descriptor;
  const uint32_t newMode = flags & OpenFlag::CREATE ? mode & permissionBits : 0;
  if (const Errno failure = resolve(path, system, newMode, descriptor)) return failure;
  if (const Errno failure = statDescriptor(descriptor.get(), stat)) return failure;
  if (!S_ISREG(stat.mode) && !S_ISDIR(stat.mode)) return ENXIO;
  file = std::make_shared<File>(std::move(descriptor));
  return 0;
}

Errno Root::stat(const std::string& path, bool noFollow, FileStat& stat) const {
  Descriptor descriptor;
  const uint64_t flags = noFollow ? O_PATH | O_NOFOLLOW : O_PATH;
  if (const Errno failure = resolve(path, flags, 0, descriptor)) return failure;
  return statDescriptor(descriptor.get(), stat);
}

Errno Root::access(const std::string& path, uint32_t mode) const {
  Descriptor descriptor;
  if (const Errno failure = resolve(path, O_PATH, 0, descriptor)) return failure;
  return ::syscall(SYS_faccessat2, descriptor.get(), "", mode, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

Errno Root::makeOne(const std::string& path, uint32_t mode) const {
  Descriptor parent;
  std::string name;
  if (const Errno failure = resolveParent(path, parent, name)) return failure;
  if (isDot(name) || isDotDot(name)) return EEXIST;
  return ::mkdirat(parent.get(), name.c_str(), mode & permissionBits) == 0 ? 0 : errno;
}

Errno Root::makeAll(const std::string& path, uint32_t mode, size_t& firstBytes) const {
  Descriptor existing;
  const Errno missing = resolve(path, O_PATH | O_DIRECTORY, 0, existing);
  if (missing != ENOENT && missing != ENOTDIR) return missing;
  for (size_t end = 0; end < path.size();) {
    end = path.find('/', path.find_first_not_of('/', end));
    if (end == std::string::npos) end = path.size();
    const bool isLast = path.find_first_not_of('/', end) == std::string::npos;
    const Errno failure = makeOne(path.substr(0, end), mode);
    if (failure == 0 && firstBytes == 0) firstBytes = end;
    if (failure != 0 && failure != EEXIST) return failure;
    if (isLast && failure == EEXIST) {
      FileStat there;
      if (const Errno unknown = stat(path, false, there)) return unknown;
      return S_ISDIR(there.mode) ? 0 : EEXIST;
    }
    if (isLast) return 0;
  }
  return 0;
}

Errno Root::makeDirectory(const std::string& path, uint32_t mode, bool recursive, size_t& firstBytes) const {
  firstBytes = 0;
  if (const Errno failure = checkPath(path)) return failure;
  if (recursive) return makeAll(path, mode, firstBytes);
  firstBytes = path.size();
  return makeOne(path, mode);
}

Errno Root::rename(const std::string& from, const std::string& to) const {
  Descriptor fromParent, toParent;
  std::string fromName, toName;
  if (const Errno failure = resolveParent(from, fromParent, fromName)) return failure;
  if (const Errno failure = resolveParent(to, toParent, toName)) return failure;
  for (const std::string& name : {fromName, toName}) {
    if (isDot(name) || isDotDot(name)) return EBUSY;
  }
  return ::renameat(fromParent.get(), fromName.c_str(), toParent.get(), toName.c_str()) == 0 ? 0 : errno;
}

Errno Root::removeFile(const std::string& path) const {
  Descriptor parent;
  std::string name;
  if (const Errno failure = resolveParent(path, parent, name)) return failure;
  if (isDot(name) || isDotDot(name)) return EISDIR;
  return ::unlinkat(parent.get(), name.c_str(), 0) == 0 ? 0 : errno;
}

Errno Root::removeDirectory(const std::string& path) const {
  Descriptor parent;
  std::string name;
  if (const Errno failure = resolveParent(path, parent, name)) return failure;
  if (isDot(name)) return EINVAL;
  if (isDotDot(name)) return ENOTEMPTY;
  return ::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0 ? 0 : errno;
}

Errno Root::removeTree(const std::string& path, size_t maxEntries, bool& done) const {
  Descriptor parent;
  std::string name;
  if (const Errno failure = resolveParent(path, parent, name)) return failure;
  if (isDot(name) || isDotDot(name)) return EINVAL;
  if (name.back() == '/') name.pop_back();
  return files::removeTree(parent.get(), name, maxEntries, done);
}

}  // namespace vamos::files
