#include "store/files/synced_file.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <optional>

#include "wire/bytes.hpp"
#include "wire/crc32c.hpp"

namespace vamos::store {
namespace {

// Two copies, written in turn: one that a crash tore leaves the other.
constexpr size_t slots = 2;
constexpr size_t slotBytes = 16 << 10;
constexpr uint32_t magic = 0x4E595356;  // "VSYN"
constexpr size_t headBytes = 24;        // magic, checksum of what follows, generation, count
constexpr size_t checkedFrom = 8;
constexpr size_t entryBytes = 16;
constexpr size_t maxEntries = (slotBytes - headBytes) / entryBytes;
constexpr uint64_t manifestBit = 1ULL << 63;

using Ends = SyncedFile::Ends;

std::string encode(const Ends& ends, uint64_t generation) {
  // Prepared transactions may keep any number of logs. Those that were synced last count.
  const size_t count = std::min(ends.size(), maxEntries);
  std::string checked;
  checked.reserve(headBytes + count * entryBytes);
  appendU64(checked, generation);
  appendU64(checked, count);
  auto entry = std::next(ends.begin(), static_cast<std::ptrdiff_t>(ends.size() - count));
  for (; entry != ends.end(); ++entry) {
    appendU64(checked, entry->first.number | (entry->first.isManifest ? manifestBit : 0));
    appendU64(checked, entry->second);
  }
  std::string slot;
  slot.reserve(checked.size() + checkedFrom);
  appendU32(slot, magic);
  appendU32(slot, crc32c(checked.data(), checked.size()));
  return slot.append(checked);
}

std::optional<uint64_t> decode(std::string_view slot, Ends& ends) {
  Reader reader(slot);
  const bool isOurs = reader.u32() == magic;
  const uint32_t crc = reader.u32();
  const uint64_t generation = reader.u64();
  const uint64_t count = reader.u64();
  if (reader.failed() || !isOurs || count > maxEntries || headBytes + count * entryBytes > slot.size()) {
    return std::nullopt;
  }
  const std::string_view checked = slot.substr(checkedFrom, headBytes - checkedFrom + count * entryBytes);
  if (crc32c(checked.data(), checked.size()) != crc) return std::nullopt;
  ends.clear();
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t number = reader.u64();
    ends[{number & ~manifestBit, (number & manifestBit) != 0}] = reader.u64();
  }
  return generation;
}

}  // namespace

bool LogName::parse(const std::string& fileName, LogName& name) {
  const std::string file = fileName.substr(fileName.rfind('/') + 1);
  constexpr std::string_view manifest = "MANIFEST-";
  constexpr std::string_view log = ".log";
  std::string digits;
  name.isManifest = file.starts_with(manifest);
  if (name.isManifest) {
    digits = file.substr(manifest.size());
  } else if (file.ends_with(log)) {
    digits = file.substr(0, file.size() - log.size());
  }
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  name.number = std::stoull(digits);
  return true;
}

std::string LogName::fileName() const {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), isManifest ? "MANIFEST-%06" PRIu64 : "%06" PRIu64 ".log", number);
  return text.data();
}

SyncedFile::SyncedFile(rocksdb::FileSystem& fileSystem, const std::string& folder)
    : fileSystem_(fileSystem), path_(folder + "/SYNCED"), folder_(folder) {}

bool SyncedFile::read(Ends& ends) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  if (!fileSystem_.NewRandomAccessFile(path_, {}, &file, nullptr).ok()) return false;
  std::optional<uint64_t> newest;
  for (size_t slot = 0; slot < slots; slot++) {
    std::string bytes(slotBytes, '\0');
    rocksdb::Slice read;
    if (!file->Read(slot * slotBytes, slotBytes, {}, &read, bytes.data(), nullptr).ok()) continue;
    Ends found;
    const std::optional<uint64_t> generation = decode({read.data(), read.size()}, found);
    if (!generation || (newest && *generation < *newest)) continue;
    newest = generation;
    ends = std::move(found);
  }
  if (newest) generation_ = *newest;
  isThere_ = newest.has_value();
  return isThere_;
}

rocksdb::IOStatus SyncedFile::start(const Ends& ends) {
  const std::lock_guard guard(mutex_);
  ends_ = ends;
  rocksdb::IOStatus status = isThere_ ? rocksdb::IOStatus::OK() : make();
  // The names of the logs, too: one whose name was lost with the power would be missed.
  std::unique_ptr<rocksdb::FSDirectory> directory;
  if (status.ok()) status = fileSystem_.NewDirectory(folder_, {}, &directory, nullptr);
  if (status.ok()) status = directory->Fsync({}, nullptr);
  if (status.ok()) status = fileSystem_.NewRandomRWFile(path_, {}, &file_, nullptr);
  for (size_t slot = 0; slot < slots && status.ok(); slot++) status = write();
  if (status.ok()) status = file_->Sync({}, nullptr);
  return status;
}

// With all of its room, so that a disk that is full later is none of its troubles.
rocksdb::IOStatus SyncedFile::make() {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  rocksdb::IOStatus status = fileSystem_.NewWritableFile(path_, {}, &file, nullptr);
  if (status.ok()) status = file->Append(std::string(slots * slotBytes, '\0'), {}, nullptr);
  if (status.ok()) status = file->Sync({}, nullptr);
  if (status.ok()) status = file->Close({}, nullptr);
  return status;
}

rocksdb::IOStatus SyncedFile::write() {
  const std::string bytes = encode(ends_, ++generation_);
  return file_->Write(generation_ % slots * slotBytes, bytes, {}, nullptr);
}

void SyncedFile::setEnd(const LogName& name, uint64_t bytes) {
  const std::lock_guard guard(mutex_);
  uint64_t& end = ends_[name];
  if (!file_ || bytes <= end) return;
  end = bytes;
  write().PermitUncheckedError();
}

// Both copies: the older one would miss the log, too.
rocksdb::IOStatus SyncedFile::forget(const LogName& name) {
  const std::lock_guard guard(mutex_);
  if (!file_ || ends_.erase(name) == 0) return rocksdb::IOStatus::OK();
  rocksdb::IOStatus status;
  for (size_t slot = 0; slot < slots && status.ok(); slot++) status = write();
  if (status.ok()) status = file_->Sync({}, nullptr);
  return status;
}

rocksdb::IOStatus SyncedFile::sync() {
  const std::lock_guard guard(mutex_);
  return file_ ? file_->Sync({}, nullptr) : rocksdb::IOStatus::OK();
}

}  // namespace vamos::store
