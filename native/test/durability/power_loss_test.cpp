#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <queue>
#include <thread>
#include <unordered_set>

#include "test/durability/power_loss/workload.hpp"

// Lives of a store, each ended by a power loss: its files as a disk may have them after each sync and between
// are opened again by the store. `npm run test:power-loss` runs this with thousands of such points; from a
// test run VAMOS_POWER_LOSS_POINTS and VAMOS_POWER_LOSS_SEED say how many, and which.
using namespace vamos;
using namespace vamos::engine;
using namespace vamos::store;
using namespace vamos::test;

namespace {

constexpr size_t stepsPerLife = 60;
constexpr size_t livesPerRoot = 4;
constexpr size_t mostFailures = 5;
constexpr size_t mostQueued = 64;
constexpr auto syncTime = std::chrono::microseconds(100);
constexpr auto progressInterval = std::chrono::seconds(5);

struct Point {
  std::shared_ptr<const Life> life;
  Tree tree;
  Bounds bounds;
  std::string description;
};

// Opens roots as power losses left them, in a thread of its own.
class Checker {
 public:
  Checker() : host_(RecordedFiles::make()) { host_.files->record(false); }

  // Empty: all is as it has to be.
  std::string check(const Point& point) {
    try {
      host_.build(point.tree);
      host_.openRoot();
      const State& state = find(point);
      endPrepared(*point.life, state);
      return "";
    } catch (const StoreError& error) {
      return "the store does not open: " + error.message;
    } catch (const std::exception& error) {
      return error.what();
    }
  }

 private:
  // The state that a prefix of the life's events made: with all that were acknowledged as synced.
  const State& find(const Point& point) {
    const std::vector<State>& states = point.life->states;
    const State seen = host_.read(point.life->streams);
    if (states.empty()) throw Wrong("the store opens, and holds:" + difference({}, seen));
    for (size_t k = point.bounds.least; k <= point.bounds.most; k++) {
      if (states[k] == seen) return states[k];
    }
    for (size_t k = 0; k < point.bounds.least; k++) {
      if (states[k] != seen) continue;
      throw Wrong("lost: " + std::to_string(point.bounds.least) + " events were acknowledged as synced, " +
                  std::to_string(k) + " are there" + difference(states[point.bounds.least], seen));
    }
    throw Wrong("no state that the store ever had; compared with the one that was acknowledged last:" +
                difference(states[point.bounds.least], seen));
  }
  // Prepared transactions can be committed and rolled back, and the store takes new commits.
  void endPrepared(const Life& life, State state) {
    bool commits = true;
    for (const PreparedTransaction& prepared : host_.store->prepared()) {
      const Outcome outcome = host_.end(commits ? Ending::COMMIT : Ending::ROLLBACK, prepared.transaction);
      if (!outcome.ok()) throw Wrong("a prepared transaction can't be ended: " + outcome.message);
      state.erase("prepared/" + prepared.xid);
      if (commits) apply(life.prepared.at(prepared.xid), state);
      commits = !commits;
    }
    const Row row{UINT32_MAX, "new", "row"};
    const uint64_t transaction = host_.begin();
    Outcome outcome = host_.write(transaction, WatchedStore::people, WriteKind::INSERT, {row});
    if (outcome.ok()) outcome = host_.commit(transaction, Durability::SYNCED);
    if (!outcome.ok()) throw Wrong("the store takes no new row: " + outcome.message);
    state[WatchedStore::rowItem(WatchedStore::people, row.number)] = WatchedStore::rowValue(row);
    const State seen = host_.read(life.streams);
    if (seen != state)
      throw Wrong("wrong after its prepared transactions were ended:" + difference(state, seen));
  }

  WatchedStore host_;
};

class PowerLosses {
 public:
  PowerLosses(size_t points, uint64_t seed) : points_(points), seed_(seed), random_(seed) {}

