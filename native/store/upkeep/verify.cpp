#include "store/upkeep/verify.hpp"

#include <fcntl.h>
#include <rocksdb/sst_file_reader.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>

#include "wire/crc32c.hpp"
#include "wire/descriptor.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr uint64_t maxFindings = 200;
constexpr size_t pieceBytes = 1 << 20;
constexpr size_t readAheadBytes = 256 << 10;
constexpr size_t shownKeyBytes = 48;
// What reading one entry costs beside its bytes: so that a step over empty values ends, too.
constexpr uint64_t entryBytes = 16;

// A key as findings show it.
std::string shown(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes.substr(0, shownKeyBytes)) {
    const auto value = static_cast<uint8_t>(byte);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  if (bytes.size() > shownKeyBytes) text += "…";
  return text;
}

rocksdb::ReadOptions readOptions(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.verify_checksums = true;
  // The cache is for the guest.
  options.fill_cache = false;
  options.readahead_size = readAheadBytes;
  return options;
}

uint64_t hashOf(std::string_view key, std::string_view primaryKey) {
  std::string bytes;
  bytes.reserve(key.size() + primaryKey.size() + 4);
  appendU32(bytes, static_cast<uint32_t>(key.size()));
  bytes.append(key);
  bytes.append(primaryKey);
  return std::hash<std::string_view>{}(bytes);
}

std::string fileNumberText(const rocksdb::LiveFileMetaData& file) { return file.name.substr(1); }

}  // namespace

Verification::Verification(rocksdb::DB& base, std::vector<std::shared_ptr<const Table>> tables,
                           std::set<uint32_t> spaces, bool isLive)
    : base_(base), tables_(std::move(tables)), removedSpaces_(std::move(spaces)), isLive_(isLive) {
  base_.GetLiveFilesMetaData(&files_);
}

Verification::~Verification() { base_.ReleaseSnapshot(snapshot_); }

const char* Verification::phase() const {
  switch (phase_) {
    case Phase::FILES:
      return "files";
    case Phase::ROWS:
    case Phase::ENTRIES:
    case Phase::LOCATE:
      return "tables";
    case Phase::SPACES:
    case Phase::RECORDS:
      return "records";
    case Phase::BLOBS:
      return "blobs";
    case Phase::DONE:
      return "done";
  }
  return "";
}

uint32_t Verification::table() const {
  const bool isInTable = phase_ == Phase::ROWS || phase_ == Phase::ENTRIES || phase_ == Phase::LOCATE;
  return isInTable && tableNumber_ < tables_.size() ? tables_[tableNumber_]->number : 0;
}

std::vector<Finding> Verification::takeFindings() {
  std::vector<Finding> taken(findings_.begin(), findings_.end());
  findings_.clear();
  return taken;
}

void Verification::find(std::string kind, std::string text, uint32_t index) {
  if (findingCount_++ < maxFindings) findings_.push_back({table(), index, std::move(kind), std::move(text)});
}

void Verification::next(Phase phase) {
  phase_ = phase;
  position_.clear();
}

bool Verification::step(uint64_t maxBytes, Clock::time_point end) {
  stepEndBytes_ = bytes_ + std::max<uint64_t>(maxBytes, 1);
  stepEnd_ = end;
  while (phase_ != Phase::DONE && !isSpent()) {
    switch (phase_) {
      case Phase::FILES:
        if (stepFiles()) nextTable();
        break;
      case Phase::ROWS:
        if (stepRows()) {
          indexNumber_ = 1;
          next(Phase::ENTRIES);
        }
        break;
      case Phase::ENTRIES:
        if (stepEntries()) next(Phase::LOCATE);
        break;
      case Phase::LOCATE:
        if (stepLocate()) {
          tableNumber_++;
          nextTable();
        }
        break;
      case Phase::SPACES:
        if (stepSpaces()) next(Phase::RECORDS);
        break;
      case Phase::RECORDS:
        if (stepRecords()) next(Phase::BLOBS);
        break;
      case Phase::BLOBS:
        if (stepBlobs()) next(Phase::DONE);
        break;
      case Phase::DONE:
        break;
    }
  }
  return phase_ == Phase::DONE;
}

