#include "mariadb/table/blobs.hpp"

#include <my_base.h>

#include <algorithm>
#include <cstring>

#include "mariadb/session/session.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {
namespace {

// The host takes chunks of 1 MiB at most, and a frame must have room for the message around one.
constexpr uint64_t chunkBytes = 512 << 10;
// Values that differ mostly do so in their first bytes.
constexpr uint64_t firstComparedBytes = 4096;

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
    if (blob == 0) session_.addBlob(written.blob);
    blob = written.blob;
    data.remove_prefix(chunk.size());
  } while (!data.empty());
  return 0;
}

int SessionBlobs::readPart(uint64_t blob, uint64_t offset, uint64_t lengthBytes, Reply& reply,
                           std::string_view& part) {
  const auto wanted = static_cast<uint32_t>(std::min(lengthBytes, chunkBytes));
  const int error =
      session_.call(wire::Method::READ_BLOB, wire::ReadBlob{blob, offset, wanted, true}.encode(), reply);
  if (error) return error;
  wire::BlobRead read;
  if (!wire::BlobRead::decode(reply.body, read) || read.data.empty() || read.data.size() > wanted) {
    return HA_ERR_INTERNAL_ERROR;
  }
  part = read.data;
  return 0;
}

int SessionBlobs::read(uint64_t blob, uint64_t lengthBytes, uchar* out) {
  for (uint64_t offset = 0; offset < lengthBytes;) {
    Reply reply;
    std::string_view part;
    if (const int error = readPart(blob, offset, lengthBytes - offset, reply, part)) return error;
    std::memcpy(out + offset, part.data(), part.size());
    offset += part.size();
  }
  return 0;
}

int SessionBlobs::compare(uint64_t blob, std::string_view data, bool& isSame) {
  isSame = true;
  for (uint64_t offset = 0; isSame && offset < data.size();) {
    Reply reply;
    std::string_view part;
    const uint64_t wanted =
        offset == 0 ? std::min<uint64_t>(data.size(), firstComparedBytes) : data.size() - offset;
    if (const int error = readPart(blob, offset, wanted, reply, part)) return error;
    isSame = data.substr(offset, part.size()) == part;
    offset += part.size();
  }
  return 0;
}

}  // namespace vamos::mariadb
