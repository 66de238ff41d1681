#include "mariadb/blobs.hpp"

#include <my_base.h>

#include <algorithm>
#include <cstring>

#include "mariadb/session.hpp"
#include "wire/tables.hpp"

namespace vamos::mariadb {
namespace {

// The host takes chunks of 1 MiB at most; a frame has room for one and its message.
constexpr uint64_t chunkBytes = 512 << 10;

}  // namespace

int SessionBlobs::write(std::string_view data, uint64_t& blob) {
  blob = 0;
  do {
    const std::string_view chunk = data.substr(0, chunkBytes);
    Reply reply;
    const int error =
        session_.callAlone(wire::Method::WRITE_BLOB, wire::WriteBlob{blob, chunk}.encode(), reply);
    if (error) return error;
    wire::BlobWritten written;
    if (!wire::BlobWritten::decode(reply.body, written) || written.blob == 0) return HA_ERR_INTERNAL_ERROR;
    blob = written.blob;
    data.remove_prefix(chunk.size());
  } while (!data.empty());
  return 0;
}

int SessionBlobs::read(uint64_t blob, uint64_t lengthBytes, uchar* out) {
  for (uint64_t offset = 0; offset < lengthBytes;) {
    const auto wanted = static_cast<uint32_t>(std::min(lengthBytes - offset, chunkBytes));
    Reply reply;
    const int error =
        session_.call(wire::Method::READ_BLOB, wire::ReadBlob{blob, offset, wanted, true}.encode(), reply);
    if (error) return error;
    wire::BlobRead read;
    if (!wire::BlobRead::decode(reply.body, read) || read.data.empty() || read.data.size() > wanted) {
      return HA_ERR_INTERNAL_ERROR;
    }
    std::memcpy(out + offset, read.data.data(), read.data.size());
    offset += read.data.size();
  }
  return 0;
}

}  // namespace vamos::mariadb