bool Verification::scan(const KeyRange& range,
                        const std::function<bool(std::string_view, std::string_view)>& take) {
  const rocksdb::Slice high(range.high);
  rocksdb::ReadOptions options = readOptions(snapshot_);
  options.iterate_upper_bound = &high;
  const std::unique_ptr<rocksdb::Iterator> iterator(base_.NewIterator(options));
  iterator->Seek(position_.empty() ? range.low : position_);
  for (; iterator->Valid(); iterator->Next()) {
    if (isSpent()) {
      position_ = iterator->key().ToString();
      return false;
    }
    bytes_ += iterator->key().size() + iterator->value().size() + entryBytes;
    if (!take(toView(iterator->key()), toView(iterator->value()))) break;
  }
  if (!iterator->status().ok()) find("unreadable", iterator->status().ToString(), indexNumber_);
  return true;
}

// --- Files

bool Verification::stepFiles() {
  for (; fileNumber_ < files_.size(); fileNumber_++) {
    if (!readFile(files_[fileNumber_])) return false;
  }
  return true;
}

// True: it is read to its end.
bool Verification::readFile(const rocksdb::LiveFileMetaData& file) {
  const std::string path = file.db_path + file.name;
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.isOpen()) {
    // A store that goes on removes what it has merged into other files.
    if (errno != ENOENT || !isLive_) find("file", fileNumberText(file) + ": " + std::strerror(errno));
    return true;
  }
  // What the system has of it in memory says nothing of the disk. A guest's own reads profit from it, so it
  // stays there then.
  if (!isLive_ && fileOffset_ == 0) ::posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_DONTNEED);
  std::vector<char> piece(pieceBytes);
  while (true) {
    if (isSpent()) return false;
    const ssize_t count =
        ::pread(descriptor.get(), piece.data(), piece.size(), static_cast<off_t>(fileOffset_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) find("file", fileNumberText(file) + ": " + std::strerror(errno));
    if (count <= 0) break;
    fileCrc_ = crc32c(piece.data(), static_cast<size_t>(count), fileCrc_);
    fileOffset_ += static_cast<uint64_t>(count);
    bytes_ += static_cast<uint64_t>(count);
  }
  totals_.files++;
  totals_.fileBytes += fileOffset_;
  if (fileOffset_ != file.size) {
    find("file", fileNumberText(file) + " has " + std::to_string(fileOffset_) + " bytes, not the " +
                     std::to_string(file.size) + " that the store wrote");
  } else if (file.file_checksum_func_name == "FileChecksumCrc32c") {
    totals_.filesWithChecksum++;
    std::string crc;
    appendBigEndian32(crc, fileCrc_);
    if (crc != file.file_checksum) find("file", fileNumberText(file) + ": its checksum does not match");
  } else {
    rocksdb::Options options;
    options.env = base_.GetEnv();
    rocksdb::SstFileReader reader(options);
    rocksdb::Status status = reader.Open(path);
    if (status.ok()) status = reader.VerifyChecksum();
    if (!status.ok()) find("file", fileNumberText(file) + ": " + status.ToString());
  }
  fileOffset_ = 0;
  fileCrc_ = 0;
  return true;
}

// --- Tables

void Verification::nextTable() {
  base_.ReleaseSnapshot(snapshot_);
  snapshot_ = base_.GetSnapshot();
  indexNumber_ = 0;
  if (tableNumber_ == tables_.size()) {
    next(Phase::SPACES);
    return;
  }
  next(Phase::ROWS);
  rowSums_.assign(tables_[tableNumber_]->indexes.size(), {});
  entrySums_.assign(tables_[tableNumber_]->indexes.size(), {});
  unequal_.clear();
}

