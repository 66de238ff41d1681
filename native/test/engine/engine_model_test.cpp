// Transactions over a table of a few rows, at random, beside a model of them that is a few maps. Over a
// source that doesn't know its rows now and then, so each operation starts over at any place; between two
// goes of an operation other transactions end.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cstdlib>
#include <optional>

#include "engine/rows/changes.hpp"
#include "engine/rows/get.hpp"
#include "engine/rows/write.hpp"
#include "store/transactions/cached_source.hpp"
#include "test/engine/memory_source.hpp"
#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

using Texts = std::vector<std::string>;
using Rows = std::map<uint32_t, Row>;

constexpr uint32_t byNumber = 0;
constexpr uint32_t byName = 1;
constexpr uint8_t city = 2;
constexpr uint32_t transactionCount = 4;
constexpr uint32_t stepCount = 300;
constexpr uint32_t maxGoes = 10'000;

bool isSame(const Row& left, const Row& right) { return left.name == right.name && left.city == right.city; }
std::string rowTextOf(const Row& row) { return std::to_string(row.number) + "/" + row.name + "/" + row.city; }

std::string joined(const Texts& texts) {
  std::string result;
  for (const std::string& text : texts) result += text + " ";
  return result;
}

// One transaction, and what it should see.
struct Modelled {
  std::shared_ptr<Transaction> transaction;
  Isolation isolation;
  std::optional<Rows> snapshot;
  std::map<uint32_t, std::optional<Row>> writes;
  std::vector<std::map<uint32_t, std::optional<Row>>> savepoints;
};

class Model {
 public:
  // betweenSteps is called before each step.
  Model(Source& source, uint32_t firstSpace, uint32_t seed, std::function<void()> betweenSteps = {})
      : source_(source),
        betweenSteps_(std::move(betweenSteps)),
        dice_(seed),
        keyCount_(4 + seed % 13),
        hasOpaqueNames_(seed % 3 == 0),
        locks_([](void*, uint64_t) {}, nullptr),
        table_(std::make_shared<const Table>(Table{StoreFixture::table,
                                                   {{firstSpace, true, {{0}}},
                                                    {firstSpace + 1, true, {{1, false, hasOpaqueNames_}}},
                                                    {firstSpace + 2, false, {{2}}}},
                                                   RowLayout::make(StoreFixture::columns()).value()})) {
    for (uint32_t i = 0; i < transactionCount; i++) {
      transactions_.emplace_back();
      begin(transactions_.back());
    }
  }

  void run() {
    for (step_ = 0; step_ < stepCount; step_++) {
      INFO("step ", step_);
      if (betweenSteps_) betweenSteps_();
      step(transactions_[below(transactionCount)]);
    }
  }

  uint64_t againCount() const { return againCount_; }
  uint64_t endedBetweenGoes() const { return endedBetweenGoes_; }

 private:
  uint32_t below(uint32_t limit) { return dice_() % limit; }
  bool chance(uint32_t of) { return below(of) == 0; }

  void step(Modelled& one) {
    switch (below(14)) {
      case 0:
      case 1:
        return getRows(one);
      case 2:
      case 3:
      case 4:
        return scan(one);
      case 5:
      case 6:
        return insert(one);
      case 7:
        return updateOrRemove(one, WriteKind::UPDATE);
      case 8:
        return updateOrRemove(one, WriteKind::DELETE);
      case 9:
      case 10:
        return change(one);
      case 11:
        one.transaction->setSavepoint();
        one.savepoints.push_back(one.writes);
        return;
      case 12:
        return endSavepoint(one);
      default:
        return end(one, !chance(4));
    }
  }

  void begin(Modelled& one) {
    one = {};
    one.isolation = chance(3) ? Isolation::READ_COMMITTED : Isolation::REPEATABLE_READ;
    one.transaction = std::make_shared<Transaction>(source_, locks_, ++lastNumber_, one.isolation, false);
  }

  void end(Modelled& one, bool commits) {
    if (commits && one.transaction->hasWrites()) {
      one.transaction->commitWrites();
      for (const auto& [number, row] : one.writes) {
        if (row) {
          committed_[number] = *row;
        } else {
          committed_.erase(number);
        }
      }
    }
    one.transaction->end();
    begin(one);
  }

  void endSavepoint(Modelled& one) {
    if (one.savepoints.empty()) return;
    if (chance(2)) {
      CHECK(one.transaction->rollbackToSavepoint());
      one.writes = one.savepoints.back();
    } else {
      CHECK(one.transaction->releaseSavepoint());
      one.savepoints.pop_back();
    }
  }

