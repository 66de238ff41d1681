#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <span>

#include "channel/descriptor.hpp"
#include "wire/frame.hpp"

namespace vamos {

// Writes frames to a nonblocking descriptor; what the operating system does not take now is copied and waits
// for flush().
//
// On a virtio-serial port each write() is a kick, of at most 32 KiB, and there is no writev. So a frame is
// gathered and goes out as one write, a big one through a pipe: vmsplice, then splice to the port, is one
// kick for all that the pipe holds. Without SPLICE_F_GIFT the port's driver copies the pages, so they are
// free again once the pipe is empty.
class FrameWriter {
 public:
  explicit FrameWriter(const Descriptor& descriptor);

  void send(uint8_t kind, std::span<const uint8_t> body);
  void flush();

  // Bytes that send() took and the operating system has not taken.
  size_t bufferedBytes() const { return bufferedBytes_; }
  // The errno that ended writing, or 0. After an error nothing is sent or buffered.
  int error() const { return error_; }

  uint64_t framesSent() const { return framesSent_; }
  uint64_t bytesSent() const { return bytesSent_; }
  uint64_t writeCalls() const { return writeCalls_; }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };
  // Bytes that wait: whole frames, except that the beginning of the first may have been sent.
  struct Chunk {
    std::unique_ptr<uint8_t[], Free> bytes;
    size_t capacity;
    size_t end;
    size_t begin;

    std::span<const uint8_t> left() const { return {bytes.get() + begin, end - begin}; }
  };

  void enqueue(std::span<const uint8_t> header, std::span<const uint8_t> body);
  void consume(size_t count);
  size_t sendToSocket(std::span<const uint8_t> first, std::span<const uint8_t> second);
  size_t writeToPort(std::span<const uint8_t> bytes);
  size_t spliceToPort(std::span<const uint8_t> bytes);
  bool openPipe();
  bool portHasNoPeer() const;
  // Returns the count of a system call's result; an error is kept, EAGAIN counts as 0.
  size_t taken(ssize_t result);

  const Descriptor& descriptor_;
  const bool isSocket_;
  uint32_t sequence_ = 0;
  std::deque<Chunk> chunks_;
  size_t bufferedBytes_ = 0;
  int error_ = 0;
  // The pipe in which pages of the first chunk wait.
  Descriptor pipeIn_;
  Descriptor pipeOut_;
  size_t pipeCapacity_ = 0;
  size_t pipeBytes_ = 0;
  bool canSplice_ = true;
  uint64_t framesSent_ = 0;
  uint64_t bytesSent_ = 0;
  uint64_t writeCalls_ = 0;
};

}  // namespace vamos
