#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <algorithm>
#include <random>

#include "test/engine/program_code.hpp"
#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr uint32_t wide = 8;  // the table's number
constexpr uint32_t id = 0;
constexpr uint32_t tag = 1;
constexpr uint32_t a = 2;
constexpr uint32_t b = 3;
constexpr uint32_t c = 4;
constexpr uint32_t d = 5;
constexpr uint32_t e = 6;
constexpr uint32_t payload = 7;

using Columns = std::vector<uint32_t>;
using Texts = std::vector<std::string>;

std::vector<Column> wideColumns() {
  const auto column = [](ColumnKind kind, uint32_t widthBytes = 0, bool isNullable = false) {
    return Column{static_cast<uint32_t>(kind), widthBytes, isNullable};
  };
  return {column(ColumnKind::UINT32),         column(ColumnKind::FIXED, 3),
          column(ColumnKind::INT16, 0, true), column(ColumnKind::BYTES, 0, true),
          column(ColumnKind::INT64),          column(ColumnKind::DOUBLE),
          column(ColumnKind::BYTES, 0, true), column(ColumnKind::BYTES)};
}

std::vector<IndexLayout> wideIndexes(bool hasOpaquePart) {
  return {{20, true, {{id}, {tag, true}}},
          {21, false, {{a, true}, {b}}},
          {22, true, {{b}, {c, true}}},
          {23, false, {{d}, {c}}},
          {24, false, {{c}, {e, false, hasOpaquePart}, {a}}},
          {25, true, {{e, true}}}};
}

// What an index's entries give back.
const std::vector<Columns> givenBy{{},           {id, tag, a, b}, {id, tag, b, c},
                                   {id, tag, c}, {id, tag, c},    {id, tag, e}};
// And some that they don't.
const std::vector<Columns> notGivenBy{{}, {c, d, e, payload}, {a, payload}, {d, a}, {e, a}, {a, b, payload}};

struct WideRow {
  std::vector<Cell> cells;

  std::string bytes() const { return rowOf(cells); }
  std::string primaryKey() const { return entry(0).first; }
  // Key bytes, and whether they have a NULL.
  std::pair<std::string, bool> entry(uint32_t index) const {
    std::string key;
    const bool hasNull =
        appendKey(*RowLayout::make(wideColumns()), bytes(), wideIndexes(false)[index].parts, key);
    return {key, hasNull};
  }
};

// Rows of a table with indexes of many kinds, written at random: by transactions that commit immediately, and
// by one that is open and reads.
class WideTable : public StoreFixture {
 public:
  WideTable() { store->defineTable({wide, wideIndexes(true), wideColumns()}); }

  uint32_t below(uint32_t limit) { return dice_() % limit; }

  WideRow randomRow() {
    static const Texts words{"", "x", "x\0"s, "\0\1\xFF"s, "xy", "\xFF\xFF"s};
    const auto word = [&](bool mayBeNull) {
      return mayBeNull && below(4) == 0 ? Cell{} : Cell{words[below(static_cast<uint32_t>(words.size()))], 0};
    };
    return {{{fixed(below(60)), 4},
             {below(2) == 0 ? "abc"s : "\0\x80\xFF"s, 3},
             below(4) == 0 ? Cell{std::nullopt, 2} : Cell{fixed(static_cast<int16_t>(below(5) - 2)), 2},
             word(true),
             {fixed(static_cast<int64_t>(below(9)) - 4), 8},
             {fixed(below(3) == 0 ? -0.0 : static_cast<double>(below(4)) - 2), 8},
             below(3) == 0 ? Cell{} : Cell{words[below(6)] + words[below(6)] + words[below(6)], 0},
             word(false)}};
  }

  using Rows = std::map<std::string, WideRow>;