// How many of an index's parts can be made from a row, from the first on.
size_t Verification::clearParts(uint32_t index) const {
  const std::vector<KeyPart>& parts = tables_[tableNumber_]->indexes[index].parts;
  const auto opaque =
      std::find_if(parts.begin(), parts.end(), [](const KeyPart& part) { return part.isOpaque; });
  return static_cast<size_t>(opaque - parts.begin());
}

uint64_t Verification::rowHash(uint32_t index, std::string_view row, std::string_view primaryKey) {
  const Table& table = *tables_[tableNumber_];
  const std::vector<KeyPart>& parts = table.indexes[index].parts;
  key_.clear();
  appendKey(table.row, row, std::span(parts).first(clearParts(index)), key_);
  return hashOf(key_, primaryKey);
}

// Nothing: the entry's bytes are not what an entry has.
std::optional<uint64_t> Verification::entryHash(uint32_t index, std::string_view key, std::string_view value,
                                                std::string_view& primaryKey) {
  const Table& table = *tables_[tableNumber_];
  if (!entryPrimaryKey(key, value, primaryKey)) return std::nullopt;
  const bool isInKey = (static_cast<uint8_t>(value[3]) & 0x80) != 0;
  std::string_view own = key.substr(sizeof(uint32_t));
  if (isInKey) own.remove_suffix(primaryKey.size());
  const size_t clear = clearParts(index);
  key_.assign(own);
  std::span<char> rest(key_);
  std::vector<ColumnValue> values;
  const std::vector<KeyPart>& parts = table.indexes[index].parts;
  if (!takeKeyParts(table.row, std::span(parts).first(clear), rest, values)) return std::nullopt;
  if (clear == parts.size() && !rest.empty()) return std::nullopt;
  return hashOf(own.substr(0, own.size() - rest.size()), primaryKey);
}

bool Verification::stepRows() {
  const Table& table = *tables_[tableNumber_];
  return scan(prefixRange(spaceKey(table.indexes[0].space)),
              [this](std::string_view key, std::string_view row) {
                takeRow(key, row);
                return true;
              });
}

void Verification::takeRow(std::string_view key, std::string_view row) {
  const Table& table = *tables_[tableNumber_];
  const std::string_view primaryKey = key.substr(sizeof(uint32_t));
  totals_.rows++;
  if (!table.row.isValid(row)) {
    find("row", "row " + shown(primaryKey) + ": its bytes do not decode");
    return;
  }
  key_.clear();
  const size_t clear = clearParts(0);
  appendKey(table.row, row, std::span(table.indexes[0].parts).first(clear), key_);
  const bool isWhole = clear == table.indexes[0].parts.size();
  if (isWhole ? key_ != primaryKey : !primaryKey.starts_with(key_)) {
    find("row", "row " + shown(primaryKey) + " has other values than its primary key");
  }
  for (uint32_t i = 1; i < table.indexes.size(); i++) {
    rowSums_[i].count++;
    rowSums_[i].hash += rowHash(i, row, primaryKey);
  }
  takeBlobs(primaryKey, row);
}

void Verification::takeBlobs(std::string_view primaryKey, std::string_view row) {
  const RowLayout& layout = tables_[tableNumber_]->row;
  for (uint32_t column = 0; column < layout.columnCount(); column++) {
    if (layout.kind(column) != ColumnKind::BLOB || RowLayout::isNull(row, column)) continue;
    Reader reader(layout.value(row, column));
    const uint8_t form = reader.u8();
    if (form == 0 && !reader.failed()) continue;
    const uint64_t blob = reader.u64();
    const uint64_t lengthBytes = reader.u64();
    if (form != 1 || reader.failed() || !reader.atEnd()) {
      find("row", "row " + shown(primaryKey) + ": column " + std::to_string(column) + " holds no blob");
    } else if (!checkBlob(blob, lengthBytes)) {
      find("blob", "row " + shown(primaryKey) + ": blob " + std::to_string(blob) + " of column " +
                       std::to_string(column) + " is not whole");
    }
  }
}

