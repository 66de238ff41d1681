#pragma once

#include <set>

#include "state.hpp"

// A random workload on a store, with a recording of what it does to its files.
namespace vamos::test {

// A store's life from its opening to a power loss. Event number k makes states[k] of states[k - 1]; the
// recording has a mark `issuedMark(k)` before the store is asked for it, and `safeMark(k)` after it was
// acknowledged as synced.
struct Life {
  // The files that it begins with, and what a power loss leaves of them.
  Tree start;
  std::shared_ptr<const SimulatedDisk> disk;
  // The first ones are of the life before, from the one that had to be there up to the one that was.
  std::vector<State> states;
  std::map<std::string, Changes> prepared;  // by xid: what its commit changes
  std::vector<FileOperation> operations;
  std::vector<std::string> streams;
};

constexpr uint64_t issuedMark(uint64_t event) { return event * 2; }
constexpr uint64_t safeMark(uint64_t event) { return event * 2 + 1; }

// What of a life may be there after a power loss at some place of its recording.
struct Bounds {
  size_t least = 0;  // events that have to be there
  size_t most = 0;   // events that may be there

  void apply(const FileOperation& operation) {
    if (operation.action != FileAction::MARK) return;
    const uint64_t event = operation.mark / 2;
    if (operation.mark == safeMark(event))
      least = std::max<size_t>(least, event);
    else
      most = std::max<size_t>(most, event);
  }
};

class Workload {
 public:
  Workload(WatchedStore& host, Random& random) : host_(host), random_(random) {}

  // Begins as the life says, and makes so many steps.
  Life run(Life life, uint64_t firstNumber, size_t steps) {
    life_ = std::move(life);
    for (const char letter : {'r', 's', 't'}) life_.streams.emplace_back(20, letter);
    lastNumber_ = firstNumber;
    host_.build(life_.start);
    host_.files->takeOperations();
    host_.files->mark(issuedMark(life_.states.size() - 1));
    host_.openRoot();
    now_ = host_.read(life_.streams);
    while (life_.states.size() > 1 && life_.states.back() != now_) life_.states.pop_back();
    if (life_.states.back() != now_)
      throw Wrong("not what was there before:" + difference(life_.states.back(), now_));
    // A reader is told what was there, so that must stay, even if it was not acknowledged before.
    host_.files->mark(safeMark(life_.states.size() - 1));
    for (const auto& [xid, changes] : life_.prepared) {
      if (now_.contains("prepared/" + xid)) lock(changes);
    }
    for (size_t i = 0; i < steps; i++) step();
    settle();
    if (happens(random_, 0.5)) host_.store.reset();
    life_.operations = host_.files->takeOperations();
    host_.store.reset();
    host_.files->takeOperations();
    return std::move(life_);
  }
  uint64_t lastNumber() const { return lastNumber_; }

 private:
  struct Pending {
    uint64_t operation;
    uint64_t event;
    bool isSynced;
  };
  // One that is open: what it changes when it commits.
  struct Open {
    uint64_t number;
    Changes changes{};
    std::set<std::string> touched{};  // also what a savepoint undid
  };

  void step() {
    switch (below(random_, 20)) {
      case 0:
        return prepareOne();
      case 1:
      case 2:
        return endPrepared();
      case 3:
        return changeCatalogue();
      case 4:
        return happens(random_, 0.5) ? dropScratch() : makeScratch();
      case 5:
        return rollbackOne();
      case 6:
        return happens(random_, 0.2) ? reopen() : leaveBlob();
      case 7:
      case 8:
        return commitGroup();
      case 9:
        return commitShared();
      default:
        Open transaction = begin();
        fill(transaction);
        numberOne(transaction);
        commit({transaction});
    }
  }

  Durability durability() {
    return std::array{Durability::SYNCED, Durability::SYNCED, Durability::SYNCED, Durability::WRITTEN,
                      Durability::MEMORY}[below(random_, 5)];
  }
  Open begin() { return {host_.begin()}; }

