#pragma once

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/tables_messages.hpp"
#include "store/transactions/database.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

// A sample of one index: how many different values its first part has, its first two, and so on; and how long
// its entries are.
//
// A small index is read whole, and one that is in memory. Of a larger one, windows of neighbouring entries
// are read at places that lie evenly in it, each somewhere in its share. Among entries in order, a new value
// is a change from one entry to the next. So the changes within the windows are counted; between two windows
// there is none where the values on both sides are the same, and else at least one, and as many as the
// windows beside such gaps suggest. So values of which some have many rows are counted rightly, too. Where
// few values are found they are counted.
class IndexSample {
 public:
  // rows: how many entries it has. From `end` on it reads no more than it needs.
  IndexSample(const Database& database, const Table& table, uint32_t index, uint64_t rows,
              Clock::time_point end);

  // Incomplete: the budget is spent; another call goes on.
  rocksdb::Status read(const Budget& budget);

  // When it is read. Different values of the first parts of the index, one part, two, and so on; behind those
  // of an index that is not unique, with the first parts of the primary key. 0: not known.
  std::vector<double> distinct() const;
  double entries() const;
  uint64_t bytesPerEntry() const;
  uint64_t blobBytesPerEntry() const;

 private:
  // Where keys of the space may stand: from `low` on to `high`, with `before` bytes of the index in front.
  struct Interval {
    std::string low;
    std::string high;
    double before = 0;
    double bytes = 0;
    size_t firstTarget = 0;
    size_t endTarget = 0;
    size_t depth = 0;
  };
  struct Place {
    std::string low;
    size_t skippedEntries = 0;
  };
  // Entries that follow one another.
  struct Window {
    std::string first;
    std::vector<size_t> firstEnds;
    std::string last;
    std::vector<uint64_t> changes;
    uint64_t pairs = 0;
  };
  enum class Stage { COUNT, LOCATE, READ, SEEK, DONE };

  rocksdb::Status count(const Budget& budget);
  void beginLocate();
  rocksdb::Status locate(const Budget& budget);
  void split(const Interval& interval);
  void addPlaces(const Interval& interval);
  void findSizes();
  double bytesBetween(const std::string& low, const std::string& high, double* inFiles = nullptr) const;
  void beginRead();
  rocksdb::Status readWindows(const Budget& budget);
  bool readWindow(const Place& place);
  void add(Window& window);
  void addEdge(bool isLast);
  rocksdb::Status seekValues(const Budget& budget);
  void findEnds(std::string_view key, std::string_view value);
  void finish();

  const Database& database_;
  const Table& table_;
  const uint32_t index_;
  const uint64_t rows_;
  const Clock::time_point end_;
  const KeyRange space_;
  const rocksdb::Slice high_;
  size_t prefixes_ = 0;  // counted apart
  std::unique_ptr<rocksdb::Iterator> iterator_;
  Stage stage_;
  uint64_t mostCounted_;
  double bytesPerFileByte_ = 1;  // files are compressed
  double bytes_ = 0;             // bytes of the whole index
  double fileShare_ = 0;         // the share of these bytes that is in files
  std::vector<double> targets_;
  std::vector<Interval> intervals_;  // a stack
  std::vector<Place> places_;
  std::vector<size_t> order_;
  size_t nextPlace_ = 0;
  std::vector<Window> windows_;
  std::vector<size_t> ends_;      // where the parts of the entry found last end; 0: not known
  bool isWhole_ = false;          // there is one window, of all entries
  std::vector<uint64_t> sought_;  // values of the first prefixes that were counted
  uint64_t soughtNow_ = 0;
  uint64_t readEntries_ = 0;
  uint64_t readBytes_ = 0;
  uint64_t readBlobBytes_ = 0;
  std::minstd_rand random_;
};

}  // namespace vamos::store
