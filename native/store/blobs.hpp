#pragma once

#include <cstdint>
#include <memory>

#include "protocol/limits.hpp"
#include "store/transactions/rocks_source.hpp"
#include "store/transactions/types.hpp"

namespace vamos::store {

using engine::Input;

// Writes a chunk, and with the first one the record that says that nobody owns the blob yet.
class WriteBlobOperation : public Operation {
 public:
  WriteBlobOperation(uint64_t number, const Database& database, uint64_t blob, uint64_t offset,
                     std::string_view data)
      : Operation(number, nullptr), database_(database), blob_(blob), offset_(offset), data_(data) {}
  void keepInput() override { data_.keep(); }

 protected:
  Progress run(const Budget& budget) override;

 private:
  const Database& database_;
  const uint64_t blob_;
  const uint64_t offset_;
  Input data_;
};

// Reads up to lengthBytes from an offset, across chunks; fewer where the blob ends.
class ReadBlobOperation : public Operation {
 public:
  ReadBlobOperation(uint64_t number, std::shared_ptr<Transaction> transaction, const Database& database,
                    uint64_t blob, uint64_t offset, size_t lengthBytes)
      : Operation(number, std::move(transaction)),
        database_(database),
        blob_(blob),
        offset_(offset),
        lengthBytes_(lengthBytes) {}

 protected:
  Progress run(const Budget& budget) override;

 private:
  const Database& database_;
  const uint64_t blob_;
  const uint64_t offset_;
  const size_t lengthBytes_;
};

}  // namespace vamos::store