  // One random write. Rows: as the transaction sees the latest ones; others that see the same change.
  void write(uint64_t transaction, Rows& rows, const std::vector<Rows*>& others = {}) {
    const WideRow after = randomRow();
    std::string batch;
    // 0: insert, 1: delete, else update.
    uint32_t kind = below(4);
    if (kind == 1 && rows.size() < 20) kind = 0;
    if (rows.empty()) kind = 0;
    if (kind == 0) {
      appendNew(batch, after);
      if (!run(transaction, WriteKind::INSERT, batch)) return;
      rows.emplace(after.primaryKey(), after);
      for (Rows* other : others) other->emplace(after.primaryKey(), after);
      return;
    }
    const auto [key, before] = *std::next(rows.begin(), below(static_cast<uint32_t>(rows.size())));
    appendOld(batch, before);
    if (kind == 1) {
      if (!run(transaction, WriteKind::DELETE, batch)) return;
      rows.erase(key);
      for (Rows* other : others) other->erase(key);
      return;
    }
    // Mostly under the same primary key, and with some keys of indexes as they were.
    WideRow changed = before;
    for (const uint32_t column : {id, tag, a, b, c, d, e, payload}) {
      if (below(column <= tag ? 8 : 3) == 0) changed.cells[column] = after.cells[column];
    }
    appendNew(batch, changed);
    if (!run(transaction, WriteKind::UPDATE, batch)) return;
    rows.erase(key);
    rows.emplace(changed.primaryKey(), changed);
    for (Rows* other : others) {
      other->erase(key);
      other->emplace(changed.primaryKey(), changed);
    }
  }

  // The rows' bytes, of these columns; each with its primary key. extra: one more column, that is read and
  // left out again.
  Texts take(const std::string& window, const Columns& columns, bool hasExtra) {
    std::vector<Column> read;
    for (const uint32_t column : columns) read.push_back(wideColumns()[column]);
    if (hasExtra) read.push_back(wideColumns()[payload]);
    Columns wanted;
    for (uint32_t i = 0; i < columns.size(); i++) wanted.push_back(i);
    const RowLayout layout = *RowLayout::make(read);
    Texts result;
    Reader reader(window);
    while (!reader.atEnd()) {
      std::string row;
      const uint32_t lengthBytes = reader.u32();
      if (lengthBytes == missingRow) {
        result.push_back("-");
        continue;
      }
      REQUIRE(layout.project(reader.take(lengthBytes), wanted, row));
      row += reader.lengthPrefixed(maxKeyBytes);
      REQUIRE_FALSE(reader.failed());
      result.push_back(row);
    }
    return result;
  }

  uint64_t open(uint64_t transaction, CursorOptions options) {
    options.table = wide;
    options.withKeys = true;
    return store->openCursor(transaction, std::move(options));
  }

  uint64_t rowsFromIndex() { return store->statistics().rowsFromIndex; }

  // The columns of an index's entries, read alone and with their rows: the same.
  void compareScans(uint64_t transaction, CursorOptions options) {
    CAPTURE(options.index);
    Columns columns = givenBy[options.index];
    std::shuffle(columns.begin(), columns.end(), dice_);
    columns.resize(1 + below(static_cast<uint32_t>(columns.size())));
    options.columns = columns;
    options.reverse = below(2) == 0;
    if (below(3) == 0) options.limitRows = 1 + below(6);
    if (below(3) == 0) options.filter = filter(options.index);
    const uint64_t windowBytes = below(2) == 0 ? 50 : 1 << 20;

    uint64_t before = rowsFromIndex();
    const Texts alone = read(transaction, options, columns, false, windowBytes);
    const uint64_t taken = rowsFromIndex() - before;
    if (options.filter.empty()) {
      REQUIRE(taken == alone.size());
    } else {
      REQUIRE(taken >= alone.size());
    }

    options.columns.push_back(payload);
    before = rowsFromIndex();
    REQUIRE(read(transaction, options, columns, true, windowBytes) == alone);
    REQUIRE(rowsFromIndex() == before);
  }