  void run() {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); i++) {
      threads.emplace_back([this] { work(); });
    }
    try {
      while (!isEnough()) liveAndDie();
    } catch (const std::exception& error) {
      fail({}, error.what());
    }
    {
      const std::lock_guard guard(mutex_);
      isComplete_ = true;
      hasWork_.notify_all();
    }
    for (std::thread& thread : threads) thread.join();
    tell();
    CHECK(failures_.empty());
    CHECK(checked_ >= (failures_.empty() ? points_ : 0));
  }

 private:
  // Some lives of one root.
  void liveAndDie() {
    WatchedStore host(RecordedFiles::make());
    host.files->setSyncTime(syncTime);
    Life next{{}, std::make_shared<const SimulatedDisk>(host.root(), Tree()), {State()}};
    uint64_t lastNumber = 0;
    for (size_t i = 0; i < livesPerRoot && !isEnough(); i++) {
      Workload workload(host, random_);
      const auto life = std::make_shared<const Life>(workload.run(std::move(next), lastNumber, stepsPerLife));
      lives_++;
      events_ += life->states.size() - 1;
      lastNumber = workload.lastNumber();
      next = loseOften(life, host.root());
    }
  }

  // At each place of the recording, in several ways. What the next life begins with: one of them, or what a
  // kill leaves.
  Life loseOften(const std::shared_ptr<const Life>& life, const std::string& root) {
    SimulatedDisk disk = *life->disk;
    Bounds bounds;
    Life next;
    const std::vector<FileOperation>& operations = life->operations;
    const size_t end = below(random_, operations.size());
    const bool isKill = happens(random_, 0.5);
    for (size_t i = 0; i <= operations.size() && !isEnough(); i++) {
      const bool isLast = i == operations.size();
      const FileAction action = isLast ? FileAction::SYNC : operations[i].action;
      const bool isSync = action == FileAction::SYNC || action == FileAction::SYNC_DIRECTORY;
      const auto lose = [&](Kept kept) {
        Tree tree = disk.afterPowerLoss(kept, random_);
        if (i >= end && !next.disk && (kept == Kept::EVERYTHING || !isKill)) {
          next = begin(*life, bounds, tree);
          next.disk = std::make_shared<const SimulatedDisk>(isKill ? disk.afterKill(life, operations.size())
                                                                   : SimulatedDisk(root, tree));
        }
        add({life, std::move(tree), bounds, describe(i, kept)});
      };
      if (isSync) {
        for (const Kept kept : {Kept::NOTHING, Kept::EVERYTHING, Kept::IN_ORDER, Kept::ANY_ORDER}) lose(kept);
      } else if (action != FileAction::MARK) {
        lose(happens(random_, 0.5) ? Kept::IN_ORDER : Kept::ANY_ORDER);
      }
      if (isLast) break;
      bounds.apply(operations[i]);
      disk.apply(operations[i], i);
    }
    return next;
  }
  static Life begin(const Life& before, Bounds bounds, Tree tree) {
    Life life{std::move(tree), nullptr, {}, before.prepared};
    const auto states = before.states.begin();
    life.states.assign(states + static_cast<ptrdiff_t>(bounds.least),
                       states + static_cast<ptrdiff_t>(bounds.most) + 1);
    return life;
  }

  std::string describe(size_t operation, Kept kept) const {
    const char* names[] = {"nothing is kept", "everything is kept", "a part is kept in order",
                           "a part is kept in any order"};
    return "seed " + std::to_string(seed_) + ", life " + std::to_string(lives_) + ", before operation " +
           std::to_string(operation) + " (of what was not synced " + names[static_cast<int>(kept)] + ")";
  }

  // Adds a point if it is new.
  void add(Point point) {
    size_t hash = point.bounds.least;
    for (const auto& [name, content] : point.tree) {
      for (const size_t part : {std::hash<std::string>()(name), std::hash<std::string>()(*content)}) {
        hash = hash * 1099511628211ULL ^ part;
      }
    }
    if (!known_.insert(hash).second) return;
    std::unique_lock guard(mutex_);
    hasRoom_.wait(guard, [this] { return queue_.size() < mostQueued; });
    queue_.push(std::move(point));
    added_++;
    hasWork_.notify_one();
  }

  void work() {
    Checker checker;
    std::unique_lock guard(mutex_);
    while (true) {
      hasWork_.wait(guard, [this] { return isComplete_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const Point point = std::move(queue_.front());
      queue_.pop();
      hasRoom_.notify_one();
      guard.unlock();
      const std::string wrong = failures() < mostFailures ? checker.check(point) : "";
      if (!wrong.empty()) fail(point, wrong);
      guard.lock();
      checked_++;
      if (std::chrono::steady_clock::now() >= nextProgress_) tell();
    }
  }

  void fail(const Point& point, const std::string& wrong) {
    std::string text = point.description + ": " + wrong;
    if (!point.tree.empty()) {
      std::string folder = "/tmp/vamos-power-loss-XXXXXX";
      if (mkdtemp(folder.data()) != nullptr) {
        for (const auto& [name, content] : point.tree) {
          const std::filesystem::path path = folder + "/" + name;
          std::filesystem::create_directories(path.parent_path());
          std::ofstream(path, std::ios::binary) << *content;
        }
        text += "\n    the root as it was: " + folder;
      }
    }
    const std::lock_guard guard(mutex_);
    std::cout << "WRONG: " << text << std::endl;
    failures_.push_back(text);
  }
  size_t failures() {
    const std::lock_guard guard(mutex_);
    return failures_.size();
  }
  bool isEnough() {
    const std::lock_guard guard(mutex_);
    return added_ >= points_ || failures_.size() >= mostFailures;
  }
  void tell() {
    nextProgress_ = std::chrono::steady_clock::now() + progressInterval;
    std::cout << "power losses (seed " << seed_ << "): " << checked_ << " of " << points_
              << " points opened, " << failures_.size() << " wrong; " << lives_ << " lives with " << events_
              << " events" << std::endl;
  }

  const size_t points_;
  const uint64_t seed_;
  Random random_;
  std::unordered_set<size_t> known_;
  std::atomic<size_t> lives_ = 0;
  std::atomic<size_t> events_ = 0;
  // The rest under the mutex.
  std::mutex mutex_;
  std::condition_variable hasWork_;
  std::condition_variable hasRoom_;
  std::queue<Point> queue_;
  bool isComplete_ = false;
  size_t added_ = 0;
  size_t checked_ = 0;
  std::vector<std::string> failures_;
  std::chrono::steady_clock::time_point nextProgress_ = std::chrono::steady_clock::now() + progressInterval;
};

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::stoull(value);
}

// Memory, where there is a file system in it: a point takes some twenty small files.
void useMemory() {
  const std::filesystem::path memory = "/dev/shm";
  if (std::getenv("TMPDIR") == nullptr && std::filesystem::is_directory(memory)) {
    setenv("TMPDIR", memory.c_str(), 1);
  }
}

// What the store makes of a root that a run kept.
void openKeptRoot(const std::filesystem::path& root) {
  Point point{std::make_shared<const Life>(), {}, {}, ""};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_directory()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    point.tree[entry.path().lexically_relative(root)] = std::make_shared<const std::string>(
        std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::cout << Checker().check(point) << std::endl;
}

}  // namespace

TEST_CASE("after a power loss every commit that was acknowledged as synced is there, and none in part") {
  useMemory();
  if (const char* root = std::getenv("VAMOS_POWER_LOSS_ROOT")) return openKeptRoot(root);
  PowerLosses(setting("VAMOS_POWER_LOSS_POINTS", 200), setting("VAMOS_POWER_LOSS_SEED", 1)).run();
}
