#include "channel/frame_stream.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

namespace vamos {
namespace {

constexpr size_t kStageBytes = 64 << 10;
// The most that one turn of the event loop reads, so that one busy channel does not starve the others.
constexpr size_t kTurnBytes = 1 << 20;
// A read from a virtio-serial port returns at most one page.
constexpr size_t kPortReadBytes = 4096;

size_t mostInOneRead(int descriptor) {
  struct stat status;
  const bool isSocket = fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
  return isSocket ? SIZE_MAX : kPortReadBytes;
}

ChannelError closedByPeer(bool isMidFrame) {
  return {ErrorCode::CHANNEL_CLOSED,
          isMidFrame ? "the other end closed in the middle of a frame" : "the other end closed the channel"};
}

ChannelError ioError(int error, const std::string& what) {
  ChannelError failure = ChannelError::ofErrno(error, what);
  return {ErrorCode::CHANNEL_FAILED, failure.what()};
}

}  // namespace

FrameStream::FrameStream(Descriptor descriptor, FrameReaderOptions options, FrameReceiver& receiver)
    : descriptor_(std::move(descriptor)),
      maxReadBytes_(mostInOneRead(descriptor_.get())),
      reader_(options, receiver),
      writer_(descriptor_) {}

void FrameStream::read(uint64_t nowMs) {
  static thread_local uint8_t stage[kStageBytes];
  for (size_t total = 0; total < kTurnBytes && !end_;) {
    const std::span<uint8_t> room = reader_.bodyRoom();
    iovec parts[] = {{.iov_base = room.data(), .iov_len = room.size()},
                     {.iov_base = stage, .iov_len = kStageBytes}};
    const bool hasRoom = !room.empty();
    readCalls_++;
    const ssize_t result = readv(descriptor_.get(), hasRoom ? parts : parts + 1, hasRoom ? 2 : 1);
    if (result <= 0) {
      if (result < 0 && errno == EINTR) continue;
      if (result < 0 && errno == EAGAIN) return;
      return endByErrno(result == 0 ? 0 : errno);
    }
    const auto count = static_cast<size_t>(result);
    total += count;
    bytesReceived_ += count;
    const size_t inBody = std::min(count, room.size());
    endIfUnreadable(reader_.take(inBody, {stage, count - inBody}, nowMs));
    // This was less than asked for, so there is no more. It saves the call that would say so.
    if (count < std::min(room.size() + kStageBytes, maxReadBytes_)) return;
  }
}

void FrameStream::checkTime(uint64_t nowMs) {
  if (!end_) endIfUnreadable(reader_.checkTime(nowMs));
}

ChannelError FrameStream::writeFailure() const {
  const int error = writer_.error();
  if (error == EPIPE || error == ECONNRESET || error == ENODEV) return closedByPeer(false);
  return ioError(error, "writing");
}

void FrameStream::endByErrno(int error) {
  // EIO comes from a terminal whose other end is gone.
  const bool isClosed =
      error == 0 || error == ECONNRESET || error == EPIPE || error == EIO || error == ENODEV;
  end_ = isClosed ? closedByPeer(reader_.isMidFrame()) : ioError(error, "reading");
}

void FrameStream::endIfUnreadable(bool isReadable) {
  if (!isReadable) end_ = ChannelError(reader_.errorCode(), reader_.errorMessage());
}

}  // namespace vamos