  // The same by keys of a unique index: some of rows, and others.
  void compareGets(uint64_t transaction, uint32_t index, const Rows& rows) {
    std::string keys;
    for (int i = 0; i < 5; i++) {
      WideRow row = randomRow();
      if (!rows.empty() && below(3) != 0) {
        row = std::next(rows.begin(), below(static_cast<uint32_t>(rows.size())))->second;
      }
      const auto [key, hasNull] = row.entry(index);
      if (!hasNull) appendLengthPrefixed(keys, key);
    }
    if (keys.empty()) return;
    Columns columns = givenBy[index];
    const std::string filterCode = below(2) == 0 ? "" : filter(index);
    const auto get = [&](bool hasExtra) {
      Columns read = columns;
      if (hasExtra) read.push_back(payload);
      const Outcome outcome =
          wait(store->get(transaction, wide, index, keys, Lock::NONE, Wait::WAIT, read, true, filterCode));
      REQUIRE(outcome.ok());
      return take(outcome.result, columns, hasExtra);
    };
    const uint64_t before = rowsFromIndex();
    const Texts alone = get(false);
    const uint64_t taken = rowsFromIndex() - before;
    REQUIRE(taken >= static_cast<uint64_t>(alone.size() - std::count(alone.begin(), alone.end(), "-")));
    REQUIRE(get(true) == alone);
    REQUIRE(rowsFromIndex() == before + taken);
  }

  // The same with writes of its own between the first window and the others.
  void compareAcross(uint64_t transaction, uint32_t index, Rows& rows) {
    CursorOptions options{
        .index = index, .reverse = below(2) == 0, .firstRows = 1 + below(5), .columns = givenBy[index]};
    const Columns columns = options.columns;
    const uint64_t alone = open(transaction, options);
    options.columns.push_back(payload);
    const uint64_t withRows = open(transaction, options);
    Outcome left = wait(store->fetch(alone, 1 << 20));
    Outcome right = wait(store->fetch(withRows, 1 << 20));
    REQUIRE(take(left.result, columns, false) == take(right.result, columns, true));
    write(transaction, rows);
    if (!left.atEnd) {
      left = wait(store->fetch(alone, 1 << 20));
      right = wait(store->fetch(withRows, 1 << 20));
      REQUIRE(take(left.result, columns, false) == take(right.result, columns, true));
    }
    store->closeCursor(alone);
    store->closeCursor(withRows);
  }

  void compareAggregates(uint64_t transaction, uint32_t index) {
    CursorOptions options{.index = index,
                          .filter = filter(index),
                          .aggregates = {{AggregateFunction::COUNT, ""},
                                         {AggregateFunction::SUM, column(id)},
                                         {AggregateFunction::MAX, column(givenBy[index].back())}}};
    if (below(2) == 0) options.filter.clear();
    if (below(2) == 0) options.aggregates.resize(1);
    const uint64_t before = rowsFromIndex();
    const std::string alone = aggregate(transaction, options);
    const uint64_t taken = rowsFromIndex() - before;
    options.filter = rowFilter(options.filter);
    REQUIRE(aggregate(transaction, options) == alone);
    REQUIRE(rowsFromIndex() == before + taken);
  }

  Texts read(uint64_t transaction, const CursorOptions& options, const Columns& columns, bool hasExtra,
             uint64_t windowBytes) {
    const uint64_t cursor = open(transaction, options);
    Texts result;
    Outcome outcome;
    do {
      outcome = wait(store->fetch(cursor, windowBytes));
      REQUIRE(outcome.ok());
      for (std::string& row : take(outcome.result, columns, hasExtra)) result.push_back(std::move(row));
    } while (!outcome.atEnd);
    store->closeCursor(cursor);
    return result;
  }

