// Frames: the units that are written to a channel. Each is a fixed header, then the body (a message of
// vamos.proto).
//
//   0  u32 magic         "VAM1"
//   4  u8  version       1
//   5  u8  kind          FrameKind of vamos.proto
//   6  u16 flags         0
//   8  u32 length        of the body
//  12  u32 body check    CRC-32C of the body
//  16  u32 sequence      one more than in the frame before
//                        (HELLO, at a random place, and WELCOME begin anew)
//  20  u32 header check  CRC-32C of bytes 0 to 19
//
// All integers are little-endian. The checks find accidents (a writer killed in mid-frame, bytes lost while a
// port had no reader), not attacks: every length is checked on its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/error_code.hpp"
#include "protocol/limits.hpp"
#include "protocol/session_enums.hpp"

namespace vamos {

inline constexpr size_t kFrameHeaderBytes = 24;
// A preamble (HELLO, WELCOME) longer than this is not found in a broken stream.
inline constexpr size_t kMaxPreambleBytes = 4096;

struct FrameHeader {
  uint8_t kind;
  uint32_t lengthBytes;
  uint32_t bodyCheck;
  uint32_t sequence;
};

using FrameHeaderBytes = std::array<uint8_t, kFrameHeaderBytes>;

FrameHeaderBytes encodeFrameHeader(uint8_t kind, std::span<const uint8_t> body, uint32_t sequence);
// Returns nothing where magic, version, flags or header check are wrong.
std::optional<FrameHeader> decodeFrameHeader(std::span<const uint8_t, kFrameHeaderBytes> bytes);

// Gets what a FrameReader finds.
class FrameReceiver {
 public:
  // A whole frame came. `body` lies in `owned` where that is set (and may be kept with it), else it is gone
  // after the call.
  virtual void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned) = 0;
  // The HELLO that comes next is from a new process, which began behind a broken or stalled frame.
  virtual void onNewPeer() = 0;
  // HelloAnytime: the bytes that come make no sense in this connection. Their sender may be a connector that
  // speaks in a session of another host, and does not know that the port leads here now. This is called at
  // most once in kTellMs.
  virtual void onUnreadable() {}

 protected:
  ~FrameReceiver() = default;
};

// Whether bytes that make no sense may be skipped, and up to what. A virtio-serial port tells neither end
// that the process at the other has changed, so a stream may break off within a frame and begin anew.
enum class Resync : uint8_t {
  Never,         // sockets: a bad frame ends the stream
  HelloAnytime,  // host end of a port: a HELLO begins a new session
  WelcomeFirst,  // connector end of a port: replies to an earlier process may precede the first WELCOME
};

struct FrameReaderOptions {
  uint32_t maxBodyBytes = maxFrameBytes;
  Resync resync = Resync::Never;
};

// Takes a stream apart into frames, however it is cut. Read from the stream into bodyRoom() as far as there
// is any (so that the bulk of a big body is moved once), and what is beyond it into a buffer for take().
//
// HelloAnytime: a frame that is not whole after kStallMs is under suspicion: does its newest part end in
// HELLO frames? A new process sends nothing else before its WELCOME, so data that merely hold a HELLO don't
// count unless the writer pauses just behind it.
class FrameReader {
 public:
  static constexpr uint64_t kStallMs = 1000;
  // The reader gives up when it has skipped bytes that make no sense for this time, or this many of them.
  static constexpr uint64_t kHuntMs = 5000;
  static constexpr uint64_t kHuntBytes = 64u << 20;
  static constexpr uint64_t kTellMs = 1000;

  FrameReader(FrameReaderOptions options, FrameReceiver& receiver);

  // Room for the part of the current body that has not come; empty between frames. Valid until the next call.
  std::span<uint8_t> bodyRoom();
  // The first `count` bytes of bodyRoom() have been filled, then `more` came. `nowMs` is of any monotonic
  // clock. Returns false once the stream has failed: see errorCode().
  bool take(size_t count, std::span<const uint8_t> more, uint64_t nowMs);
  // When checkTime() must be called, if nothing comes before.
  std::optional<uint64_t> nextCheckMs() const;
  bool checkTime(uint64_t nowMs);

  // Whether a frame has begun and is not whole.
  bool isMidFrame() const { return state_ == State::Body || headerBytes_ > 0; }
  ErrorCode errorCode() const { return errorCode_; }
  const std::string& errorMessage() const { return errorMessage_; }

 private:
  enum class State : uint8_t { Header, Body, Hunt, Failed };

  void parse(std::span<const uint8_t> bytes, uint64_t nowMs);
  std::span<const uint8_t> takeHeader(std::span<const uint8_t> bytes, uint64_t nowMs);
  void acceptHeader(std::span<const uint8_t, kFrameHeaderBytes> bytes, uint64_t nowMs);
  void allocateBody();
  void finishBody(std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned, uint64_t nowMs);
  // `suspect` makes no sense: ends the stream, or begins a hunt for a preamble.
  void reject(std::span<const uint8_t> suspect, const char* what, uint64_t nowMs);
  void hunt(std::span<const uint8_t> bytes, uint64_t nowMs);
  void tellUnreadable(uint64_t nowMs);
  void findHelloInBody(uint64_t nowMs);
  void restart(std::vector<uint8_t> bytes, uint64_t nowMs);
  void fail(ErrorCode code, std::string message);

  FrameReaderOptions options_;
  FrameReceiver& receiver_;
  State state_ = State::Header;
  FrameHeaderBytes headerBuffer_;
  size_t headerBytes_ = 0;
  FrameHeader header_{};
  std::unique_ptr<uint8_t[]> body_;
  size_t bodyBytes_ = 0;
  uint64_t frameBeganMs_ = 0;
  bool isStalled_ = false;
  uint32_t nextSequence_ = 0;
  std::vector<uint8_t> hunted_;
  uint64_t huntBeganMs_ = 0;
  uint64_t huntedBytes_ = 0;
  std::string huntReason_;
  std::optional<uint64_t> toldMs_;
  ErrorCode errorCode_ = ErrorCode::OK;
  std::string errorMessage_;
};

}  // namespace vamos
