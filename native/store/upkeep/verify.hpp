#pragma once

#include <rocksdb/db.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/transactions/database.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

// What was found wrong, of a table (0: of none) and one of its indexes.
struct Finding {
  uint32_t table = 0;
  uint32_t index = 0;
  std::string kind;
  std::string text;
};

struct VerifyTotals {
  uint64_t files = 0;
  uint64_t fileBytes = 0;
  // Whose checksum as a whole the store knows; of the others each block was compared with its own.
  uint64_t filesWithChecksum = 0;
  uint64_t rows = 0;
  uint64_t entries = 0;
  uint64_t blobs = 0;
  uint64_t blobBytes = 0;
  // Blobs that no row refers to and that nothing is going to remove: room that is lost, no damage.
  uint64_t blobsLeft = 0;
  uint64_t records = 0;
};

// Reads all that a store has, and compares what belongs together, in steps: files with their checksums, rows
// with their layout and primary key, the entries of each index with the rows in both directions, blobs with
// the rows that own them, records with their format. Each table is read at a snapshot of its own, so writes
// go on meanwhile; between two steps only that is held.
//
// Entries and rows are compared by a sum over hashes of what both sides say, so that all is read in order and
// once. Where the sums differ a second pass looks for the rows and entries.
class Verification {
 public:
  // spaces: of tables that are being removed. isLive: the store is written to, so files may go.
  Verification(rocksdb::DB& base, std::vector<std::shared_ptr<const Table>> tables, std::set<uint32_t> spaces,
               bool isLive);
  ~Verification();

  // Goes on until about so many bytes are read or the time is over. True: that was all.
  bool step(uint64_t maxBytes, Clock::time_point end);

  const VerifyTotals& totals() const { return totals_; }
  uint64_t bytes() const { return bytes_; }
  const char* phase() const;
  // Number of the table that is being read; 0: none.
  uint32_t table() const;
  // Returns the findings since the last call. Beyond some hundreds only their number is kept.
  std::vector<Finding> takeFindings();
  uint64_t findingCount() const { return findingCount_; }

 private:
  enum class Phase { FILES, ROWS, ENTRIES, LOCATE, SPACES, RECORDS, BLOBS, DONE };

  // What the rows, or an index, say of an index.
  struct Sum {
    uint64_t count = 0;
    uint64_t hash = 0;
  };
  struct TableState;

  void find(std::string kind, std::string text, uint32_t index = 0);
  // A range of keys in order, at the snapshot, from where the last step ended. True: its end is reached.
  bool scan(const KeyRange& range, const std::function<bool(std::string_view, std::string_view)>& take);
  void next(Phase phase);
  bool isSpent() const { return bytes_ >= stepEndBytes_ || Clock::now() >= stepEnd_; }

  bool stepFiles();
  bool readFile(const rocksdb::LiveFileMetaData& file);
  bool stepRows();
  void takeRow(std::string_view key, std::string_view row);
  void takeBlobs(std::string_view key, std::string_view row);
  bool checkBlob(uint64_t blob, uint64_t lengthBytes);
  bool stepEntries();
  void takeEntry(uint32_t index, std::string_view key, std::string_view value);
  bool stepLocate();
  void locateEntry(uint32_t index, std::string_view key, std::string_view value);
  void locateRow(uint32_t index, std::string_view key, std::string_view row);
  void nextTable();
  bool stepSpaces();
  bool stepRecords();
  void takeRecord(std::string_view key, std::string_view value);
  bool stepBlobs();

  // What a row says of its entry in an index: as much of the key as can be made from the row.
  uint64_t rowHash(uint32_t index, std::string_view row, std::string_view primaryKey);
  std::optional<uint64_t> entryHash(uint32_t index, std::string_view key, std::string_view value,
                                    std::string_view& primaryKey);
  size_t clearParts(uint32_t index) const;

  rocksdb::DB& base_;
  const std::vector<std::shared_ptr<const Table>> tables_;
  const std::set<uint32_t> removedSpaces_;
  const bool isLive_;

  Phase phase_ = Phase::FILES;
  uint64_t bytes_ = 0;
  uint64_t stepEndBytes_ = 0;
  Clock::time_point stepEnd_;
  VerifyTotals totals_;
  std::deque<Finding> findings_;
  uint64_t findingCount_ = 0;

  std::vector<rocksdb::LiveFileMetaData> files_;
  size_t fileNumber_ = 0;
  uint64_t fileOffset_ = 0;
  uint32_t fileCrc_ = 0;

  size_t tableNumber_ = 0;
  uint32_t indexNumber_ = 0;
  bool locatesRows_ = false;
  const rocksdb::Snapshot* snapshot_ = nullptr;
  std::string position_;  // the key that the scan reads next; empty: it begins
  std::vector<Sum> rowSums_;
  std::vector<Sum> entrySums_;
  std::vector<uint32_t> unequal_;  // indexes whose sums differ
  std::string key_;
};

// A step of a verification.
class VerifyOperation : public Operation {
 public:
  VerifyOperation(uint64_t number, std::shared_ptr<Verification> verification, uint64_t maxBytes)
      : Operation(number, nullptr), verification_(std::move(verification)), maxBytes_(maxBytes) {}

 protected:
  Progress run(const Budget& budget) override;

 private:
  const std::shared_ptr<Verification> verification_;
  const uint64_t maxBytes_;
};

}  // namespace vamos::store