// Reads it whole: a blob has at most 1 GiB, and its steps are not worth the state.
bool Verification::checkBlob(uint64_t blob, uint64_t lengthBytes) {
  std::string number;
  appendBigEndian64(number, blob);
  const KeyRange range = prefixRange(spaceKey(blobSpace, number));
  const rocksdb::Slice high(range.high);
  rocksdb::ReadOptions options = readOptions(snapshot_);
  options.iterate_upper_bound = &high;
  const std::unique_ptr<rocksdb::Iterator> iterator(base_.NewIterator(options));
  uint64_t position = 0;
  bool isWhole = true;
  for (iterator->Seek(range.low); iterator->Valid() && isWhole; iterator->Next()) {
    const std::string_view key = toView(iterator->key());
    isWhole = key.size() == 20 && bigEndian64(key.substr(12)) == position;
    position += iterator->value().size();
    bytes_ += key.size() + iterator->value().size();
  }
  totals_.blobs++;
  totals_.blobBytes += position;
  rocksdb::PinnableSlice record;
  for (const RecordKind kind : {RecordKind::PENDING_BLOB, RecordKind::REMOVED_BLOB}) {
    const rocksdb::Status status =
        base_.Get(readOptions(snapshot_), base_.DefaultColumnFamily(), recordKey64(kind, blob), &record);
    if (!status.IsNotFound()) isWhole = false;
  }
  return isWhole && iterator->status().ok() && position == lengthBytes;
}

bool Verification::stepEntries() {
  const Table& table = *tables_[tableNumber_];
  for (; indexNumber_ < table.indexes.size(); indexNumber_++) {
    const uint32_t index = indexNumber_;
    const bool isDone = scan(prefixRange(spaceKey(table.indexes[index].space)),
                             [this, index](std::string_view key, std::string_view value) {
                               takeEntry(index, key, value);
                               return true;
                             });
    if (!isDone) return false;
    position_.clear();
    const Sum& rows = rowSums_[index];
    const Sum& entries = entrySums_[index];
    if (rows.count != entries.count || rows.hash != entries.hash) unequal_.push_back(index);
  }
  indexNumber_ = 0;
  locatesRows_ = false;
  return true;
}

void Verification::takeEntry(uint32_t index, std::string_view key, std::string_view value) {
  totals_.entries++;
  std::string_view primaryKey;
  const std::optional<uint64_t> hash = entryHash(index, key, value, primaryKey);
  entrySums_[index].count++;
  if (hash) {
    entrySums_[index].hash += *hash;
  } else {
    find("entry", "entry " + shown(key.substr(4)) + ": its bytes do not decode", index);
  }
}

// For each index whose sums differ: first all its entries, then all rows.
bool Verification::stepLocate() {
  const Table& table = *tables_[tableNumber_];
  while (!unequal_.empty()) {
    const uint32_t index = unequal_.front();
    if (position_.empty() && !locatesRows_) {
      find("index",
           std::to_string(rowSums_[index].count) + " rows, " + std::to_string(entrySums_[index].count) +
               " entries that do not match one to one",
           index);
    }
    const uint32_t space = table.indexes[locatesRows_ ? 0 : index].space;
    const bool isDone =
        scan(prefixRange(spaceKey(space)), [this, index](std::string_view key, std::string_view value) {
          if (locatesRows_) {
            locateRow(index, key, value);
          } else {
            locateEntry(index, key, value);
          }
          return true;
        });
    if (!isDone) return false;
    position_.clear();
    if (locatesRows_) unequal_.erase(unequal_.begin());
    locatesRows_ = !locatesRows_;
  }
  return true;
}

