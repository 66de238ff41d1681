// FrameReader under arbitrary bytes, chunks and times, with and without resynchronisation. Input: one byte of
// options, then pieces: a control byte (length of the piece, or one that builds a real frame), and the piece.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "wire/frame.hpp"

namespace {

using namespace vamos;

constexpr uint32_t kMaxBodyBytes = 100'000;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Checker final : FrameReceiver {
  Resync resync;
  bool expectsHello = false;
  bool hadFrame = false;

  void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned) override {
    require(body.size() <= kMaxBodyBytes);
    require(!expectsHello || kind == wire::FrameKind::HELLO);
    if (resync == Resync::WelcomeFirst && !hadFrame) require(kind == wire::FrameKind::WELCOME);
    if (owned != nullptr) require(owned.get() == body.data());
    // Every byte must be readable.
    volatile uint8_t sum = 0;
    for (const uint8_t byte : body) sum = static_cast<uint8_t>(sum + byte);
    expectsHello = false;
    hadFrame = true;
  }
  void onNewPeer() override {
    require(resync == Resync::HelloAnytime && !expectsHello);
    expectsHello = true;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  Checker checker;
  checker.resync = static_cast<Resync>(data[0] % 3);
  FrameReader reader({.maxBodyBytes = kMaxBodyBytes, .resync = checker.resync}, checker);
  std::span<const uint8_t> input(data + 1, size - 1);
  uint64_t nowMs = 0;
  uint32_t sequence = 0;
  bool goesOn = true;
  while (!input.empty()) {
    const uint8_t control = input[0];
    input = input.subspan(1);
    const auto piece = input.first(std::min<size_t>(control & 0x3F, input.size()));
    input = input.subspan(piece.size());
    std::vector<uint8_t> bytes(piece.begin(), piece.end());
    if ((control & 0x40) != 0 && !piece.empty()) {
      // A frame that checks, of a kind that matters, perhaps cut off.
      const auto body = piece.subspan(1);
      const FrameHeaderBytes header = encodeFrameHeader(piece[0] % 5, body, sequence++);
      bytes.assign(header.begin(), header.end());
      bytes.insert(bytes.end(), body.begin(), body.end());
      if ((piece[0] & 0x80) != 0) bytes.resize(bytes.size() * (piece[0] & 0x7F) / 0x80);
    }
    if ((control & 0x80) != 0) nowMs += 400;
    const auto room = reader.bodyRoom();
    require(room.size() <= kMaxBodyBytes);
    const size_t inBody = std::min(room.size(), bytes.size());
    if (inBody > 0) std::memcpy(room.data(), bytes.data(), inBody);
    const bool now = reader.take(inBody, std::span<const uint8_t>(bytes).subspan(inBody), nowMs);
    require(goesOn || !now);
    goesOn = now;
    if (const auto due = reader.nextCheckMs(); due && *due <= nowMs) goesOn = reader.checkTime(nowMs);
    require(goesOn == (reader.errorCode() == ErrorCode::OK));
  }
  return 0;
}
