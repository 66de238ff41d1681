#include "channel/frame_writer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "channel/fresh_bytes.hpp"

namespace vamos {
namespace {

constexpr size_t kPageBytes = 4096;
// The most that the virtio_console driver moves in a write.
constexpr size_t kMaxPortWriteBytes = 32 << 10;
// From this size on a port's frame goes through the pipe. In a guest under TCG, kicks a frame by writes and
// by the pipe: 33,000 bytes 1.6 and 1.0, 256 KiB 6.4 and 1.0, 1 MiB 25 and 1.0, 4 MiB 65 and 2.8; the guest's
// time is the same but for 4 MiB (1.4 times by the pipe). Below, a write is one kick already and needs one
// call less.
constexpr size_t kSpliceFromBytes = kMaxPortWriteBytes + 1;
// Sizes to try, of a page a slot. 2 MiB hold a frame of 1 MiB with its header, but only root may have them.
constexpr int kPipeSizesBytes[] = {2 << 20, 1 << 20};

bool isSocket(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

iovec vectorOf(std::span<const uint8_t> bytes) {
  return {.iov_base = const_cast<uint8_t*>(bytes.data()), .iov_len = bytes.size()};
}

}  // namespace

FrameWriter::FrameWriter(const Descriptor& descriptor)
    : descriptor_(descriptor), isSocket_(isSocket(descriptor.get())) {}

void FrameWriter::send(uint8_t kind, std::span<const uint8_t> body) {
  if (error_ != 0) return;
  // So that frames of one connection never follow those of another one, where a guest goes on in the first
  // after its memory was put back to that time.
  if (kind == wire::FrameKind::HELLO)
    std::memcpy(&sequence_, freshBytes(sizeof sequence_).data(), sizeof sequence_);
  const FrameHeaderBytes header = encodeFrameHeader(kind, body, sequence_++);
  framesSent_++;
  size_t done = 0;
  const size_t total = header.size() + body.size();
  if (chunks_.empty()) {
    if (isSocket_) {
      done = sendToSocket(header, body);
    } else if (total <= kMaxPortWriteBytes) {
      uint8_t gathered[kMaxPortWriteBytes];
      std::memcpy(gathered, header.data(), header.size());
      if (!body.empty()) std::memcpy(gathered + header.size(), body.data(), body.size());
      done = writeToPort({gathered, total});
    }
    bytesSent_ += done;
  }
  if (done == total || error_ != 0) return;
  const size_t headerDone = std::min(done, header.size());
  const bool wasEmpty = chunks_.empty();
  enqueue(std::span(header).subspan(headerDone), body.subspan(done - headerDone));
  if (wasEmpty && !isSocket_ && total > kMaxPortWriteBytes) flush();
}

void FrameWriter::enqueue(std::span<const uint8_t> header, std::span<const uint8_t> body) {
  const size_t total = header.size() + body.size();
  const bool fitsLast = !chunks_.empty() && chunks_.back().capacity - chunks_.back().end >= total;
  if (!fitsLast) {
    const size_t wanted = std::max(total, kMaxPortWriteBytes);
    const size_t capacity = (wanted + kPageBytes - 1) / kPageBytes * kPageBytes;
    auto* bytes = static_cast<uint8_t*>(std::aligned_alloc(kPageBytes, capacity));
    if (bytes == nullptr) throw std::bad_alloc();
    chunks_.push_back(
        {.bytes = std::unique_ptr<uint8_t[], Free>(bytes), .capacity = capacity, .end = 0, .begin = 0});
  }
  Chunk& chunk = chunks_.back();
  for (const auto part : {header, body}) {
    if (part.empty()) continue;
    std::memcpy(chunk.bytes.get() + chunk.end, part.data(), part.size());
    chunk.end += part.size();
  }
  bufferedBytes_ += total;
}

void FrameWriter::flush() {
  while (!chunks_.empty() && error_ == 0) {
    const auto left = chunks_.front().left();
    size_t done;
    if (isSocket_) {
      done = sendToSocket(left, chunks_.size() > 1 ? chunks_[1].left() : std::span<const uint8_t>{});
    } else if (pipeBytes_ > 0 || (left.size() >= kSpliceFromBytes && canSplice_)) {
      done = spliceToPort(left);
    } else {
      done = writeToPort(left.first(std::min(left.size(), kMaxPortWriteBytes)));
    }
    if (done == 0) break;
    consume(done);
  }
  if (error_ != 0) {
    chunks_.clear();
    bufferedBytes_ = 0;
  }
}

void FrameWriter::consume(size_t count) {
  bytesSent_ += count;
  bufferedBytes_ -= count;
  while (count > 0) {
    Chunk& chunk = chunks_.front();
    const size_t part = std::min(count, chunk.end - chunk.begin);
    chunk.begin += part;
    count -= part;
    if (chunk.begin == chunk.end) chunks_.pop_front();
  }
}

size_t FrameWriter::sendToSocket(std::span<const uint8_t> first, std::span<const uint8_t> second) {
  iovec parts[] = {vectorOf(first), vectorOf(second)};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = second.empty() ? 1 : 2;
  writeCalls_++;
  return taken(sendmsg(descriptor_.get(), &message, MSG_NOSIGNAL));
}

size_t FrameWriter::writeToPort(std::span<const uint8_t> bytes) {
  writeCalls_++;
  const size_t done = taken(write(descriptor_.get(), bytes.data(), bytes.size()));
  if (done == 0 && error_ == 0 && portHasNoPeer()) error_ = EPIPE;
  return done;
}

size_t FrameWriter::spliceToPort(std::span<const uint8_t> bytes) {
  if (!pipeIn_.isOpen() && !openPipe()) {
    canSplice_ = false;
    return writeToPort(bytes.first(kMaxPortWriteBytes));
  }
  if (pipeBytes_ == 0) {
    const iovec part = vectorOf(bytes.first(std::min(bytes.size(), pipeCapacity_)));
    writeCalls_++;
    pipeBytes_ = taken(vmsplice(pipeIn_.get(), &part, 1, SPLICE_F_NONBLOCK));
    if (pipeBytes_ == 0) return 0;
  }
  writeCalls_++;
  const ssize_t moved =
      splice(pipeOut_.get(), nullptr, descriptor_.get(), nullptr, pipeBytes_, SPLICE_F_NONBLOCK);
  if (moved > 0) {
    pipeBytes_ -= static_cast<size_t>(moved);
    return static_cast<size_t>(moved);
  }
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (portHasNoPeer()) error_ = EPIPE;
    return 0;
  }
  // This port can't splice (EINVAL), or the driver found no room in its queue after it had emptied the pipe
  // (0): none of this was sent, and the bytes are still here.
  canSplice_ = moved == 0;
  pipeIn_ = {};
  pipeOut_ = {};
  pipeBytes_ = 0;
  return writeToPort(bytes.first(std::min(bytes.size(), kMaxPortWriteBytes)));
}

bool FrameWriter::openPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  pipeOut_ = Descriptor(ends[0]);
  pipeIn_ = Descriptor(ends[1]);
  for (const int size : kPipeSizesBytes) {
    if (fcntl(pipeIn_.get(), F_SETPIPE_SZ, size) >= 0) break;
  }
  const int capacity = fcntl(pipeIn_.get(), F_GETPIPE_SZ);
  pipeCapacity_ = capacity > 0 ? static_cast<size_t>(capacity) : kPageBytes;
  return true;
}

// A port whose host end is gone takes nothing, and shows it only here.
bool FrameWriter::portHasNoPeer() const {
  pollfd state{.fd = descriptor_.get(), .events = POLLOUT, .revents = 0};
  return poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0;
}

size_t FrameWriter::taken(ssize_t result) {
  if (result >= 0) return static_cast<size_t>(result);
  if (errno != EAGAIN && errno != EINTR) error_ = errno;
  return 0;
}

}  // namespace vamos
