#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "channel/descriptor.hpp"
#include "channel/frame_writer.hpp"
#include "wire/frame.hpp"

namespace vamos {

// Frames over one nonblocking descriptor: a socket, or a virtio-serial port. It knows no event loop: its
// owner polls the descriptor and calls read(), flush() and checkTime().
class FrameStream {
 public:
  FrameStream(Descriptor descriptor, FrameReaderOptions options, FrameReceiver& receiver);

  int descriptor() const { return descriptor_.get(); }

  void send(uint8_t kind, std::span<const uint8_t> body) { writer_.send(kind, body); }
  void flush() { writer_.flush(); }
  // Whether to poll for writing.
  bool wantsFlush() const { return writer_.bufferedBytes() > 0; }

  // Reads what has come, up to about 1 MiB, and hands its frames over. The next poll shows if more is left.
  void read(uint64_t nowMs);
  void checkTime(uint64_t nowMs);
  std::optional<uint64_t> nextCheckMs() const { return reader_.nextCheckMs(); }

  // Set once nothing more will come.
  const std::optional<ChannelError>& end() const { return end_; }
  // Writing failed. First read() what the peer has sent, if it is wanted; then this is why the stream ended.
  bool hasWriteFailed() const { return writer_.error() != 0; }
  ChannelError writeFailure() const;

  const FrameWriter& writer() const { return writer_; }
  uint64_t bytesReceived() const { return bytesReceived_; }
  uint64_t readCalls() const { return readCalls_; }

 private:
  void endByErrno(int error);
  void endIfUnreadable(bool isReadable);

  Descriptor descriptor_;
  const size_t maxReadBytes_;
  FrameReader reader_;
  FrameWriter writer_;
  std::optional<ChannelError> end_;
  uint64_t bytesReceived_ = 0;
  uint64_t readCalls_ = 0;
};

}  // namespace vamos
