#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "test/durability/recorded_files.hpp"

#include <fstream>
#include <iterator>

#include "test/store/store_fixture.hpp"

using namespace vamos;
using namespace vamos::store;
using namespace vamos::test;

namespace {

// Every file under a folder, by its name there. Not those that no data depend on: RocksDB's messages, its
// lock.
std::map<std::string, std::string> filesBelow(const std::string& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    const std::string last = entry.path().filename().string();
    if (entry.is_directory() || last.starts_with("LOG") || last == "LOCK") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    result[name] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  return result;
}

// What the recorded operations make of an empty folder.
std::map<std::string, std::string> filesMadeBy(const std::vector<FileOperation>& operations,
                                               const std::string& folder) {
  std::map<std::string, uint64_t> names;
  std::map<uint64_t, std::string> contents;
  for (const FileOperation& operation : operations) {
    std::string& bytes = contents[operation.file];
    switch (operation.action) {
      case FileAction::CREATE:
        names[operation.path] = operation.file;
        break;
      case FileAction::WRITE:
        if (bytes.size() < operation.offset) bytes.resize(operation.offset);
        bytes.replace(operation.offset, operation.bytes.size(), operation.bytes);
        break;
      case FileAction::TRUNCATE:
        bytes.resize(operation.offset);
        break;
      case FileAction::RENAME:
      case FileAction::LINK:
        names[operation.newPath] = operation.file;
        if (operation.action == FileAction::RENAME) names.erase(operation.path);
        break;
      case FileAction::REMOVE:
        names.erase(operation.path);
        break;
      default:
        break;
    }
  }
  std::map<std::string, std::string> result;
  for (const auto& [path, file] : names) {
    const std::string name = std::filesystem::path(path).lexically_relative(folder).string();
    if (!name.starts_with("tables/LOG")) result[name] = contents[file];
  }
  return result;
}

struct Recorded : StoreFixture {
  Recorded() {
    store.reset();
    std::filesystem::remove_all(directory() + "/tables");
    options.env = env.get();
    options.memtableBytes = 64 << 10;
    open();
  }
  ~Recorded() { store.reset(); }

  std::shared_ptr<RecordedFiles> files = RecordedFiles::make();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
};

}  // namespace

TEST_CASE_FIXTURE(Recorded, "a store reaches its files through the given Env alone") {
  const std::string text(1000, 'x');
  for (uint32_t number = 0; number < 500; number++) {
    load({{number, "name " + std::to_string(number), text}});
    if (number % 200 == 199) reopen();
  }
  store.reset();
  const std::vector<FileOperation> operations = files->takeOperations();
  const std::map<std::string, std::string> made = filesMadeBy(operations, directory());
  const std::map<std::string, std::string> there = filesBelow(directory());
  for (const auto& [name, bytes] : there) {
    CHECK_MESSAGE(made.contains(name), name);
    if (made.contains(name)) CHECK_MESSAGE(made.at(name) == bytes, name);
  }
  CHECK(made.size() == there.size());
  // Memtables were flushed and compacted on the way.
  CHECK(std::any_of(operations.begin(), operations.end(), [](const FileOperation& operation) {
    return operation.action == FileAction::REMOVE && operation.path.ends_with(".sst");
  }));
}

TEST_CASE_FIXTURE(Recorded, "a sync covers what was done before it began, and can be refused") {
  files->takeOperations();
  std::unique_ptr<rocksdb::WritableFile> file;
  REQUIRE(env->NewWritableFile(directory() + "/file", &file, {}).ok());
  REQUIRE(file->Append("one").ok());
  REQUIRE(file->Sync().ok());
  files->setRefusal([](const FileOperation& operation) {
    return operation.action == FileAction::SYNC ? rocksdb::IOStatus::IOError("refused")
                                                : rocksdb::IOStatus::OK();
  });
  REQUIRE(file->Append("two").ok());
  CHECK(file->Sync().IsIOError());
  REQUIRE(file->Close().ok());
  files->setRefusal({});
  std::vector<FileOperation> operations = files->takeOperations();
  std::erase_if(operations,
                [&](const FileOperation& operation) { return operation.path != directory() + "/file"; });
  REQUIRE(operations.size() == 4);
  CHECK(operations[0].action == FileAction::CREATE);
  CHECK(operations[2].action == FileAction::SYNC);
  CHECK(operations[2].covered == 2);
  CHECK(operations[3].bytes == "two");
  CHECK(operations[3].offset == 3);
}
