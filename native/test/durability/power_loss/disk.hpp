#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "test/durability/recorded_files.hpp"

// What a disk may hold after a power loss: what was synced, and any part of the rest.
namespace vamos::test {

using Random = std::mt19937_64;
inline size_t below(Random& random, size_t limit) { return static_cast<size_t>(random() % limit); }
inline bool happens(Random& random, double probability) {
  return std::bernoulli_distribution(probability)(random);
}

using Content = std::shared_ptr<const std::string>;
// Files by their path below a root.
using Tree = std::map<std::string, Content>;

// What a power loss leaves of that which was not synced.
enum class Kept {
  NOTHING,
  EVERYTHING,
  IN_ORDER,   // all up to some place, the last write in part
  ANY_ORDER,  // any part, as POSIX allows
};

// Follows a recording, operation by operation. It promises what POSIX does: the bytes of a file are safe once
// that file was synced, its name once its folder was synced; anything else reaches the disk in any order, or
// not at all, even bytes that were written one after another, with zeros where they are missing. In two ways
// it is not as bad as POSIX: the name of a new file that was synced is not lost while later names are kept,
// and the bytes of other files don't appear in a file.
class SimulatedDisk {
 public:
  // The tree is on the disk as it is, and so is the folder `root`.
  SimulatedDisk(std::string root, const Tree& tree) : root_(std::move(root)) {
    for (const auto& [name, content] : tree) {
      const std::string path = root_ + "/" + name;
      for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
        addSafe(root_ + "/" + name.substr(0, slash), File{.isDirectory = true});
      }
      addSafe(path, File{.synced = *content});
    }
  }

  // As it is when the process was killed, or ended, and another recording begins: the system goes on, so what
  // was not synced can be read, and may still be lost. `operations`: those that were applied so far.
  SimulatedDisk afterKill(std::shared_ptr<const void> operations, size_t count) const {
    SimulatedDisk disk = *this;
    disk.kept_.push_back(std::move(operations));
    for (auto& [number, file] : disk.files_) {
      for (Write& write : file.pending) write.index -= static_cast<int64_t>(count);
    }
    for (NameChange& change : disk.pendingNames_) change.index -= static_cast<int64_t>(count);
    return disk;
  }

  // The recording's operations come in order, and outlive the disk.
  void apply(const FileOperation& operation, size_t place) {
    const auto index = static_cast<int64_t>(place);
    const auto covered = static_cast<int64_t>(operation.covered);
    const uint64_t file = fileOf(operation);
    switch (operation.action) {
      case FileAction::CREATE:
      case FileAction::MAKE_DIRECTORY:
        files_[file].isDirectory = operation.action == FileAction::MAKE_DIRECTORY;
        break;
      case FileAction::WRITE:
      case FileAction::TRUNCATE:
        if (file != 0) files_[file].pending.push_back({index, &operation});
        return;
      case FileAction::SYNC:
        if (file != 0) files_[file].sync(covered);
        return;
      case FileAction::SYNC_DIRECTORY:
        syncNames(operation.path, covered);
        return;
      case FileAction::RANGE_SYNC:
      case FileAction::MARK:
        return;
      default:
        break;
    }
    if (file == 0) return;
    const NameChange change{index, operation.action, operation.path, operation.newPath, file};
    change.apply(names_);
    pendingNames_.push_back(change);
  }

  Tree afterPowerLoss(Kept kept, Random& random) const {
    const int64_t end = keptInOrder(kept, random);
    const std::map<std::string, uint64_t> names = keptNames(kept, end, random);
    std::map<uint64_t, Content> contents;
    Tree tree;
    for (const auto& [path, number] : names) {
      const File& file = files_.at(number);
      if (file.isDirectory || !isReachable(names, path)) continue;
      Content& content = contents[number];
      if (!content) {
        content = std::make_shared<const std::string>(kept == Kept::ANY_ORDER ? anyOf(file, random)
                                                                              : file.upTo(end, random));
      }
      tree[path.substr(root_.size() + 1)] = content;
    }
    return tree;
  }

 private:
  struct Write {
    int64_t index;  // in the recording; negative: in an earlier one
    const FileOperation* operation;
  };

  struct File {
    bool isDirectory = false;
    std::string synced{};
    std::vector<Write> pending{};
    bool wasSynced = false;

    static void apply(const FileOperation& operation, std::string& bytes) {
      if (operation.action == FileAction::TRUNCATE) {
        bytes.resize(operation.offset);
        return;
      }
      bytes.resize(std::max(bytes.size(), operation.offset + operation.bytes.size()));
      bytes.replace(operation.offset, operation.bytes.size(), operation.bytes);
    }
    std::string after(size_t writes) const {
      std::string bytes = synced;
      for (size_t i = 0; i < writes; i++) apply(*pending[i].operation, bytes);
      return bytes;
    }
    // What was written before an operation, and a part of what that one writes.
    std::string upTo(int64_t end, Random& random) const {
      std::string bytes = synced;
      for (const Write& write : pending) {
        if (write.index > end) break;
        FileOperation part = *write.operation;
        if (write.index == end) part.bytes.resize(below(random, part.bytes.size() + 1));
        if (write.index < end || part.action == FileAction::WRITE) apply(part, bytes);
      }
      return bytes;
    }
    void sync(int64_t covered) {
      wasSynced = true;
      size_t done = 0;
      for (; done < pending.size() && pending[done].index < covered; done++) {
        apply(*pending[done].operation, synced);
      }
      pending.erase(pending.begin(), pending.begin() + static_cast<ptrdiff_t>(done));
    }
  };