  static Rows overlaid(Rows rows, const Modelled& one) {
    for (const auto& [number, row] : one.writes) {
      if (row) {
        rows[number] = *row;
      } else {
        rows.erase(number);
      }
    }
    return rows;
  }
  Rows latest(const Modelled& one) const { return overlaid(committed_, one); }
  Rows visible(Modelled& one) {
    if (one.isolation == Isolation::READ_COMMITTED) {
      one.transaction->beginStatement();
      return latest(one);
    }
    // Else the snapshot would be of some moment of the first read.
    if (!one.snapshot) {
      one.transaction->takeSnapshot();
      one.snapshot = committed_;
    }
    return overlaid(*one.snapshot, one);
  }

  // Until it is done. It waits for no lock: it is cancelled where it would.
  Outcome go(Operation& operation, Modelled& one) {
    // A lock that it has under READ COMMITTED covers no gaps, so what comes in behind it is not to be
    // foretold.
    const bool mayEndOthers = one.isolation == Isolation::REPEATABLE_READ;
    for (uint32_t goes = 0; goes < maxGoes; goes++) {
      const auto until = chance(2) ? Clock::time_point::min() : Clock::time_point::max();
      const Progress progress = operation.go({chance(2), until});
      if (goes == 0) operation.keepInput();
      if (progress == Progress::DONE) return operation.outcome;
      if (progress == Progress::PARKED) {
        operation.cancelCode = static_cast<uint32_t>(ErrorCode::LOCK_TIMEOUT);
      } else {
        againCount_++;
      }
      Modelled& other = transactions_[below(transactionCount)];
      if (mayEndOthers && &other != &one && chance(4)) {
        endedBetweenGoes_++;
        end(other, !chance(4));
      }
    }
    FAIL("the operation never ends");
    return {};
  }

  static bool isLockFailure(const Outcome& outcome) {
    return outcome.code == ErrorCode::LOCK_NOT_AVAILABLE || outcome.code == ErrorCode::LOCK_TIMEOUT;
  }
  static void requireOk(const Outcome& outcome) {
    REQUIRE(outcome.message == "");
    REQUIRE(outcome.ok());
  }

  Wait randomWait() { return chance(2) ? Wait::WAIT : Wait::NO_WAIT; }
  Lock randomLock() { return static_cast<Lock>(below(3)); }
  Row randomRow(uint32_t number) {
    static const Texts cities{"bonn", "oslo", "rome"};
    // No two rows share a name: which of them an entry leads to, where one is committed after the snapshot
    // of the other, is another question.
    return {number, "n" + std::to_string(number) + std::string(below(2), 'x'), cities[below(3)]};
  }