  // The store is about to be asked for this: an event.
  uint64_t issue(const Changes& changes) {
    apply(changes, now_);
    life_.states.push_back(now_);
    const uint64_t event = life_.states.size() - 1;
    host_.files->mark(issuedMark(event));
    return event;
  }
  void expect(uint64_t operation, uint64_t event, Durability durability) {
    pending_.push_back({operation, event, durability == Durability::SYNCED});
    if (happens(random_, 0.7)) settle();
  }
  void settle() {
    for (const Pending& pending : std::exchange(pending_, {})) {
      const Outcome outcome = host_.wait(pending.operation);
      if (!outcome.ok()) throw Wrong("a commit fails: " + outcome.message);
      if (pending.isSynced) host_.files->mark(safeMark(pending.event));
    }
  }
  void check(const Outcome& outcome) const {
    if (!outcome.ok()) throw Wrong("a write fails: " + outcome.message);
  }

  void commit(const std::vector<Open>& transactions) {
    const Durability durability = this->durability();
    std::vector<uint64_t> numbers;
    std::vector<uint64_t> events;
    for (const Open& transaction : transactions) {
      // One that wrote nothing is acknowledged without a sync of what came before it.
      if (transaction.changes.empty()) {
        host_.store->rollback(transaction.number);
        continue;
      }
      numbers.push_back(transaction.number);
      events.push_back(issue(transaction.changes));
    }
    const std::vector<uint64_t> operations = host_.store->end(Ending::COMMIT, numbers, durability);
    for (size_t i = 0; i < operations.size(); i++) expect(operations[i], events[i], durability);
  }

  // One row of a table that no prepared transaction has locked, as the transaction sees it.
  void changeRow(Open& transaction, uint32_t table) {
    const bool isNew = happens(random_, 0.5);
    const std::string prefix = "row/" + std::to_string(table) + "/";
    if (isNew || !changeOld(transaction, table, prefix)) {
      Row row = makeRow(static_cast<uint32_t>(++lastNumber_), table, transaction);
      check(host_.write(transaction.number, table, WriteKind::INSERT, {row}));
      transaction.changes[prefix + std::to_string(row.number)] = WatchedStore::rowValue(row);
    }
  }
  // False: there is none.
  bool changeOld(Open& transaction, uint32_t table, const std::string& prefix) {
    std::vector<std::string> items;
    for (auto item = now_.lower_bound(prefix); item != now_.end() && item->first.starts_with(prefix);
         item++) {
      if (!locked_.contains(item->first) && !transaction.changes.contains(item->first))
        items.push_back(item->first);
    }
    if (items.empty()) return false;
    const std::string& item = items[below(random_, items.size())];
    const std::string& value = now_.at(item);
    const size_t slash = value.find('/');
    const Row before{static_cast<uint32_t>(std::stoul(item.substr(prefix.size()))), value.substr(0, slash),
                     value.substr(slash + 1)};
    if (table == WatchedStore::notes && !before.name.empty()) {
      host_.store->removeBlob(transaction.number, std::stoull(before.name));
      transaction.changes["blob/" + before.name] = std::nullopt;
    }
    if (happens(random_, 0.4)) {
      check(host_.write(transaction.number, table, WriteKind::DELETE, {before}));
      transaction.changes[item] = std::nullopt;
      return true;
    }
    const Row after = makeRow(before.number, table, transaction);
    std::string batch;
    WatchedStore::appendOld(batch, before);
    WatchedStore::appendNew(batch, after);
    check(host_.wait(host_.store->write(transaction.number, table, WriteKind::UPDATE, batch, Wait::WAIT)));
    transaction.changes[item] = WatchedStore::rowValue(after);
    return true;
  }
  Row makeRow(uint32_t number, uint32_t table, Open& transaction) {
    Row row{number, "", "city " + std::to_string(below(random_, 9))};
    if (table == WatchedStore::notes) {
      if (happens(random_, 0.5)) row.name = std::to_string(makeBlob(transaction));
      row.city += std::string(below(random_, 500), 'c');
    } else if (happens(random_, 0.9)) {
      row.name = "name " + std::to_string(++lastNumber_) + " ";
      while (happens(random_, 0.98)) row.name += static_cast<char>('a' + below(random_, 26));
    }
    return row;
  }
  uint64_t writeBlob() {
    const uint64_t blob = ++lastNumber_;
    const std::string bytes = WatchedStore::blobBytes(blob);
    for (size_t i = 0; i < bytes.size(); i += WatchedStore::blobChunkBytes) {
      check(host_.wait(host_.store->writeBlob(blob, i, bytes.substr(i, WatchedStore::blobChunkBytes))));
    }
    return blob;
  }
  uint64_t makeBlob(Open& transaction) {
    const uint64_t blob = writeBlob();
    host_.store->adoptBlob(transaction.number, blob);
    transaction.changes["blob/" + std::to_string(blob)] =
        std::to_string(WatchedStore::blobBytes(blob).size());
    return blob;
  }
  // Some rows of several tables, some of which a rollback to a savepoint takes back.
  void fill(Open& transaction) {
    const size_t rows = happens(random_, 0.4) ? 1 : 1 + below(random_, 6);
    for (size_t i = 0; i < rows; i++) {
      const bool isUndone = rows > 1 && happens(random_, 0.1);
      Open undone = transaction;
      if (isUndone) host_.store->setSavepoint(transaction.number);
      changeRow(isUndone ? undone : transaction, tableToChange());
      if (isUndone) {
        // Their locks stay.
        for (const auto& [item, value] : undone.changes) transaction.touched.insert(item);
        host_.store->rollbackToSavepoint(transaction.number);
        host_.store->releaseSavepoint(transaction.number);
      }
    }
  }
  uint32_t tableToChange() {
    const std::vector<uint32_t> scratch = scratchTables();
    if (!scratch.empty() && happens(random_, 0.2)) return scratch[below(random_, scratch.size())];
    return happens(random_, 0.7) ? WatchedStore::people : WatchedStore::notes;
  }
  void numberOne(Open& transaction) {
    if (!happens(random_, 0.5) || transaction.changes.empty()) return;
    const std::string& stream = life_.streams[below(random_, life_.streams.size())];
    const std::string item = "stream/" + stream;
    const uint64_t number = (now_.contains(item) ? std::stoull(now_.at(item)) : 0) + 1;
    const std::string token = "token " + std::to_string(++lastNumber_);
    host_.store->numberCommit(transaction.number, stream, {number, token});
    transaction.changes[item] = std::to_string(number) + " " + token;
  }

