#pragma once

#include <fstream>
#include <optional>
#include <stdexcept>

#include "disk.hpp"
#include "test/store/store_fixture.hpp"

// What a store holds, in a form that can be compared, and how it is read out of one.
namespace vamos::test {

using store::CommitMark;
using store::PreparedTransaction;
using store::Record;

// Every item that a user of the store can see, as text: "row/TABLE/NUMBER", "blob/NUMBER", "catalogue/KEY",
// "stream/NAME" (number and token of its last commit), "prepared/XID".
using State = std::map<std::string, std::string>;
// No value: the item is removed.
using Changes = std::map<std::string, std::optional<std::string>>;

inline void apply(const Changes& changes, State& state) {
  for (const auto& [item, value] : changes) {
    if (value) {
      state[item] = *value;
    } else {
      state.erase(item);
    }
  }
}

inline std::string difference(const State& expected, const State& seen) {
  std::string text;
  const auto add = [&text](const std::string& line) {
    if (text.size() < 2000) text += "\n    " + line.substr(0, 120);
  };
  for (const auto& [item, value] : expected) {
    const auto found = seen.find(item);
    if (found == seen.end())
      add(item + " is missing");
    else if (found->second != value)
      add(item + " is " + found->second + ", not " + value);
  }
  for (const auto& [item, value] : seen) {
    if (!expected.contains(item)) add(item + " should not be there");
  }
  return text;
}

class Wrong : public std::runtime_error {
  using runtime_error::runtime_error;
};

// A store with its root as a tree of files. All tables have the fixture's layout.
class WatchedStore : public StoreFixture {
 public:
  static constexpr uint32_t people = StoreFixture::table;
  static constexpr uint32_t notes = 8;  // a row's name: the number of the blob that it owns; none: no blob
  static constexpr uint32_t firstScratch = 100;
  static constexpr uint64_t blobChunkBytes = 3000;

  explicit WatchedStore(std::shared_ptr<RecordedFiles> recordedFiles)
      : files(std::move(recordedFiles)), env_(rocksdb::NewCompositeEnv(files)) {
    options.env = env_.get();
    options.memtableBytes = 64 << 10;
    options.blockCacheBytes = 1 << 20;
    shut();
  }
  ~WatchedStore() { store.reset(); }

  // Its store is the folder "tables" in it.
  const std::string& root() const { return directory(); }
  // Closes, and removes all files.
  void shut() {
    store.reset();
    for (const auto& entry : std::filesystem::directory_iterator(root())) std::filesystem::remove_all(entry);
  }
  void build(const Tree& tree) {
    shut();
    files->forgetNames();
    for (const auto& [name, content] : tree) {
      const std::filesystem::path path = root() + "/" + name;
      std::filesystem::create_directories(path.parent_path());
      std::ofstream(path, std::ios::binary) << *content;
    }
  }
  void openRoot() {
    reopen();
    defineTable(notes);
    for (const Record& record : store->getRecords("")) {
      if (record.key.starts_with("table ")) defineTable(std::stoul(record.key.substr(6)));
    }
  }
  void defineTable(uint32_t number) {
    const uint32_t space = number * 10;
    store->defineTable(
        {number, {{space, true, {{0}}}, {space + 1, true, {{1}}}, {space + 2, false, {{2}}}}, columns()});
  }

  Outcome write(uint64_t transaction, uint32_t number, WriteKind kind, const std::vector<Row>& rows) {
    std::string batch;
    for (const Row& row : rows) {
      if (kind == WriteKind::DELETE)
        appendOld(batch, row);
      else
        appendNew(batch, row);
    }
    return wait(store->write(transaction, number, kind, batch, Wait::WAIT));
  }

  // Throws Wrong where what it reads doesn't agree with itself.
  State read(const std::vector<std::string>& streams) {
    State state;
    readTable(people, state);
    for (const Row& row : readTable(notes, state)) {
      if (!row.name.empty()) state["blob/" + row.name] = readBlob(std::stoull(row.name));
    }
    for (const Record& record : store->getRecords("")) {
      state["catalogue/" + record.key] = record.value.value_or("");
      if (record.key.starts_with("table ")) readTable(std::stoul(record.key.substr(6)), state);
    }
    for (const std::string& stream : streams) {
      const CommitMark mark = store->lastCommit(stream);
      if (mark.number != 0) state["stream/" + stream] = std::to_string(mark.number) + " " + mark.token;
    }
    for (const PreparedTransaction& prepared : store->prepared()) state["prepared/" + prepared.xid] = "";
    return state;
  }

  static std::string rowItem(uint32_t table, uint32_t number) {
    return "row/" + std::to_string(table) + "/" + std::to_string(number);
  }
  static std::string rowValue(const Row& row) { return row.name + "/" + row.city; }
  static std::string blobBytes(uint64_t blob) {
    std::string bytes(1 + blob * 977 % 9000, '\0');
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>('a' + (i * blob) % 23);
    return bytes;
  }

  const std::shared_ptr<RecordedFiles> files;

 private:
  // All rows by the primary key, which must be the same by each other index.
  std::vector<Row> readTable(uint32_t number, State& state) {
    std::vector<Row> rows = readIndex(number, byNumber);
    State byPrimaryKey;
    for (const Row& row : rows) byPrimaryKey[rowItem(number, row.number)] = rowValue(row);
    for (const uint32_t index : {byName, byCity}) {
      State seen;
      size_t count = 0;
      for (const Row& row : readIndex(number, index)) {
        seen[rowItem(number, row.number)] = rowValue(row);
        count++;
      }
      if (seen != byPrimaryKey || count != rows.size()) {
        throw Wrong("index " + std::to_string(index) + " of table " + std::to_string(number) + " has " +
                    std::to_string(count) + " entries that show rows, for " + std::to_string(rows.size()) +
                    " rows" + difference(byPrimaryKey, seen));
      }
    }
    state.merge(byPrimaryKey);
    return rows;
  }
  std::vector<Row> readIndex(uint32_t number, uint32_t index) {
    CursorOptions cursorOptions;
    cursorOptions.table = number;
    cursorOptions.index = index;
    const uint64_t cursor = store->openCursor(0, std::move(cursorOptions));
    std::vector<Row> rows;
    while (true) {
      const Outcome outcome = wait(store->fetch(cursor, 1 << 20));
      if (!outcome.ok()) throw Wrong("a scan fails: " + outcome.message);
      Reader reader(outcome.result);
      while (!reader.atEnd()) rows.push_back(parseRow(reader.take(reader.u32())));
      if (outcome.atEnd) break;
    }
    store->closeCursor(cursor);
    return rows;
  }
  static Row parseRow(std::string_view bytes) {
    Reader reader(bytes, 1);
    Row row;
    row.number = reader.u32();
    const uint32_t nameEnd = reader.u32();
    const uint32_t cityEnd = reader.u32();
    row.name = reader.take(nameEnd);
    row.city = reader.take(cityEnd - nameEnd);
    if (reader.failed() || !reader.atEnd()) throw Wrong("a row's bytes don't check");
    return row;
  }
  std::string readBlob(uint64_t blob) {
    const Outcome outcome = wait(store->readBlob(0, blob, 0, 1 << 20));
    if (!outcome.ok()) throw Wrong("blob " + std::to_string(blob) + ": " + outcome.message);
    if (outcome.result != blobBytes(blob)) throw Wrong("blob " + std::to_string(blob) + " is not whole");
    return std::to_string(outcome.result.size());
  }

  const std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace vamos::test
