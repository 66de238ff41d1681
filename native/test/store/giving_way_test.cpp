#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "engine/rows/changes.hpp"
#include "engine/rows/write.hpp"
#include "store/transactions/rocks_source.hpp"
#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t rowCount = 200;
constexpr size_t largeRowBytes = 300 << 10;

// A table whose names are opaque keys, without a store around it: a test says when an operation gives way.
class Operations {
 public:
  Operations()
      : name_((std::filesystem::temp_directory_path() / "vamos-operations-XXXXXX").string()),
        directory_(mkdtemp(name_.data())),
        database_({.path = directory_ + "/tables"}),
        source_(database_),
        locks_([](void*, uint64_t) {}, nullptr),
        table_(std::make_shared<const Table>(
            Table{StoreFixture::table,
                  {{10, true, {{0}}}, {11, true, {{1, false, true}}}, {12, false, {{2}}}},
                  RowLayout::make(StoreFixture::columns()).value()})) {}
  ~Operations() { std::filesystem::remove_all(directory_); }

  std::shared_ptr<Transaction> begin() {
    return std::make_shared<Transaction>(source_, locks_, ++lastNumber_, Isolation::REPEATABLE_READ, false);
  }

  void insertRows() {
    std::string batch;
    for (uint32_t i = 0; i < rowCount; i++) {
      StoreFixture::appendNew(batch, {i, "n" + std::to_string(1000 + i), "oslo"});
    }
    const std::shared_ptr<Transaction> transaction = begin();
    WriteOperation insert(1, transaction, source_, table_, WriteKind::INSERT, batch, Wait::WAIT,
                          LockMode::SHARED);
    REQUIRE(insert.go({false, Clock::time_point::max()}) == Progress::DONE);
    REQUIRE(insert.outcome.ok());
    transaction->commitWrites();
    transaction->end();
  }

  // Into the table's primary index alone.
  void putLargeRow(uint32_t number) {
    const std::string row = StoreFixture::rowBytes({number, "n", std::string(largeRowBytes, 'x')});
    REQUIRE(database_.base().Put({}, spaceKey(10, StoreFixture::numberKey(number)), row).ok());
  }

  std::shared_ptr<FetchOperation> scan(const Code& filter) {
    auto cursor = std::make_shared<Cursor>();
    cursor->table = table_;
    std::string refusal;
    cursor->filter = Program::makeFilter(table_->row, filter, refusal);
    REQUIRE(cursor->filter);
    cursor->rest = boundsRange(10, cursor->options);
    return std::make_shared<FetchOperation>(3, std::move(cursor), source_, 1 << 20);
  }

  std::shared_ptr<ChangeOperation> updateLast(const std::shared_ptr<Transaction>& transaction) {
    Change change;
    change.table = table_;
    std::string refusal;
    change.assignments.push_back(Assignment::make(table_->row, 2, text("bonn"), refusal).value());
    change.keys = key_;
    return std::make_shared<ChangeOperation>(2, transaction, source_, std::move(change));
  }

  // The entries under the names that the transaction sees.
  static size_t countNames(Transaction& transaction) {
    View view = transaction.statementView();
    view.writes = transaction.latestView().writes;
    const KeyRange range = prefixRange(spaceKey(11));
    const std::unique_ptr<Walk> walk = view.walk(range, {});
    size_t count = 0;
    for (Found found = walk->seek(range.low); found == Found::ROW; found = walk->next()) count++;
    return count;
  }

 private:
  std::string name_;
  const std::string directory_;
  Database database_;
  RocksSource source_;
  LockTable locks_;
  const std::shared_ptr<const Table> table_;
  const std::string key_ = StoreFixture::keyBatch(StoreFixture::numberKey(rowCount - 1));
  uint64_t lastNumber_ = 0;
};

// An operation may not end in one go: each go ends as soon as the operation looks.
Budget spent() { return {false, Clock::time_point::min()}; }

}  // namespace

TEST_CASE_FIXTURE(Operations, "a scan gives way after few rows where they are large") {
  for (uint32_t number = 0; number < 4; number++) putLargeRow(number);
  const std::shared_ptr<FetchOperation> fetch =
      scan(column(1) + text("nobody") + test::compare(Instruction::EQUAL));
  uint32_t goes = 1;
  while (fetch->go(spent()) == Progress::AGAIN && goes < 10) goes++;
  CHECK(goes == 5);
  CHECK(fetch->outcome.ok());
  CHECK(fetch->outcome.count == 0);
}

TEST_CASE_FIXTURE(Operations, "the search for an entry gives way, goes on where it was, and finds it") {
  const std::shared_ptr<Transaction> transaction = begin();
  transaction->takeSnapshot();
  insertRows();
  CHECK(countNames(*transaction) == 0);
  const std::shared_ptr<ChangeOperation> update = updateLast(transaction);
  uint32_t goes = 1;
  while (update->go(spent()) == Progress::AGAIN && goes < rowCount) goes++;
  CHECK(goes > 3);
  CHECK(goes < rowCount);
  CHECK(update->outcome.message == "");
  CHECK(update->outcome.count == 1);
  CHECK(countNames(*transaction) == 1);
}

TEST_CASE_FIXTURE(Operations, "the search for an entry ends when it is cancelled") {
  const std::shared_ptr<Transaction> transaction = begin();
  transaction->takeSnapshot();
  insertRows();
  const std::shared_ptr<ChangeOperation> update = updateLast(transaction);
  REQUIRE(update->go(spent()) == Progress::AGAIN);
  REQUIRE(update->go(spent()) == Progress::AGAIN);
  update->cancelCode = static_cast<uint32_t>(ErrorCode::CANCELLED);
  CHECK(update->go(spent()) == Progress::DONE);
  CHECK(update->outcome.code == ErrorCode::CANCELLED);
  CHECK_FALSE(transaction->hasWrites());
  CHECK(countNames(*transaction) == 0);
}
