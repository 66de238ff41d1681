#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace vamos::engine {
class Source;
}

namespace vamos::store {

class Messages;

struct StoreOptions {
  std::string path;
  uint64_t blockCacheBytes = 64 << 20;
  // Memory for rows and index entries above RocksDB's blocks; 0: none are kept there.
  uint64_t cacheBytes = 0;
  uint64_t maxTransactionBytes = 256 << 20;
  uint32_t threads = 4;
  // Changes nothing, not even where a log is to be read again; takes no lock.
  bool readOnly = false;
  // A memtable of this size is written to a file, and its log can go.
  uint64_t memtableBytes = 64 << 20;
  // How the store reaches its files: tests record and refuse what it does. It outlives the store; nothing:
  // the operating system's files.
  rocksdb::Env* env = nullptr;
  // Where transactions find their rows, in place of RocksDB: tests run over a source of their own. It
  // outlives the store; nothing: RocksDB.
  engine::Source* source = nullptr;
  // Where what is to be logged goes.
  std::shared_ptr<Messages> messages;
  // Numbers of commits that are kept of sessions without a goodbye, beyond which the oldest are forgotten
  // when the store opens. A session has one for each of its streams.
  uint64_t maxCommitNumbers = 100'000;
};

}  // namespace vamos::store
