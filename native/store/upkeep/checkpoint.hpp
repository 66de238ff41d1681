#pragma once

#include "store/transactions/database.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

// The files of a store that a copy of it takes, as of one moment. RocksDB removes none of them until they are
// released. The outcome's result is the list, as JSON (HeldFiles in host/modules/tables/binding.ts).
//
// All commits that were answered before this operation began are in these files. A commit that ends meanwhile
// is in them whole or not at all, since the logs are cut where a record ends.
class HoldFilesOperation : public Operation {
 public:
  // holds: how many there are, to count.
  HoldFilesOperation(uint64_t number, const Database& database, std::atomic<uint64_t>& holds)
      : Operation(number, nullptr), database_(database), holds_(holds) {}

 protected:
  Progress run(const Budget& budget) override;

 private:
  rocksdb::Status hold(std::string& list);

  const Database& database_;
  std::atomic<uint64_t>& holds_;
};

// Ends one hold: what is obsolete is removed when no hold is left.
class ReleaseFilesOperation : public Operation {
 public:
  ReleaseFilesOperation(uint64_t number, const Database& database, std::atomic<uint64_t>& holds)
      : Operation(number, nullptr), database_(database), holds_(holds) {}

 protected:
  Progress run(const Budget& budget) override;

 private:
  const Database& database_;
  std::atomic<uint64_t>& holds_;
};

}  // namespace vamos::store
