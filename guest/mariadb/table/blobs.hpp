#pragma once

#include "mariadb/format/row_format.hpp"

namespace vamos::mariadb {

class Session;
struct Reply;

// Reads and writes blobs in chunks, with requests of the session.
class SessionBlobs final : public BlobStore {
 public:
  explicit SessionBlobs(Session& session) : session_(session) {}

  int write(std::string_view data, uint64_t& blob) override;
  int read(uint64_t blob, uint64_t lengthBytes, uchar* out) override;
  int compare(uint64_t blob, std::string_view data, bool& isSame) override;

 private:
  // Reads bytes from `offset` on: at least one, and at most `lengthBytes` or as many as a chunk has.
  int readPart(uint64_t blob, uint64_t offset, uint64_t lengthBytes, Reply& reply, std::string_view& part);

  Session& session_;
};

}  // namespace vamos::mariadb