  void getRows(Modelled& one) {
    const uint32_t index = below(2);
    const Lock lock = randomLock();
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i <= below(4); i++) numbers.push_back(below(keyCount_));
    const std::string suffix(below(2), 'x');
    std::string keys;
    for (const uint32_t number : numbers) keys += keyBatchOf(index, number, suffix);
    const Rows before = lock == Lock::NONE ? visible(one) : Rows();
    GetOperation::Request request{index, keys, lock, randomWait(), {}, {}};
    GetOperation operation(1, one.transaction, source_, table_, std::move(request));
    const Outcome outcome = go(operation, one);
    if (lock != Lock::NONE && isLockFailure(outcome)) return;
    requireOk(outcome);
    const Rows rows = lock == Lock::NONE ? before : latest(one);
    Texts expected;
    for (const uint32_t number : numbers) {
      const auto row = rows.find(number);
      const bool isFound =
          row != rows.end() && (index == byNumber || row->second.name == nameOf(number, suffix));
      expected.push_back(isFound ? rowTextOf(row->second) : "-");
    }
    CHECK(joined(StoreFixture::rows(outcome)) == joined(expected));
  }
  static std::string nameOf(uint32_t number, const std::string& suffix) {
    return "n" + std::to_string(number) + suffix;
  }
  static std::string keyBatchOf(uint32_t index, uint32_t number, const std::string& suffix) {
    return StoreFixture::keyBatch(index == byNumber ? StoreFixture::numberKey(number)
                                                    : StoreFixture::nullableKey(nameOf(number, suffix)));
  }

  // Returns rows in a range of numbers, in the order of an index.
  static Texts inOrder(const Rows& rows, uint32_t index, uint32_t low, uint32_t high, bool isReverse) {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& [number, row] : rows) {
      if (index == byNumber && (number < low || number > high)) continue;
      const std::string key = index == byNumber ? "" : index == byName ? row.name + '\0' : row.city + '\0';
      found.emplace_back(key + StoreFixture::numberKey(number), rowTextOf(row));
    }
    std::sort(found.begin(), found.end());
    if (isReverse) std::reverse(found.begin(), found.end());
    Texts texts;
    for (auto& [key, text] : found) texts.push_back(std::move(text));
    return texts;
  }

  void scan(Modelled& one) {
    auto cursor = std::make_shared<Cursor>();
    cursor->transaction = one.transaction;
    cursor->table = table_;
    const uint32_t index = below(3);
    const uint32_t low = below(keyCount_);
    const uint32_t high = low + below(keyCount_);
    cursor->options.index = index;
    cursor->options.reverse = chance(2);
    cursor->options.wait = randomWait();
    if (index == byNumber) {
      cursor->options.lower = StoreFixture::numberKey(low);
      cursor->options.upper = StoreFixture::numberKey(high);
    }
    cursor->lock = randomLock();
    cursor->rest = boundsRange(table_->indexes[index].space, cursor->options);
    cursor->chooseSource();
    const bool isPlain = cursor->lock == Lock::NONE;
    const Rows before = isPlain ? visible(one) : Rows();
    Texts found;
    for (bool atEnd = false; !atEnd;) {
      FetchOperation operation(1, cursor, source_, 1 + below(60));
      const Outcome outcome = go(operation, one);
      if (!isPlain && isLockFailure(outcome)) return;
      requireOk(outcome);
      for (std::string& row : StoreFixture::rows(outcome)) found.push_back(std::move(row));
      atEnd = outcome.atEnd;
    }
    const Texts expected = inOrder(isPlain ? before : latest(one), index, low, high, cursor->options.reverse);
    CAPTURE(static_cast<int>(one.isolation));
    CAPTURE(static_cast<int>(cursor->lock));
    CAPTURE(index);
    CAPTURE(cursor->options.reverse);
    CHECK(joined(found) == joined(expected));
  }

  Outcome write(Modelled& one, WriteKind kind, const std::string& batch) {
    WriteOperation operation(1, one.transaction, source_, table_, kind, batch, randomWait(),
                             chance(2) ? LockMode::SHARED : LockMode::EXCLUSIVE);
    return go(operation, one);
  }

  void insert(Modelled& one) {
    std::string batch;
    std::map<uint32_t, Row> rows;
    for (uint32_t i = 0; i <= below(3); i++) {
      const Row row = randomRow(below(keyCount_));
      if (rows.emplace(row.number, row).second) StoreFixture::appendNew(batch, row);
    }
    const Outcome outcome = write(one, WriteKind::INSERT, batch);
    if (isLockFailure(outcome)) return;
    const Rows now = latest(one);
    const bool isThere =
        std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return now.contains(row.first); });
    CAPTURE(outcome.message);
    CHECK(outcome.code == (isThere ? ErrorCode::DUPLICATE_KEY : ErrorCode::OK));
    if (!outcome.ok()) return;
    for (const auto& [number, row] : rows) one.writes[number] = row;
  }

  void updateOrRemove(Modelled& one, WriteKind kind) {
    const Rows rows = latest(one);
    const uint32_t number = below(keyCount_);
    const auto found = rows.find(number);
    const Row before = found == rows.end() || chance(8) ? randomRow(number) : found->second;
    const Row after = randomRow(number);
    std::string batch;
    StoreFixture::appendOld(batch, before);
    if (kind == WriteKind::UPDATE) StoreFixture::appendNew(batch, after);
    const Outcome outcome = write(one, kind, batch);
    if (isLockFailure(outcome)) return;
    const Rows now = latest(one);
    const auto there = now.find(number);
    CAPTURE(outcome.message);
    if (there == now.end()) {
      CHECK(outcome.code == ErrorCode::NOT_FOUND);
    } else if (!isSame(there->second, before)) {
      CHECK(outcome.code == ErrorCode::ROW_CHANGED);
    } else {
      CHECK(outcome.ok());
      one.writes[number] = kind == WriteKind::UPDATE ? std::optional(after) : std::nullopt;
    }
  }

  // Moves the rows of a range of numbers, or of keys, to one city; or removes them, where that needs no keys
  // that can't be made.
  void change(Modelled& one) {
    const bool deletes = !hasOpaqueNames_ && chance(3);
    const std::string where = chance(2) ? "bonn" : "turin";
    const uint32_t low = below(keyCount_);
    const uint32_t high = low + below(keyCount_ / 2);
    Change change;
    change.table = table_;
    change.deletes = deletes;
    change.wait = randomWait();
    std::string refusal;
    if (!deletes)
      change.assignments.push_back(Assignment::make(table_->row, city, text(where), refusal).value());
    std::string keys;
    if (chance(2)) {
      for (uint32_t number = low; number <= high; number++) keys += keyBatchOf(byNumber, number, "");
      change.keys = keys;
    } else {
      change.cursor = std::make_shared<Cursor>();
      change.cursor->transaction = one.transaction;
      change.cursor->table = table_;
      change.cursor->options.wait = change.wait;
      change.cursor->awaitsWanted = true;
      change.cursor->projection.withKeys = true;
      change.cursor->lock = Lock::EXCLUSIVE;
      CursorOptions range;
      range.lower = StoreFixture::numberKey(low);
      range.upper = StoreFixture::numberKey(high);
      change.ranges = {range};
    }
    ChangeOperation operation(1, one.transaction, source_, std::move(change));
    const Outcome outcome = go(operation, one);
    if (isLockFailure(outcome)) return;
    requireOk(outcome);
    uint64_t found = 0;
    uint64_t changed = 0;
    const Rows now = latest(one);
    for (auto row = now.lower_bound(low); row != now.end() && row->first <= high; ++row) {
      found++;
      if (!deletes && row->second.city == where) continue;
      changed++;
      one.writes[row->first] =
          deletes ? std::nullopt : std::optional(Row{row->first, row->second.name, where});
    }
    CHECK(outcome.count == found);
    CHECK(outcome.changed == changed);
  }

  Source& source_;
  const std::function<void()> betweenSteps_;
  std::mt19937 dice_;
  const uint32_t keyCount_;
  const bool hasOpaqueNames_;
  LockTable locks_;
  const std::shared_ptr<const Table> table_;
  std::vector<Modelled> transactions_;
  Rows committed_;
  uint64_t lastNumber_ = 0;
  uint32_t step_ = 0;
  uint64_t againCount_ = 0;
  uint64_t endedBetweenGoes_ = 0;
};