  // Each is done with before the next begins, since they may change the same row; their commits go together.
  void commitGroup() {
    std::vector<Open> group;
    const size_t count = 2 + below(random_, 3);
    for (size_t i = 0; i < count; i++) {
      Open transaction = begin();
      const uint32_t table = happens(random_, 0.5) ? WatchedStore::people : WatchedStore::notes;
      const Row row = makeRow(static_cast<uint32_t>(++lastNumber_), table, transaction);
      check(host_.write(transaction.number, table, WriteKind::INSERT, {row}));
      transaction.changes[WatchedStore::rowItem(table, row.number)] = WatchedStore::rowValue(row);
      group.push_back(std::move(transaction));
    }
    commit(group);
  }
  void commitShared() {
    Open shared{host_.store->beginShared()};
    for (int i = 0; i < 3; i++) {
      const Row row = makeRow(static_cast<uint32_t>(++lastNumber_), WatchedStore::people, shared);
      // What takes longer than the event loop has time for is undone.
      if (!host_.write(shared.number, WatchedStore::people, WriteKind::INSERT, {row}).ok()) continue;
      shared.changes[WatchedStore::rowItem(WatchedStore::people, row.number)] = WatchedStore::rowValue(row);
    }
    commit({shared});
  }
  void rollbackOne() {
    Open transaction = begin();
    fill(transaction);
    host_.store->rollback(transaction.number);
  }
  // Nobody adopts it: it goes when the store is told so, or opens again.
  void leaveBlob() {
    const uint64_t blob = writeBlob();
    if (happens(random_, 0.5)) host_.store->discardBlob(blob);
  }

