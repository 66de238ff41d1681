#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/key_maker.hpp"
#include "engine/keys.hpp"

// Where a transaction's rows come from and where its writes go: what the engine knows of storage. The store
// is the engine over RocksDB (store/transactions/rocks_source.hpp).
//
// A read that can't be answered from memory, where nothing else may be asked, is answered with UNKNOWN. The
// operation then ends its go with Progress::AGAIN, and starts its step over in the next go, when what was
// missing is there or may be fetched. Its locks stay.
//
// What fails below (a disk, a limit) is thrown as StoreError: the operation is undone and ends with it.
namespace vamos::engine {

enum class Found { ROW, ABSENT, UNKNOWN };

// The bytes that a read found, and what keeps them in their place until the next read into it.
class StoredValue {
 public:
  StoredValue() = default;
  ~StoredValue() { drop(); }
  StoredValue(const StoredValue&) = delete;
  StoredValue& operator=(const StoredValue&) = delete;

  std::string_view bytes() const { return bytes_; }

  // For sources: the object that holds the bytes. It is made by the first call and reused by later ones.
  template <typename Holder>
  Holder& holder() {
    static_assert(sizeof(Holder) <= maxHolderBytes);
    static_assert(alignof(Holder) <= alignof(std::max_align_t));
    if (destroy_ != &destroy<Holder>) {
      drop();
      new (storage_.data()) Holder();
      destroy_ = &destroy<Holder>;
    }
    return *std::launder(reinterpret_cast<Holder*>(storage_.data()));
  }
  void set(std::string_view bytes) { bytes_ = bytes; }

 private:
  static constexpr size_t maxHolderBytes = 128;

  template <typename Holder>
  static void destroy(void* holder) {
    static_cast<Holder*>(holder)->~Holder();
  }
  void drop() {
    if (destroy_ != nullptr) destroy_(storage_.data());
    destroy_ = nullptr;
  }

  std::string_view bytes_;
  void (*destroy_)(void*) = nullptr;
  alignas(std::max_align_t) std::array<std::byte, maxHolderBytes> storage_;
};

// What a read of several keys found. Both arrays have one place for each key.
class StoredValues {
 public:
  static constexpr size_t maxCount = 32;

  // What keeps the bytes in their place.
  class Holder {
   public:
    Holder() = default;
    virtual ~Holder() = default;
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
  };

  std::array<Found, maxCount> found;
  std::array<std::string_view, maxCount> bytes;
  std::unique_ptr<Holder> holder;
};

// A moment whose committed rows a transaction sees.
class Snapshot {
 public:
  explicit Snapshot(uint64_t sequence) : sequence(sequence) {}
  virtual ~Snapshot() = default;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Rises with each commit.
  const uint64_t sequence;
};

// What a transaction has written and not committed: the last value of each key, or that the key goes.
class Writes {
 public:
  Writes() = default;
  virtual ~Writes() = default;
  Writes(const Writes&) = delete;
  Writes& operator=(const Writes&) = delete;

  // TRANSACTION_TOO_LARGE is thrown where it would grow over its limit.
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void remove(std::string_view key) = 0;
  // A record that goes with the commit. The transaction never reads it, and it counts for no limit.
  virtual void attach(std::string_view key, std::string_view value) = 0;

  virtual bool isEmpty() const = 0;
  virtual size_t bytes() const = 0;
  // Whether it put or removed this key.
  virtual bool has(std::string_view key) const = 0;
  // In the order of the keys, whose value is missing where the key goes.
  using Visit = std::function<void(std::string_view key, std::optional<std::string_view> value)>;
  virtual void forEach(const Visit& visit) const = 0;

  // Marks lie on one another like savepoints. undo: back to the last mark, which goes; it may take time in
  // proportion to the whole transaction. unmark: the last mark goes, and the writes stay.
  virtual void mark() = 0;
  virtual void undo() = 0;
  virtual void unmark() = 0;

