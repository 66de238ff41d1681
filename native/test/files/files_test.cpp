#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "files/root.hpp"

namespace fs = std::filesystem;
using namespace vamos::files;

namespace {

// A root with `secret` and the directory `outside` beside it, where no path may lead.
class Place {
 public:
  Place() {
    std::string pattern = (fs::temp_directory_path() / "vamos-files-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    base = pattern;
    fs::create_directories(base / "root");
    fs::create_directories(base / "outside");
    put(base / "outside/file", "secret");
    REQUIRE(Root::open((base / "root").string(), root) == 0);
  }
  ~Place() {
    root.reset();
    fs::remove_all(base);
  }

  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  void symlink(const std::string& target, const std::string& name) {
    fs::create_symlink(target, base / "root" / name);
  }

  fs::path base;
  std::shared_ptr<Root> root;
};

Errno open(const Place& place, const std::string& path, uint32_t flags, std::shared_ptr<File>& file) {
  FileStat stat;
  return place.root->openFile(path, flags, 0644, file, stat);
}

Errno open(const Place& place, const std::string& path, uint32_t flags = OpenFlag::FOR_READ) {
  std::shared_ptr<File> file;
  return open(place, path, flags, file);
}

std::shared_ptr<File> opened(const Place& place, const std::string& path, uint32_t flags) {
  std::shared_ptr<File> file;
  REQUIRE(open(place, path, flags, file) == 0);
  return file;
}

constexpr uint32_t readWriteNew = OpenFlag::FOR_READ | OpenFlag::FOR_WRITE | OpenFlag::CREATE;

uint64_t write(File& file, std::vector<Range> ranges, const std::string& data,
               SyncKind kind = SyncKind::NO_SYNC) {
  uint64_t written = 0;
  REQUIRE(file.write(ranges, reinterpret_cast<const uint8_t*>(data.data()), kind, false, written) == 0);
  return written;
}

// What each range gave.
std::vector<std::string> read(File& file, const std::vector<Range>& ranges) {
  ReadReply reply;
  REQUIRE(file.read(ranges, reply) == 0);
  std::vector<std::string> parts;
  size_t at = ranges.size() * 4;
  for (size_t index = 0; index < ranges.size(); ++index) {
    uint32_t count;
    std::memcpy(&count, reply.bytes.get() + index * 4, 4);
    REQUIRE(at + count <= reply.lengthBytes);
    parts.emplace_back(reinterpret_cast<char*>(reply.bytes.get()) + at, count);
    at += count;
  }
  CHECK(at == reply.lengthBytes);
  return parts;
}

std::vector<std::string> names(File& directory, size_t windowBytes, size_t& windows) {
  std::vector<std::string> found;
  bool atEnd = false;
  for (windows = 0; !atEnd; ++windows) {
    std::string entries;
    REQUIRE(directory.readDirectory(windowBytes, entries, atEnd) == 0);
    CHECK(entries.size() <= windowBytes);
    for (size_t at = 0; at < entries.size();) {
      const size_t length = static_cast<uint8_t>(entries[at + 1]) | static_cast<uint8_t>(entries[at + 2])
                                                                        << 8;
      found.push_back(entries.substr(at + 3, length));
      at += 3 + length;
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

TEST_CASE("ranges are written and read at their offsets, adjacent or not") {
  Place place;
  const auto file = opened(place, "a", readWriteNew);
  CHECK(write(*file, {{0, 3}, {3, 2}, {10, 4}}, "abcdeWXYZ") == 9);
  CHECK(read(*file, {{0, 5}, {10, 2}, {12, 2}}) == std::vector<std::string>{"abcde", "WX", "YZ"});
  CHECK(read(*file, {{3, 4}, {12, 100}, {500, 5}}) ==
        std::vector<std::string>{std::string("de\0\0", 4), "YZ", ""});
  CHECK(read(*file, {{12, 100}, {0, 2}, {112, 5}}) == std::vector<std::string>{"YZ", "ab", ""});
  CHECK(read(*file, {}).empty());
}

TEST_CASE("ranges without an offset use the file's position, which moves on") {
  Place place;
  const auto file = opened(place, "a", readWriteNew);
  CHECK(write(*file, {{std::nullopt, 2}, {std::nullopt, 3}}, "abcde") == 5);
  CHECK(read(*file, {{std::nullopt, 5}}) == std::vector<std::string>{""});
  const auto second = opened(place, "a", OpenFlag::FOR_READ);
  CHECK(read(*second, {{std::nullopt, 2}, {std::nullopt, 2}}) == std::vector<std::string>{"ab", "cd"});
  CHECK(read(*second, {{std::nullopt, 9}}) == std::vector<std::string>{"e"});
}

TEST_CASE("appended bytes go to the end whatever their offset") {
  Place place;
  Place::put(place.base / "root/a", "12345");
  const auto file = opened(place, "a", OpenFlag::FOR_WRITE | OpenFlag::APPEND);
  write(*file, {{0, 2}}, "ab", SyncKind::DATA);
  write(*file, {{std::nullopt, 2}}, "cd", SyncKind::ALL);
  CHECK(read(*opened(place, "a", OpenFlag::FOR_READ), {{0, 100}}) == std::vector<std::string>{"12345abcd"});
}

TEST_CASE("offsets past the largest one are refused") {
  Place place;
  const auto file = opened(place, "a", readWriteNew);
  constexpr uint64_t last = std::numeric_limits<int64_t>::max();
  ReadReply reply;
  uint64_t written = 0;
  const uint8_t byte = 0;
  for (const uint64_t offset : {last, last + 1, std::numeric_limits<uint64_t>::max()}) {
    CHECK(file->read({{offset, 1}}, reply) == EINVAL);
    CHECK(file->write({{offset, 1}}, &byte, SyncKind::NO_SYNC, false, written) == EINVAL);
  }
  // The last byte that an offset can name. File systems on disks refuse it; tmpfs has files of that size.
  const int error = file->write({{last - 1, 1}}, &byte, SyncKind::NO_SYNC, false, written);
  CHECK((error == EFBIG || error == 0));
  CHECK(file->truncate(last + 1) == EINVAL);
  CHECK(file->truncate(7) == 0);
  FileStat stat;
  CHECK(file->stat(stat) == 0);
  CHECK(stat.sizeBytes == 7);
}

TEST_CASE("a write that can't be whole is short, and the next one fails; asked to be whole it fails itself") {
  Place place;
  const auto file = opened(place, "a", readWriteNew);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{6, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  uint64_t written = 0;
  const auto* data = reinterpret_cast<const uint8_t*>("0123456789");
  CHECK(file->write({{0, 4}, {100, 6}}, data, SyncKind::DATA, false, written) == 0);
  CHECK(written == 4);
  CHECK(file->write({{0, 10}}, data, SyncKind::DATA, false, written) == 0);
  CHECK(written == 6);
  CHECK(file->write({{6, 4}}, data, SyncKind::DATA, false, written) == EFBIG);
  CHECK(file->write({{0, 10}}, data, SyncKind::DATA, true, written) == EFBIG);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  // /dev/full is not beneath a root, so the file object is made directly.
  File full(vamos::Descriptor(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
  CHECK(full.write({{std::nullopt, 1}}, data, SyncKind::DATA, false, written) == ENOSPC);
}

TEST_CASE("no path leads out of the root") {
  Place place;
  place.symlink("../outside", "up");
  place.symlink("../outside/file", "upfile");
  place.symlink((place.base / "outside").string(), "absolute");
  place.symlink("/proc/self/root", "magic");
  fs::create_directories(place.base / "root/dir");
  place.symlink("../../outside", "dir/up");
  FileStat stat;
  size_t first = 0;
  bool done = false;
  for (const std::string path :
       {"../outside/file", "dir/../../outside/file", "up/file", "upfile", "absolute/file", "dir/up/file",
        "/etc/passwd", "//etc/passwd", "..", "dir/../..", "magic/etc/passwd"}) {
    CAPTURE(path);
    CHECK(open(place, path) == EXDEV);
    CHECK(open(place, path, readWriteNew) == EXDEV);
    CHECK(place.root->stat(path, false, stat) == EXDEV);
    CHECK(place.root->access(path, 4) == EXDEV);
  }
  for (const std::string path :
       {"../new", "../outside/new", "up/new", "absolute/new", "dir/up/new", "/tmp/new", "dir/../../new"}) {
    CAPTURE(path);
    CHECK(open(place, path, readWriteNew | OpenFlag::EXCLUSIVE) == EXDEV);
    CHECK(place.root->makeDirectory(path, 0777, false, first) == EXDEV);
    CHECK(place.root->makeDirectory(path, 0777, true, first) == EXDEV);
    CHECK(place.root->rename("dir", path) == EXDEV);
    CHECK(place.root->rename(path, "dir") == EXDEV);
  }
  for (const std::string path : {"../outside/file", "up/file", "absolute/file", "dir/up/file"}) {
    CAPTURE(path);
    CHECK(place.root->removeFile(path) == EXDEV);
    CHECK(place.root->removeDirectory(path) == EXDEV);
    CHECK(place.root->removeTree(path, 100, done) == EXDEV);
  }
  CHECK(fs::exists(place.base / "outside/file"));
}

TEST_CASE("dot and dot-dot as last component change nothing") {
  Place place;
  fs::create_directories(place.base / "root/dir/sub");
  size_t first = 0;
  bool done = false;
  for (const std::string path : {".", "dir/..", "dir/.", "./", "dir/../", ".."}) {
    CAPTURE(path);
    CHECK(place.root->removeFile(path) == EISDIR);
    CHECK(place.root->removeDirectory(path) != 0);
    CHECK(place.root->removeTree(path, 100, done) == EINVAL);
    CHECK(place.root->makeDirectory(path, 0777, false, first) == EEXIST);
    CHECK(place.root->rename(path, "other") == EBUSY);
    CHECK(place.root->rename("dir", path) == EBUSY);
  }
  CHECK(fs::exists(place.base / "root/dir/sub"));
}

TEST_CASE(
    "a symbolic link that stays beneath the root is followed, and is itself what rename and remove touch") {
  Place place;
  fs::create_directories(place.base / "root/real");
  Place::put(place.base / "root/real/file", "inside");
  place.symlink("real", "link");
  place.symlink("nowhere", "dangling");
  place.symlink("self", "self");
  CHECK(open(place, "link/file") == 0);
  CHECK(open(place, "link", OpenFlag::FOR_READ | OpenFlag::NO_FOLLOW) == ELOOP);
  CHECK(open(place, "dangling") == ENOENT);
  CHECK(open(place, "self") == ELOOP);
  FileStat stat;
  CHECK(place.root->stat("dangling", true, stat) == 0);
  CHECK(S_ISLNK(stat.mode));
  bool done = false;
  CHECK(place.root->removeTree("link", 100, done) == 0);
  CHECK(done);
  CHECK(place.root->rename("dangling", "moved") == 0);
  CHECK(place.root->removeFile("moved") == 0);
  CHECK(fs::exists(place.base / "root/real/file"));
}

TEST_CASE("FIFOs, devices and sockets are not opened, and don't hold the thread") {
  Place place;
  REQUIRE(::mkfifo((place.base / "root/fifo").c_str(), 0600) == 0);
  CHECK(open(place, "fifo") == ENXIO);
  CHECK(open(place, "fifo", OpenFlag::FOR_WRITE) == ENXIO);
  CHECK(open(place, "fifo", OpenFlag::FOR_READ | OpenFlag::FOR_WRITE) == ENXIO);
  if (::mknod((place.base / "root/zero").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0) {
    CHECK(open(place, "zero") == ENXIO);
  }
  FileStat stat;
  CHECK(place.root->stat("fifo", false, stat) == 0);
  CHECK(S_ISFIFO(stat.mode));
}

TEST_CASE("paths that are empty, too long or hold a zero byte are refused") {
  Place place;
  FileStat stat;
  CHECK(open(place, "") == ENOENT);
  CHECK(open(place, std::string("a\0b", 3)) == EINVAL);
  CHECK(place.root->removeFile(std::string("a\0", 2)) == EINVAL);
  CHECK(open(place, std::string(256, 'a')) == ENAMETOOLONG);
  CHECK(open(place, std::string(5000, '/')) == ENAMETOOLONG);
  std::string deep;
  while (deep.size() < 4096) deep += "d/";
  size_t first = 0;
  CHECK(place.root->makeDirectory(deep, 0777, true, first) == ENAMETOOLONG);
}

TEST_CASE("flags that make no sense are refused, and set-user-ID bits are dropped") {
  Place place;
  CHECK(open(place, "a", 0) == EINVAL);
  CHECK(open(place, "a", OpenFlag::CREATE) == EINVAL);
  CHECK(open(place, ".", OpenFlag::DIRECTORY | OpenFlag::FOR_WRITE) == EINVAL);
  CHECK(open(place, "a", OpenFlag::FOR_READ | 1u << 20) == EINVAL);
  CHECK(open(place, "a", OpenFlag::FOR_READ | OpenFlag::CUT) == EINVAL);
  std::shared_ptr<File> file;
  FileStat stat;
  REQUIRE(place.root->openFile("suid", readWriteNew, 07777, file, stat) == 0);
  CHECK((stat.mode & 07000) == 0);
  size_t first = 0;
  REQUIRE(place.root->makeDirectory("dir", 07777, false, first) == 0);
  REQUIRE(place.root->stat("dir", false, stat) == 0);
  CHECK((stat.mode & 07000) == 0);
}

TEST_CASE("recursive makeDirectory tells the first directory that it made") {
  Place place;
  size_t first = 0;
  CHECK(place.root->makeDirectory("a/b/c", 0777, true, first) == 0);
  CHECK(first == 1);
  CHECK(place.root->makeDirectory("a//b/d/./e/", 0777, true, first) == 0);
  CHECK(std::string("a//b/d/./e/").substr(0, first) == "a//b/d");
  CHECK(place.root->makeDirectory("a/b", 0777, true, first) == 0);
  CHECK(first == 0);
  Place::put(place.base / "root/file", "");
  CHECK(place.root->makeDirectory("file", 0777, true, first) == EEXIST);
  CHECK(place.root->makeDirectory("file/x", 0777, true, first) == ENOTDIR);
  CHECK(place.root->makeDirectory("a/b", 0777, false, first) == EEXIST);
}

TEST_CASE("a directory's entries come in windows, each once") {
  Place place;
  std::vector<std::string> expected;
  for (int index = 0; index < 500; ++index) {
    expected.push_back("file-" + std::to_string(index) + std::string(index % 100, 'x'));
    Place::put(place.base / "root" / expected.back(), "");
  }
  std::sort(expected.begin(), expected.end());
  size_t windows = 0;
  CHECK(names(*opened(place, ".", OpenFlag::FOR_READ | OpenFlag::DIRECTORY), 1024, windows) == expected);
  CHECK(windows > 20);
  CHECK(names(*opened(place, ".", OpenFlag::FOR_READ), 1 << 20, windows) == expected);
  CHECK(windows == 1);
}

TEST_CASE("removeTree stops at its budget and never goes through a symbolic link") {
  Place place;
  for (const char* folder : {"root/tree/a/b", "root/tree/c"}) fs::create_directories(place.base / folder);
  for (int index = 0; index < 20; ++index) {
    Place::put(place.base / "root/tree/a/b" / std::to_string(index), "x");
  }
  place.symlink("../../outside", "tree/link");
  size_t calls = 0;
  for (bool done = false; !done; ++calls) REQUIRE(place.root->removeTree("tree", 5, done) == 0);
  CHECK(calls >= 5);
  CHECK_FALSE(fs::exists(place.base / "root/tree"));
  CHECK(fs::exists(place.base / "outside/file"));
  bool done = false;
  CHECK(place.root->removeTree("tree", 5, done) == ENOENT);
}

TEST_CASE("removeTree refuses a tree deeper than it has descriptors for") {
  Place place;
  std::string path = "top";
  for (int depth = 0; depth < 300; ++depth) path += "/d";
  size_t first = 0;
  REQUIRE(place.root->makeDirectory(path, 0777, true, first) == 0);
  bool done = true;
  CHECK(place.root->removeTree("top", 1000, done) == ENAMETOOLONG);
  CHECK_FALSE(done);
}

TEST_CASE("a directory swapped for a symbolic link while files are opened never shows what is outside") {
  Place place;
  fs::create_directories(place.base / "root/real");
  Place::put(place.base / "root/real/file", "inside");
  place.symlink("../outside", "evil");
  const std::string real = (place.base / "root/real").string(), evil = (place.base / "root/evil").string();
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop) ::renameat2(AT_FDCWD, real.c_str(), AT_FDCWD, evil.c_str(), RENAME_EXCHANGE);
  });
  int inside = 0, refused = 0;
  for (int attempt = 0; attempt < 200'000 && (attempt < 5'000 || inside == 0 || refused == 0); ++attempt) {
    std::shared_ptr<File> file;
    const Errno failure =
        open(place, attempt % 2 ? "real/file" : "real/../real/file", OpenFlag::FOR_READ, file);
    if (failure) {
      CHECK((failure == EXDEV || failure == EAGAIN));
      ++refused;
    } else {
      CHECK(read(*file, {{0, 100}}) == std::vector<std::string>{"inside"});
      ++inside;
    }
    size_t first = 0;
    place.root->makeDirectory("real/made", 0777, false, first);
    place.root->removeDirectory("real/made");
    place.root->removeFile("real/none");
  }
  stop = true;
  swapper.join();
  CHECK(inside > 0);
  CHECK(refused > 0);
  CHECK(std::distance(fs::directory_iterator(place.base / "outside"), fs::directory_iterator()) == 1);
}
