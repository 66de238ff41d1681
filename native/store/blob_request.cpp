#include "store/blobs.hpp"
#include "store/store.hpp"

namespace vamos::store {

using namespace engine;
namespace {

constexpr uint64_t maxReadBytesHere = 64 << 10;  // more is not for the event loop

}  // namespace

Answer Store::writeBlob(uint64_t blob, uint64_t offset, std::string_view data) {
  if (data.empty() || data.size() > maxChunkBytes || offset > maxBlobBytes - data.size()) {
    return Answer::failure(ErrorCode::BAD_REQUEST, "a chunk has 1 byte to 1 MiB, a blob at most 1 GiB");
  }
  const auto pending = pendingBlobs_.find(blob);
  if (pending == pendingBlobs_.end() && offset != 0) {
    return Answer::failure(ErrorCode::BLOB_MISSING, "no blob " + std::to_string(blob) + " is being written");
  }
  if (pending != pendingBlobs_.end() && offset != pending->second) {
    return Answer::failure(ErrorCode::BAD_REQUEST, "a chunk goes where the last one ended");
  }
  pendingBlobs_[blob] = offset + data.size();
  return run(std::make_shared<WriteBlobOperation>(++lastNumber_, database_, blob, offset, data), false);
}

void Store::adoptBlob(uint64_t number, uint64_t blob) {
  const TransactionPointer transaction = idleTransaction(number);
  if (!pendingBlobs_.contains(blob)) {
    refuse(ErrorCode::BLOB_MISSING, "no blob " + std::to_string(blob) + " is being written");
  }
  transaction->writes().remove(recordKey64(RecordKind::PENDING_BLOB, blob));
  transaction->adoptedBlobs.push_back(blob);
}

void Store::removeBlob(uint64_t number, uint64_t blob) {
  const TransactionPointer transaction = idleTransaction(number);
  transaction->writes().put(recordKey64(RecordKind::REMOVED_BLOB, blob), "");
  transaction->removedBlobs.push_back(blob);
}

void Store::blobsCommitted(const Transaction& transaction) {
  for (const uint64_t blob : transaction.adoptedBlobs) pendingBlobs_.erase(blob);
  for (const uint64_t blob : transaction.removedBlobs) removeBlobLater(blob, RecordKind::REMOVED_BLOB);
}

void Store::discardBlobs(const Transaction& transaction) {
  for (const uint64_t blob : transaction.adoptedBlobs) {
    pendingBlobs_.erase(blob);
    removeBlobLater(blob, RecordKind::PENDING_BLOB);
  }
}

// What fails here is done when the store opens again.
void Store::removeBlobLater(uint64_t blob, RecordKind kind) {
  scheduler_.background([this, blob, kind] { database_.removeBlob(blob, kind).PermitUncheckedError(); });
}

void Store::discardBlob(uint64_t blob) {
  if (pendingBlobs_.erase(blob) > 0) removeBlobLater(blob, RecordKind::PENDING_BLOB);
}

Answer Store::readBlob(uint64_t number, uint64_t blob, uint64_t offset, uint64_t lengthBytes) {
  TransactionPointer transaction;
  if (auto failure = checkTransaction(number, transaction)) return {0, std::move(*failure)};
  if (lengthBytes > maxChunkBytes || offset > maxBlobBytes) {
    return Answer::failure(ErrorCode::BAD_REQUEST, "a read has at most 1 MiB, a blob at most 1 GiB");
  }
  return run(std::make_shared<ReadBlobOperation>(++lastNumber_, std::move(transaction), database_, blob,
                                                 offset, lengthBytes),
             lengthBytes <= maxReadBytesHere);
}

}  // namespace vamos::store