 private:
  static void appendEntries(std::string& batch, const WideRow& row) {
    for (uint32_t index = 0; index < givenBy.size(); index++) {
      const auto [key, hasNull] = row.entry(index);
      appendEntry(batch, {key, "", hasNull});
    }
  }
  static void appendNew(std::string& batch, const WideRow& row) {
    appendLengthPrefixed(batch, row.bytes());
    appendEntries(batch, row);
  }
  static void appendOld(std::string& batch, const WideRow& row) {
    const std::string bytes = row.bytes();
    appendU32(batch, crc32c(bytes.data(), bytes.size()));
    appendEntries(batch, row);
  }

  // False: another row has one of its keys, or another transaction its lock.
  bool run(uint64_t transaction, WriteKind kind, const std::string& batch) {
    const bool isAlone = transaction == 0;
    if (isAlone) transaction = begin();
    const Outcome outcome = wait(store->write(transaction, wide, kind, batch, Wait::NO_WAIT));
    if (!outcome.ok()) {
      REQUIRE((outcome.code == ErrorCode::DUPLICATE_KEY || outcome.code == ErrorCode::LOCK_NOT_AVAILABLE));
    }
    if (isAlone) REQUIRE(commit(transaction).ok());
    return outcome.ok();
  }

  // A filter of what the entries hold: the last column, or the number.
  std::string filter(uint32_t index) {
    const auto last = static_cast<uint8_t>(givenBy[index].back());
    if (last != c) return column(last) + text("w") + compare(Instruction::GREATER);
    return column(c) + integer(1) + compare(Instruction::LESS);
  }
  // The same, and something of the row that is always true.
  static std::string rowFilter(const std::string& filter) {
    const Code always = length(payload) + integer(0) + compare(Instruction::GREATER_OR_EQUAL);
    return filter.empty() ? always : Code{filter} + always + op(Instruction::AND);
  }

  std::string aggregate(uint64_t transaction, const CursorOptions& options) {
    const uint64_t cursor = open(transaction, options);
    const Outcome outcome = wait(store->fetch(cursor, 1));
    REQUIRE(outcome.ok());
    store->closeCursor(cursor);
    return outcome.result;
  }

  std::mt19937 dice_{7};
};

}  // namespace

TEST_CASE_FIXTURE(WideTable, "rows made from entries are the rows, over own writes and others' commits") {
  Rows committed;
  for (int round = 0; round < 30; round++) {
    CAPTURE(round);
    for (int i = 0; i < 20; i++) write(0, committed);
    const bool isReadCommitted = round % 2 == 1;
    const uint64_t reader = begin(isReadCommitted ? Isolation::READ_COMMITTED : Isolation::REPEATABLE_READ);
    // What the reader changed: others can't.
    Rows latest = committed;
    Rows before;
    bool hasSavepoint = false;
    for (int step = 0; step < 25; step++) {
      CAPTURE(step);
      switch (below(6)) {
        case 0:
        case 1:
          write(0, committed, {&latest, &before});
          write(0, committed, {&latest, &before});
          break;
        case 2:
          write(reader, latest);
          break;
        case 3:
          if (hasSavepoint) {
            store->rollbackToSavepoint(reader);
            latest = before;
          } else {
            store->setSavepoint(reader);
            before = latest;
          }
          hasSavepoint = true;
          break;
        case 4:
          if (isReadCommitted) store->beginStatement(reader);
          break;
        default:
          break;
      }
      const uint32_t index = 1 + below(static_cast<uint32_t>(givenBy.size()) - 1);
      compareScans(reader, {.index = index});
      compareScans(0, {.index = index});
      compareAggregates(reader, index);
      compareGets(reader, below(2) == 0 ? 2 : 5, latest);
      compareGets(0, below(2) == 0 ? 2 : 5, committed);
      if (below(4) == 0) compareAcross(reader, index, latest);
    }
    if (below(2) == 0) {
      store->rollback(reader);
    } else {
      REQUIRE(commit(reader).ok());
      committed = latest;
    }
  }
  CHECK(committed.size() > 5);
}