  struct NameChange {
    int64_t index;
    FileAction action;
    std::string path;
    std::string newPath;
    uint64_t file;

    void apply(std::map<std::string, uint64_t>& names) const {
      const bool adds = action == FileAction::CREATE || action == FileAction::MAKE_DIRECTORY;
      const bool removes = action != FileAction::LINK && !adds;
      const auto found = names.find(path);
      if (removes && found != names.end() && found->second == file) names.erase(found);
      if (adds) names[path] = file;
      if (action == FileAction::RENAME || action == FileAction::LINK) names[newPath] = file;
    }
    std::string directory() const {
      const std::string& name = newPath.empty() ? path : newPath;
      return name.substr(0, name.rfind('/'));
    }
  };

  void addSafe(const std::string& path, File file) {
    if (names_.contains(path)) return;
    files_[--lastSafeFile_] = std::move(file);
    names_[path] = safeNames_[path] = lastSafeFile_;
  }
  // 0: a file that no data depend on, which was made without the recorder (RocksDB's messages).
  uint64_t fileOf(const FileOperation& operation) const {
    if (operation.file != 0) return operation.file;
    const auto found = names_.find(operation.path);
    return found == names_.end() ? 0 : found->second;
  }
  void syncNames(const std::string& directory, int64_t covered) {
    std::erase_if(pendingNames_, [&](const NameChange& change) {
      if (change.index >= covered || change.directory() != directory) return false;
      change.apply(safeNames_);
      return true;
    });
  }
  bool isReachable(const std::map<std::string, uint64_t>& names, const std::string& path) const {
    const std::string parent = path.substr(0, path.rfind('/'));
    return parent == root_ || (names.contains(parent) && isReachable(names, parent));
  }

  // Operations before this one are kept whole; of none: nothing that is pending.
  int64_t keptInOrder(Kept kept, Random& random) const {
    if (kept == Kept::NOTHING) return INT64_MIN;
    if (kept == Kept::EVERYTHING) return INT64_MAX;
    std::vector<int64_t> pending;
    for (const auto& [number, file] : files_) {
      for (const Write& write : file.pending) pending.push_back(write.index);
    }
    for (const NameChange& change : pendingNames_) pending.push_back(change.index);
    return pending.empty() ? INT64_MIN : pending[below(random, pending.size())];
  }

  std::map<std::string, uint64_t> keptNames(Kept kept, int64_t end, Random& random) const {
    std::map<std::string, uint64_t> names = safeNames_;
    for (const NameChange& change : pendingNames_) {
      const bool isSafer = change.action == FileAction::CREATE && files_.at(change.file).wasSynced;
      const bool isKept = kept == Kept::ANY_ORDER ? isSafer || happens(random, 0.5) : change.index < end;
      if (isKept) change.apply(names);
    }
    return names;
  }

  static std::string anyOf(const File& file, Random& random) {
    if (file.pending.empty()) return file.synced;
    std::string bytes = file.after(below(random, file.pending.size()) + 1);
    if (bytes.size() < file.synced.size()) return happens(random, 0.5) ? bytes : file.synced;
    std::string old = file.synced;
    old.resize(bytes.size());
    const size_t unit = std::array{1, 512, 4096}[below(random, 3)];
    // Where the two begin to differ, in units.
    const size_t first =
        static_cast<size_t>(std::mismatch(old.begin(), old.end(), bytes.begin()).first - old.begin()) / unit;
    const size_t end = (bytes.size() + unit - 1) / unit;
    const size_t cut = first + below(random, end - first + 1);
    switch (below(random, 5)) {
      case 0:
        return file.synced;
      case 1:
        return bytes;
      case 2:  // the file ends there
        bytes.resize(std::min(bytes.size(), std::max(cut * unit, file.synced.size())));
        return bytes;
      case 3:  // as long as it was to be, with zeros from there on
        return replace(bytes, old, unit, [&](size_t i) { return i >= cut; });
      default:  // later units without earlier ones
        return replace(bytes, old, std::max<size_t>(unit, 512), [&](size_t) { return happens(random, 0.3); });
    }
  }
  template <typename IsOld>
  static std::string replace(std::string bytes, const std::string& old, size_t unit, IsOld isOld) {
    for (size_t i = 0; i * unit < bytes.size(); i++) {
      if (isOld(i)) bytes.replace(i * unit, unit, old, i * unit, unit);
    }
    return bytes;
  }

  std::string root_;
  std::vector<std::shared_ptr<const void>> kept_;  // operations of earlier recordings
  std::map<uint64_t, File> files_;
  std::map<std::string, uint64_t> names_;
  std::map<std::string, uint64_t> safeNames_;
  std::vector<NameChange> pendingNames_;
  // Numbers of files that were there before the recording: from the top down.
  uint64_t lastSafeFile_ = UINT64_MAX;
};

}  // namespace vamos::test