void Verification::locateEntry(uint32_t index, std::string_view key, std::string_view value) {
  const Table& table = *tables_[tableNumber_];
  std::string_view primaryKey;
  const std::optional<uint64_t> hash = entryHash(index, key, value, primaryKey);
  if (!hash) return;
  rocksdb::PinnableSlice row;
  const rocksdb::Status status = base_.Get(readOptions(snapshot_), base_.DefaultColumnFamily(),
                                           spaceKey(table.indexes[0].space, primaryKey), &row);
  if (status.IsNotFound()) {
    find("entry",
         "entry " + shown(key.substr(4)) + " is of row " + shown(primaryKey) + ", which is not there", index);
  } else if (status.ok() && table.row.isValid(toView(row)) &&
             rowHash(index, toView(row), primaryKey) != *hash) {
    find("entry", "entry " + shown(key.substr(4)) + " is not what its row " + shown(primaryKey) + " says",
         index);
  }
}

// An index whose keys can be made from rows.
void Verification::locateRow(uint32_t index, std::string_view key, std::string_view row) {
  const Table& table = *tables_[tableNumber_];
  const IndexLayout& layout = table.indexes[index];
  if (layout.isOpaque() || !table.row.isValid(row)) return;
  const std::string_view primaryKey = key.substr(sizeof(uint32_t));
  key_.clear();
  Entry entry;
  entry.hasNull = appendKey(table.row, row, layout.parts, key_);
  entry.key = key_;
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = base_.Get(readOptions(snapshot_), base_.DefaultColumnFamily(),
                                           entryKey(layout, entry, primaryKey), &value);
  if (status.IsNotFound()) find("row", "row " + shown(primaryKey) + " has no entry", index);
}

// --- The rest

// Whether each space belongs to something.
bool Verification::stepSpaces() {
  std::set<uint32_t> known = removedSpaces_;
  for (const auto& table : tables_) {
    for (const IndexLayout& index : table->indexes) known.insert(index.space);
  }
  const std::unique_ptr<rocksdb::Iterator> iterator(base_.NewIterator(readOptions(snapshot_)));
  rocksdb::PinnableSlice value;
  for (iterator->Seek(spaceKey(firstTableSpace)); iterator->Valid();) {
    const uint32_t space = bigEndian32(toView(iterator->key()).substr(0, 4));
    if (iterator->key().size() < 4 || space > lastTableSpace) break;
    const rocksdb::Status status = base_.Get(readOptions(snapshot_), base_.DefaultColumnFamily(),
                                             recordKey32(RecordKind::REMOVED_SPACE, space), &value);
    if (!known.contains(space) && !status.ok()) {
      find("space", "data of index " + std::to_string(space) + ", which belongs to no table");
    }
    iterator->Seek(spaceKey(space + 1));
  }
  if (!iterator->status().ok()) find("unreadable", iterator->status().ToString());
  return true;
}

bool Verification::stepRecords() {
  return scan(prefixRange(spaceKey(recordSpace)), [this](std::string_view key, std::string_view value) {
    takeRecord(key, value);
    return true;
  });
}

void Verification::takeRecord(std::string_view key, std::string_view value) {
  totals_.records++;
  const size_t restBytes = key.size() < 5 ? 0 : key.size() - 5;
  bool isRight = false;
  switch (key.size() < 5 ? '\0' : key[4]) {
    case static_cast<char>(RecordKind::FORMAT):
      isRight = restBytes == 0 && value.size() == 4;
      break;
    case static_cast<char>(RecordKind::CATALOGUE):
      isRight = restBytes > 0;
      break;
    case static_cast<char>(RecordKind::PENDING_BLOB):
    case static_cast<char>(RecordKind::REMOVED_BLOB):
      isRight = restBytes == 8;
      break;
    case static_cast<char>(RecordKind::REMOVED_SPACE):
      isRight = restBytes == 4;
      break;
    case static_cast<char>(RecordKind::LAST_COMMIT):
      isRight = restBytes == 20 && value.size() >= 8;
      break;
    default:
      break;
  }
  if (!isRight)
    find("record", "record " + shown(key.substr(std::min<size_t>(4, key.size()))) + " does not decode");
}