// VAMOS_MODEL_RUNS: more of them.
uint32_t runs() {
  const char* text = std::getenv("VAMOS_MODEL_RUNS");
  return text == nullptr ? 150 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

TEST_CASE("transactions over rows that are not known now and then do as the model") {
  uint64_t againCount = 0;
  uint64_t endedBetweenGoes = 0;
  for (uint32_t seed = 1; seed <= runs(); seed++) {
    CAPTURE(seed);
    MemorySource source(seed);
    Model model(source, 10, seed);
    model.run();
    againCount += model.againCount();
    endedBetweenGoes += model.endedBetweenGoes();
    CHECK(source.unknownCount() > 0);
  }
  CHECK(againCount > runs() * 100);
  CHECK(endedBetweenGoes > runs());
}

TEST_CASE("transactions over RocksDB do as the model") {
  std::string directory = (std::filesystem::temp_directory_path() / "vamos-model-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  {
    Database database({.path = directory + "/tables"});
    RocksSource source(database);
    for (uint32_t seed = 1; seed <= runs(); seed++) {
      CAPTURE(seed);
      Model(source, 10 * seed, seed).run();
    }
  }
  std::filesystem::remove_all(directory);
}

// Its limit changes all the time, so entries go at any moment.
TEST_CASE("transactions over a cache of RocksDB's rows do as the model") {
  std::string directory = (std::filesystem::temp_directory_path() / "vamos-model-XXXXXX").string();
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  {
    Database database({.path = directory + "/tables", .cacheBytes = 1});
    RocksSource rocks(database);
    CachedSource source(rocks, database);
    cache::Cache& cache = *database.cache();
    for (uint32_t seed = 1; seed <= runs(); seed++) {
      CAPTURE(seed);
      std::mt19937 dice(seed);
      Model(source, 10 * seed, seed, [&] {
        if (dice() % 8 == 0) cache.setLimitBytes(dice() % 3 == 0 ? dice() % 30'000 : 1 << 20);
      }).run();
      REQUIRE(cache.isSound());
    }
    const cache::Cache::Counts counts = cache.counts();
    CHECK(counts.contradictions == 0);
    CHECK(counts.hits > counts.misses);
    CHECK(counts.evictions > runs());
  }
  std::filesystem::remove_all(directory);
}