  void lock(const Changes& changes) {
    for (const auto& [item, value] : changes) locked_.insert(item);
  }
  void prepareOne() {
    Open transaction = begin();
    fill(transaction);
    if (transaction.changes.empty()) return host_.store->rollback(transaction.number);
    const std::string xid = "xid " + std::to_string(++lastNumber_);
    host_.store->setXid(transaction.number, xid);
    const Durability durability = this->durability();
    const uint64_t event = issue({{"prepared/" + xid, ""}});
    lock(transaction.changes);
    locked_.merge(transaction.touched);
    life_.prepared[xid] = transaction.changes;
    expect(host_.store->end(Ending::PREPARE, {transaction.number}, durability).at(0), event, durability);
    // A table that a prepared transaction changed isn't dropped, nor can be.
    settle();
  }
  void endPrepared() {
    settle();
    const std::vector<PreparedTransaction> all = host_.store->prepared();
    if (all.empty()) return;
    const PreparedTransaction& one = all[below(random_, all.size())];
    const bool commits = happens(random_, 0.6);
    Changes changes = life_.prepared.at(one.xid);
    for (const auto& [item, value] : changes) locked_.erase(item);
    if (!commits) changes.clear();
    changes["prepared/" + one.xid] = std::nullopt;
    const Durability durability = this->durability();
    const uint64_t event = issue(changes);
    expect(host_.store->end(commits ? Ending::COMMIT : Ending::ROLLBACK, {one.transaction}, durability).at(0),
           event, durability);
  }

  void putRecord(const std::string& key, std::optional<std::string> value, bool isSynced,
                 Changes changes = {}) {
    changes["catalogue/" + key] = value;
    const uint64_t event = issue(changes);
    const Answer answer = host_.store->putRecords({{key, std::move(value)}}, isSynced);
    expect(answer.operation, event, isSynced ? Durability::SYNCED : Durability::WRITTEN);
  }
  void changeCatalogue() {
    const std::string key = "counter " + std::to_string(below(random_, 4));
    if (now_.contains("catalogue/" + key) && happens(random_, 0.3))
      putRecord(key, std::nullopt, true);
    else
      putRecord(key, std::to_string(++lastNumber_), happens(random_, 0.5));
  }
  std::vector<uint32_t> scratchTables() const {
    std::vector<uint32_t> tables;
    const std::string prefix = "catalogue/table ";
    for (auto item = now_.lower_bound(prefix); item != now_.end() && item->first.starts_with(prefix);
         item++) {
      tables.push_back(static_cast<uint32_t>(std::stoul(item->first.substr(prefix.size()))));
    }
    return tables;
  }
  void makeScratch() {
    const uint32_t table = WatchedStore::firstScratch + static_cast<uint32_t>(++lastNumber_);
    putRecord("table " + std::to_string(table), "", true);
    settle();
    host_.defineTable(table);
    Open transaction = begin();
    for (size_t i = below(random_, 20); i > 0; i--) changeRow(transaction, table);
    commit({transaction});
  }
  // As the host does it: the catalogue first, synced, then the data.
  void dropScratch() {
    settle();
    for (const uint32_t table : scratchTables()) {
      const std::string prefix = "row/" + std::to_string(table) + "/";
      const auto isIn = [&](const std::string& item) { return item.starts_with(prefix); };
      if (std::any_of(locked_.begin(), locked_.end(), isIn)) continue;
      Changes changes;
      for (auto item = now_.lower_bound(prefix); item != now_.end() && isIn(item->first); item++) {
        changes[item->first] = std::nullopt;
      }
      putRecord("table " + std::to_string(table), std::nullopt, true, std::move(changes));
      settle();
      host_.store->dropTable(table);
      return;
    }
  }

  void reopen() {
    settle();
    host_.openRoot();
    const State seen = host_.read(life_.streams);
    if (seen != now_) throw Wrong("what was closed is not what was opened" + difference(now_, seen));
  }

  WatchedStore& host_;
  Random& random_;
  Life life_;
  State now_;
  std::set<std::string> locked_;  // items that prepared transactions change
  std::vector<Pending> pending_;
  uint64_t lastNumber_ = 0;
};

}  // namespace vamos::test
