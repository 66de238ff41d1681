#pragma once

#include "mariadb/row_format.hpp"

namespace vamos::mariadb {

class Session;

// Blobs that travel in chunks, by the session's requests.
class SessionBlobs final : public BlobStore {
 public:
  explicit SessionBlobs(Session& session) : session_(session) {}

  int write(std::string_view data, uint64_t& blob) override;
  int read(uint64_t blob, uint64_t lengthBytes, uchar* out) override;

 private:
  Session& session_;
};

}  // namespace vamos::mariadb
