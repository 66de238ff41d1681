#include "store/files/log_format.hpp"

#include <algorithm>
#include <cstring>

#include "wire/crc32c.hpp"

namespace vamos::store {

namespace {

using log_format::blockBytes;
using log_format::Header;
using log_format::headerBytes;
using log_format::Type;

constexpr size_t typeOffset = 6;
// Bytes that are tried one by one for the start of a fragment; blocks behind them are tried at their start
// alone.
constexpr uint64_t searchedBytes = 4 * blockBytes;

// RocksDB's and LevelDB's: a checksum of bytes that hold checksums is a weak one.
uint32_t mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8; }

}  // namespace

namespace log_format {

Header Header::parse(const char* bytes) {
  Header header;
  std::memcpy(&header.maskedCrc, bytes, sizeof(header.maskedCrc));
  const auto byte = [&](size_t offset) { return static_cast<uint8_t>(bytes[offset]); };
  header.lengthBytes = byte(4) | static_cast<size_t>(byte(5)) << 8;
  header.type = byte(typeOffset);
  return header;
}

size_t Header::ownBytes() const {
  return type > static_cast<uint8_t>(Type::LAST) && type <= static_cast<uint8_t>(Type::LAST_LONG)
             ? longHeaderBytes
             : headerBytes;
}

Type Header::role() const {
  if (type > static_cast<uint8_t>(Type::LAST_LONG)) return Type::FULL;
  return static_cast<Type>(ownBytes() == longHeaderBytes ? type - 4 : type);
}

}  // namespace log_format

void LogTracker::append(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t taken = 0;
    if (bodyBytes_ > 0) {
      taken = std::min(bodyBytes_, bytes.size());
      bodyBytes_ -= taken;
    } else if (const size_t rest = blockBytes - offsetBytes_ % blockBytes;
               headerBytes_ == 0 && rest < headerBytes) {
      taken = std::min(rest, bytes.size());
      bytes.remove_prefix(taken);
      offsetBytes_ += taken;
      continue;
    } else {
      const auto wanted = [&] {
        return headerBytes_ > typeOffset ? Header::parse(header_.data()).ownBytes() : headerBytes;
      };
      taken = std::min(wanted() - headerBytes_, bytes.size());
      std::memcpy(header_.data() + headerBytes_, bytes.data(), taken);
      headerBytes_ += taken;
      if (headerBytes_ == wanted()) {
        const Header header = Header::parse(header_.data());
        bodyBytes_ = header.lengthBytes;
        endsRecord_ = header.role() == Type::FULL || header.role() == Type::LAST;
        headerBytes_ = 0;
      }
    }
    bytes.remove_prefix(taken);
    offsetBytes_ += taken;
    if (headerBytes_ == 0 && bodyBytes_ == 0 && endsRecord_) recordsEndBytes_ = offsetBytes_;
  }
}

bool LogReader::readBlock() {
  if (isAtEnd_) return false;
  blockStartBytes_ += block_.size();
  block_.resize(blockBytes);
  size_t filled = 0;
  while (filled < blockBytes && !isAtEnd_) {
    rocksdb::Slice read;
    status_ = file_.Read(blockBytes - filled, rocksdb::IOOptions(), &read, block_.data() + filled, nullptr);
    if (!status_.ok() || read.empty()) isAtEnd_ = true;
    if (!read.empty() && read.data() != block_.data() + filled) {
      std::memmove(block_.data() + filled, read.data(), read.size());
    }
    filled += read.size();
  }
  block_.resize(filled);
  position_ = 0;
  return filled > 0;
}

bool LogReader::isFragment(size_t position, Header& header) const {
  if (position + headerBytes > block_.size()) return false;
  header = Header::parse(block_.data() + position);
  const size_t ownBytes = header.ownBytes();
  if (!header.isKnown() || position + ownBytes + header.lengthBytes > block_.size()) return false;
  const size_t checkedBytes = ownBytes - typeOffset + header.lengthBytes;
  return mask(crc32c(block_.data() + position + typeOffset, checkedBytes)) == header.maskedCrc;
}

LogReader::Found LogReader::nextFragment(Type& role, std::string_view& body) {
  while (position_ + headerBytes > block_.size()) {
    // Only the last block may be short.
    const bool isTrailer = position_ < block_.size() && block_.size() == blockBytes;
    if (position_ < block_.size() && !isTrailer) return Found::DAMAGE;
    if (!readBlock()) return Found::END;
  }
  Header header;
  if (!isFragment(position_, header)) return Found::DAMAGE;
  role = header.role();
  lastHeaderBytes_ = header.ownBytes();
  body = std::string_view(block_).substr(position_ + header.ownBytes(), header.lengthBytes);
  position_ += header.ownBytes() + header.lengthBytes;
  return Found::FRAGMENT;
}

bool LogReader::next(std::string& record) {
  record.clear();
  for (bool isOpen = false;;) {
    Type role{};
    std::string_view body;
    if (nextFragment(role, body) != Found::FRAGMENT) return false;
    const bool isStart = role == Type::FULL || role == Type::FIRST;
    if (isStart == isOpen) {
      // It may start the next record.
      if (isStart) position_ = static_cast<size_t>(body.data() - block_.data()) - lastHeaderBytes_;
      return false;
    }
    record.append(body);
    isOpen = true;
    if (role == Type::FIRST || role == Type::MIDDLE) continue;
    recordsEndBytes_ = blockStartBytes_ + position_;
    return true;
  }
}

bool LogReader::skipDamage() {
  const uint64_t searchEnd = blockStartBytes_ + position_ + searchedBytes;
  do {
    const bool isSearched = blockStartBytes_ + position_ < searchEnd;
    while (position_ + headerBytes <= block_.size()) {
      Header header;
      if (isFragment(position_, header)) {
        if (header.role() == Type::FULL || header.role() == Type::FIRST) return true;
        position_ += header.ownBytes() + header.lengthBytes;
      } else if (isSearched) {
        position_++;
      } else {
        break;
      }
    }
  } while (readBlock());
  return false;
}

}  // namespace vamos::store