// Checks the first chunk of each blob.
bool Verification::stepBlobs() {
  const std::unique_ptr<rocksdb::Iterator> iterator(base_.NewIterator(readOptions(snapshot_)));
  const KeyRange range = prefixRange(spaceKey(blobSpace));
  uint64_t count = 0;
  rocksdb::PinnableSlice value;
  for (iterator->Seek(range.low); iterator->Valid() && range.contains(toView(iterator->key()));) {
    const std::string_view key = toView(iterator->key());
    if (key.size() != 20) {
      find("blob", "chunk " + shown(key.substr(4)) + ": its key does not decode");
      break;
    }
    const uint64_t blob = bigEndian64(key.substr(4, 8));
    bool isKept = true;
    for (const RecordKind kind : {RecordKind::PENDING_BLOB, RecordKind::REMOVED_BLOB}) {
      const rocksdb::Status status =
          base_.Get(readOptions(snapshot_), base_.DefaultColumnFamily(), recordKey64(kind, blob), &value);
      if (!status.IsNotFound()) isKept = false;
    }
    if (isKept) count++;
    std::string following = spaceKey(blobSpace);
    appendBigEndian64(following, blob + 1);
    iterator->Seek(following);
  }
  if (!iterator->status().ok()) find("unreadable", iterator->status().ToString());
  // Tables that are being removed own some, and so do writes since their tables were read.
  if (!isLive_ && removedSpaces_.empty() && count > totals_.blobs) totals_.blobsLeft = count - totals_.blobs;
  return true;
}

// --- The operation

namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') {
      result += '\\';
      result += letter;
    } else if (static_cast<uint8_t>(letter) < 0x20) {
      result += ' ';
    } else {
      result += letter;
    }
  }
  return result;
}

std::string toJson(Verification& verification, bool isDone) {
  std::string json = R"({"isDone":)" + std::string(isDone ? "true" : "false") + R"(,"phase":")" +
                     verification.phase() + R"(","table":)" + std::to_string(verification.table()) +
                     R"(,"bytes":)" + std::to_string(verification.bytes()) + R"(,"findingCount":)" +
                     std::to_string(verification.findingCount()) + R"(,"totals":{)";
  const VerifyTotals& totals = verification.totals();
  const std::pair<const char*, uint64_t> fields[] = {
      {"files", totals.files},         {"fileBytes", totals.fileBytes},
      {"rows", totals.rows},           {"filesWithChecksum", totals.filesWithChecksum},
      {"entries", totals.entries},     {"blobs", totals.blobs},
      {"blobBytes", totals.blobBytes}, {"blobsLeft", totals.blobsLeft},
      {"records", totals.records},
  };
  for (const auto& [name, value] : fields) {
    if (json.back() != '{') json += ',';
    json += '"' + std::string(name) + R"(":)" + std::to_string(value);
  }
  json += R"(},"findings":[)";
  for (const Finding& finding : verification.takeFindings()) {
    if (json.back() != '[') json += ',';
    json += R"({"table":)" + std::to_string(finding.table) + R"(,"index":)" + std::to_string(finding.index) +
            R"(,"kind":")" + finding.kind + R"(","text":")" + escaped(finding.text) + R"("})";
  }
  return json + "]}";
}

constexpr auto longestStep = std::chrono::milliseconds(50);

}  // namespace

Progress VerifyOperation::run(const Budget& budget) {
  if (budget.cachedOnly) return Progress::AGAIN;
  const bool isDone = verification_->step(maxBytes_, Clock::now() + longestStep);
  outcome.result = toJson(*verification_, isDone);
  return done(std::move(outcome));
}

}  // namespace vamos::store
