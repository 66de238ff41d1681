#include "store/upkeep/checkpoint.hpp"

#include <rocksdb/file_checksum.h>
#include <rocksdb/version.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

namespace vamos::store {

using namespace engine;
namespace {

// The number of a file such as 000012.log; nothing for other names.
std::optional<uint64_t> logNumber(const std::string& name) {
  constexpr std::string_view suffix = ".log";
  if (!name.ends_with(suffix)) return std::nullopt;
  uint64_t number = 0;
  const char* end = name.data() + name.size() - suffix.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

rocksdb::Status enableFileDeletions(rocksdb::DB& base) {
#if ROCKSDB_MAJOR >= 9
  return base.EnableFileDeletions();
#else
  return base.EnableFileDeletions(false);
#endif
}

struct HeldFile {
  std::string name;
  uint64_t bytes = 0;
  std::string crc32c;  // eight hexadecimal digits; empty where it is not recorded
};

// Nothing writes to the logs while it is called, so each ends with a whole record.
rocksdb::Status listLogs(const std::string& path, uint64_t firstNumber, std::vector<HeldFile>& files) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    const std::optional<uint64_t> number = logNumber(name);
    if (!number || *number < firstNumber) continue;
    const uint64_t bytes = entry.file_size(error);
    if (error) break;
    files.push_back({name, bytes, {}});
  }
  return error ? rocksdb::Status::IOError(path, error.message()) : rocksdb::Status();
}

std::string toHex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

std::string recordedChecksum(rocksdb::FileChecksumList& checksums, uint64_t number) {
  std::string checksum;
  std::string function;
  const rocksdb::Status status = checksums.SearchOneFileChecksum(number, &checksum, &function);
  if (!status.ok() || function != "FileChecksumCrc32c" || checksum.size() != 4) return {};
  return toHex(checksum);
}

// Names are RocksDB's own: nothing in them needs an escape.
std::string toJson(const std::vector<HeldFile>& files, const std::string& identity, uint64_t sequence) {
  std::string json = R"({"identity":")" + identity + R"(","sequence":)" + std::to_string(sequence) +
                     R"(,"rocksdb":")" + std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) +
                     "." + std::to_string(ROCKSDB_PATCH) + R"(","files":[)";
  for (const HeldFile& file : files) {
    if (json.back() != '[') json += ',';
    json += R"({"name":")" + file.name + R"(","bytes":)" + std::to_string(file.bytes);
    if (!file.crc32c.empty()) json += R"(,"crc32c":")" + file.crc32c + '"';
    json += '}';
  }
  return json + "]}";
}

}  // namespace

Progress HoldFilesOperation::run(const Budget& budget) {
  if (budget.cachedOnly) return Progress::AGAIN;
  // The memtable is not flushed: small table files would be merged with large ones soon, of which every copy
  // would have its own. The log has it, and the next copy shares what the log has now.
  if (const rocksdb::Status status = database_.base().DisableFileDeletions(); !status.ok()) {
    return done(database_.failure(status));
  }
  std::string list;
  if (const rocksdb::Status status = hold(list); !status.ok()) {
    enableFileDeletions(database_.base()).PermitUncheckedError();
    return done(database_.failure(status));
  }
  holds_++;
  outcome.result = std::move(list);
  return done(std::move(outcome));
}

rocksdb::Status HoldFilesOperation::hold(std::string& list) {
  rocksdb::DB& base = database_.base();
  std::vector<HeldFile> files;
  // Each step takes what the next one may add to: the logs from before the tables on, the tables and the
  // manifest together, then all that the logs have by now. So nothing lies between tables and logs.
  uint64_t firstLog = 0;
  if (!base.GetIntProperty(rocksdb::DB::Properties::kMinLogNumberToKeep, &firstLog)) {
    return rocksdb::Status::NotSupported("the first log to keep is not known");
  }
  std::vector<std::string> names;
  uint64_t manifestBytes = 0;
  rocksdb::Status status = base.GetLiveFiles(names, &manifestBytes, false);
  if (!status.ok()) return status;
  status = database_.watch(base.LockWAL());
  if (!status.ok()) {
#if ROCKSDB_MAJOR < 8
    // Also where it fails, it has locked.
    base.UnlockWAL().PermitUncheckedError();
#endif
    return status;
  }
  status = listLogs(database_.path(), firstLog, files);
  const uint64_t sequence = base.GetLatestSequenceNumber();
  const rocksdb::Status unlocked = base.UnlockWAL();
  if (status.ok()) status = unlocked;
  const std::unique_ptr<rocksdb::FileChecksumList> checksums(rocksdb::NewFileChecksumList());
  if (status.ok()) status = base.GetLiveFilesChecksumInfo(checksums.get());
  std::string identity;
  if (status.ok()) status = base.GetDbIdentity(identity);
  for (std::string& name : names) {
    if (!status.ok()) return status;
    name.erase(0, name.find_first_not_of('/'));
    // CURRENT may name a newer manifest by now; who copies writes it anew.
    if (name == "CURRENT") continue;
    if (name.starts_with("MANIFEST-")) {
      files.push_back({name, manifestBytes, {}});
      continue;
    }
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(database_.path() + "/" + name, error);
    if (error) return rocksdb::Status::IOError(database_.path() + "/" + name, error.message());
    uint64_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    files.push_back({name, bytes, name.ends_with(".sst") ? recordedChecksum(*checksums, number) : ""});
  }
  if (status.ok()) list = toJson(files, identity, sequence);
  return status;
}

Progress ReleaseFilesOperation::run(const Budget& budget) {
  // It may remove files.
  if (budget.cachedOnly) return Progress::AGAIN;
  if (holds_.load() == 0) return done(Outcome::failure(ErrorCode::BAD_REQUEST, "no files are held"));
  const rocksdb::Status status = enableFileDeletions(database_.base());
  holds_--;
  return done(status.ok() ? Outcome{} : database_.failure(status));
}

}  // namespace vamos::store