  // Makes the writes visible to all.
  virtual void commit() = 0;
  // Two-phase commit: keeps the writes beyond the process. They are committed or rolled back later.
  virtual void prepare(const std::string& xid) = 0;
  virtual void rollbackPrepared() = 0;
};

// Goes over the entries of a range in the order of their keys. After ROW the key and the value stand until
// the next call; after UNKNOWN the walk is of no use any more.
class Walk {
 public:
  Walk() = default;
  virtual ~Walk() = default;
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  // Onto the first entry at this key or behind it.
  virtual Found seek(std::string_view key) = 0;
  // Onto the last entry before this key.
  virtual Found seekBefore(std::string_view key) = 0;
  // Onto the neighbour of the entry where it stands.
  virtual Found next() = 0;
  virtual Found previous() = 0;

  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

 protected:
  Found at(std::string_view key, std::string_view value) {
    key_ = key;
    value_ = value;
    return Found::ROW;
  }

 private:
  std::string_view key_;
  std::string_view value_;
};

struct WalkOptions {
  bool cachedOnly = false;
  bool isReverse = false;  // seekBefore and previous, else seek and next, but for a call now and then
  bool isLong = false;     // many entries will be read
};

class Source;

// What a read sees: the source at a snapshot or as it is now, below a transaction's own writes.
struct View {
  Source* source = nullptr;
  const Writes* writes = nullptr;
  std::shared_ptr<const Snapshot> snapshot;

  // cachedOnly: UNKNOWN where the source would have to leave memory.
  Found get(std::string_view key, bool cachedOnly, StoredValue& value) const;
  // Reads the values of the keys, of which there are StoredValues::maxCount at most.
  void multiGet(std::span<const std::string> keys, bool cachedOnly, StoredValues& values) const;
  std::unique_ptr<Walk> walk(const KeyRange& range, const WalkOptions& options) const;
  // A row that the transaction itself changed after its snapshot shows as it is now, so it counts only under
  // its present entries. ROW: this entry of a secondary index, which the view shows, is one of them.
  Found ownsEntry(std::string_view entry, std::string_view rowKey, bool cachedOnly) const;
};

// Committed rows. It may be asked from any thread.
class Source {
 public:
  Source() = default;
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  virtual std::shared_ptr<const Snapshot> snapshot() = 0;
  // For a new transaction.
  virtual std::unique_ptr<Writes> begin() = 0;

  // Reads through a view of this source. Its writes and its snapshot are those that this source made.
  virtual Found get(const View& view, std::string_view key, bool cachedOnly, StoredValue& value) = 0;
  virtual void multiGet(const View& view, std::span<const std::string> keys, bool cachedOnly,
                        StoredValues& values) = 0;
  virtual std::unique_ptr<Walk> walk(const View& view, const KeyRange& range, const WalkOptions& options) = 0;
  // Whether its walks can keep to memory. Where not, an operation that may not leave it doesn't begin to
  // walk.
  virtual bool canWalkCached() const = 0;

  // A number that rises with each commit that writes in this space. While it stays, what was read there as
  // the latest still is.
  virtual uint64_t changes(uint32_t space) const = 0;

  // Also of what a transaction's locks take in memory.
  virtual uint64_t maxTransactionBytes() const = 0;
  virtual const KeyMaker& keyMaker() const = 0;
  // What was read contradicts itself.
  virtual Outcome corruption(std::string_view what) const = 0;

  // Counts rows that reads took from the entries of a secondary index alone.
  virtual void addRowsFromIndex(uint64_t) {}
  // Entries of removed rows that this thread's walks have stepped over, ever.
  virtual uint64_t steppedOver() const { return 0; }
  // A scan of this range read so many rows, and stepped over so many entries of removed ones.
  virtual void scanned(const KeyRange&, uint64_t /*rows*/, uint64_t /*steppedOver*/) {}
};

inline Found View::get(std::string_view key, bool cachedOnly, StoredValue& value) const {
  return source->get(*this, key, cachedOnly, value);
}
inline void View::multiGet(std::span<const std::string> keys, bool cachedOnly, StoredValues& values) const {
  source->multiGet(*this, keys, cachedOnly, values);
}
inline std::unique_ptr<Walk> View::walk(const KeyRange& range, const WalkOptions& options) const {
  return source->walk(*this, range, options);
}

}  // namespace vamos::engine