TEST_CASE_FIXTURE(WideTable, "what the entries do not have is read from the rows") {
  Rows rows;
  for (int i = 0; i < 50; i++) write(0, rows);
  for (uint32_t index = 1; index < givenBy.size(); index++) {
    CAPTURE(index);
    for (const uint32_t column : notGivenBy[index]) {
      CAPTURE(column);
      const Columns columns{column};
      CHECK(read(0, {.index = index, .columns = columns}, columns, false, 1 << 20).size() == rows.size());
    }
    Columns whole;
    for (uint32_t column = id; column <= payload; column++) whole.push_back(column);
    CHECK(read(0, {.index = index}, whole, false, 1 << 20).size() == rows.size());
  }
  CHECK(rowsFromIndex() == 0);
}

TEST_CASE_FIXTURE(WideTable, "a locking read reads the rows") {
  Rows rows;
  for (int i = 0; i < 50; i++) write(0, rows);
  const Columns columns{id};
  for (const Isolation isolation : {Isolation::REPEATABLE_READ, Isolation::READ_COMMITTED}) {
    const uint64_t transaction = begin(isolation);
    CHECK(read(transaction, {.index = 1, .lock = Lock::SHARED, .columns = columns}, columns, false, 50)
              .size() == rows.size());
    REQUIRE(commit(transaction).ok());
  }
  const uint64_t serializable = begin(Isolation::SERIALIZABLE);
  CHECK(read(serializable, {.index = 1, .columns = columns}, columns, false, 50).size() == rows.size());
  CHECK(rowsFromIndex() == 0);
}

TEST_CASE_FIXTURE(WideTable, "where an entry is no key of its index, the row is read") {
  const WideRow row = randomRow();
  std::string batch;
  appendLengthPrefixed(batch, row.bytes());
  for (uint32_t index = 0; index < givenBy.size(); index++) {
    const auto [key, hasNull] = row.entry(index);
    appendEntry(batch, {index == 1 ? "junk" : key, "", hasNull});
  }
  const uint64_t transaction = begin();
  REQUIRE(wait(store->write(transaction, wide, WriteKind::INSERT, batch, Wait::WAIT)).ok());
  REQUIRE(commit(transaction).ok());
  const Columns columns = givenBy[1];
  const Texts rows = read(0, {.index = 1, .columns = columns}, columns, false, 1 << 20);
  CHECK(rowsFromIndex() == 0);
  CHECK(rows.size() == 1);
  CHECK(rows == read(0, {.columns = columns}, columns, false, 1 << 20));
}

TEST_CASE_FIXTURE(WideTable, "of a table with very wide columns the rows are read: a cursor keeps little") {
  constexpr uint32_t veryWide = 9;
  constexpr uint32_t widthBytes = 20'000;
  store->defineTable({veryWide,
                      {{30, true, {{0}}}, {31, false, {{0}}}},
                      {{static_cast<uint32_t>(ColumnKind::UINT32), 0},
                       {static_cast<uint32_t>(ColumnKind::FIXED), widthBytes}}});
  std::string batch;
  appendLengthPrefixed(batch, rowOf({{fixed(7U), 4}, {std::string(widthBytes, 'x'), widthBytes}}));
  appendEntry(batch, {numberKey(7), "", false});
  appendEntry(batch, {numberKey(7), "", false});
  const uint64_t transaction = begin();
  REQUIRE(wait(store->write(transaction, veryWide, WriteKind::INSERT, batch, Wait::WAIT)).ok());
  REQUIRE(commit(transaction).ok());
  const uint64_t cursor = store->openCursor(0, {.table = veryWide, .index = 1, .columns = {0}});
  std::string window;
  appendLengthPrefixed(window, rowOf({{fixed(7U), 4}}));
  CHECK(wait(store->fetch(cursor, 1)).result == window);
  CHECK(rowsFromIndex() == 0);
}
