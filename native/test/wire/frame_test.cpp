#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "wire/frame.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

using namespace vamos;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint8_t kRequests = 3;

struct Recorder final : FrameReceiver {
  struct Event {
    uint8_t kind;  // 0: a new peer
    Bytes body;
    bool operator==(const Event&) const = default;
  };
  std::vector<Event> events;

  void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]>) override {
    events.push_back({kind, Bytes(body.begin(), body.end())});
  }
  void onNewPeer() override { events.push_back({0, {}}); }
};

Bytes frame(uint8_t kind, const Bytes& body, uint32_t sequence) {
  const FrameHeaderBytes header = encodeFrameHeader(kind, body, sequence);
  Bytes bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

Bytes random(size_t size, uint32_t seed) {
  std::minstd_rand generator(seed + 1);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator() >> 8);
  return bytes;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Gives the reader `bytes` as a descriptor would, in reads of at most `chunk`.
bool feed(FrameReader& reader, std::span<const uint8_t> bytes, size_t chunk, uint64_t nowMs = 0) {
  bool goesOn = true;
  while (!bytes.empty() && goesOn) {
    const auto part = bytes.first(std::min(chunk, bytes.size()));
    bytes = bytes.subspan(part.size());
    const auto room = reader.bodyRoom();
    const size_t inBody = std::min(room.size(), part.size());
    if (inBody > 0) std::memcpy(room.data(), part.data(), inBody);
    goesOn = reader.take(inBody, part.subspan(inBody), nowMs);
  }
  return goesOn;
}

const Bytes kHelloBody = random(60, 77);
const Recorder::Event kNewPeer{0, {}};
const Recorder::Event kHello{wire::FrameKind::HELLO, kHelloBody};

}  // namespace

TEST_CASE("frames arrive equal under any chunking") {
  Bytes stream;
  std::vector<Recorder::Event> sent;
  uint32_t sequence = 0;
  for (const size_t size : {0, 1, 23, 24, 25, 4096, 70'000, 0, 3}) {
    const Bytes body = random(size, sequence);
    sent.push_back({kRequests, body});
    stream = stream + frame(kRequests, body, sequence++);
  }
  for (const size_t chunk : {1, 2, 23, 24, 25, 100, 4096, 65'536, 1'000'000}) {
    CAPTURE(chunk);
    Recorder recorder;
    FrameReader reader({}, recorder);
    CHECK(feed(reader, stream, chunk));
    CHECK(recorder.events == sent);
    CHECK_FALSE(reader.isMidFrame());
  }
}

TEST_CASE("a change of any one byte never gives a wrong frame, and is found") {
  const Bytes first = random(40, 1);
  const Bytes second = random(30, 2);
  const Bytes stream = frame(kRequests, first, 0) + frame(kRequests, second, 1);
  for (size_t at = 0; at < stream.size(); at++) {
    for (const uint8_t mask : {0x01, 0x80, 0xFF}) {
      Bytes changed = stream;
      changed[at] ^= mask;
      Recorder recorder;
      FrameReader reader({}, recorder);
      CHECK_FALSE(feed(reader, changed, 17));
      CHECK(reader.errorCode() == ErrorCode::BAD_FRAME);
      const bool isSecond = at >= kFrameHeaderBytes + first.size();
      CHECK(recorder.events ==
            (isSecond ? std::vector<Recorder::Event>{{kRequests, first}} : std::vector<Recorder::Event>{}));
    }
  }
}

TEST_CASE("a frame that is missing or comes twice is found") {
  for (const uint32_t second : {0u, 2u, UINT32_MAX}) {
    Recorder recorder;
    FrameReader reader({}, recorder);
    CHECK_FALSE(feed(reader, frame(kRequests, {}, 0) + frame(kRequests, {}, second), 1000));
    CHECK(reader.errorCode() == ErrorCode::BAD_FRAME);
  }
}

TEST_CASE("sequence numbers wrap around, from wherever a HELLO begins") {
  Recorder recorder;
  FrameReader reader({}, recorder);
  CHECK(feed(
      reader,
      frame(wire::FrameKind::HELLO, {}, UINT32_MAX) + frame(kRequests, {}, 0) + frame(kRequests, {}, 1), 9));
  CHECK(recorder.events.size() == 3);
}

TEST_CASE("a length over the limit is refused before its body is allocated") {
  for (const Resync resync : {Resync::Never, Resync::HelloAnytime}) {
    Recorder recorder;
    FrameReader reader({.maxBodyBytes = 1000, .resync = resync}, recorder);
    CHECK(feed(reader, frame(kRequests, Bytes(1000), 0), 4096));
    CHECK_FALSE(feed(reader, frame(kRequests, Bytes(1001), 1), kFrameHeaderBytes));
    CHECK(reader.errorCode() == ErrorCode::FRAME_TOO_LARGE);
    CHECK(reader.bodyRoom().empty());
    CHECK(recorder.events.size() == 1);
  }
}

TEST_CASE("host end of a port: a new process behind half a frame is found, wherever the frame broke off") {
  const Bytes whole = frame(kRequests, random(500, 3), 0);
  const Bytes hello = frame(wire::FrameKind::HELLO, kHelloBody, 0);
  const Bytes after = frame(kRequests, random(10, 4), 1);
  for (size_t cut = 1; cut < whole.size(); cut += 7) {
    for (const size_t chunk : {1, 50, 4096}) {
      CAPTURE(cut);
      CAPTURE(chunk);
      Recorder recorder;
      FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
      CHECK(feed(reader, std::span(whole).first(cut), chunk, 100));
      CHECK(feed(reader, hello, chunk, 500));
      // Nothing but time passes, where the HELLO is still within the frame's length.
      CHECK(reader.checkTime(reader.nextCheckMs().value_or(500)));
      REQUIRE(recorder.events == std::vector<Recorder::Event>{kNewPeer, kHello});
      CHECK(feed(reader, after, chunk, 1200));
      CHECK(recorder.events.size() == 3);
      CHECK_FALSE(reader.nextCheckMs());
    }
  }
}

TEST_CASE(
    "host end of a port: a HELLO is found when it comes long after the frame broke off, and when sent "
    "again") {
  const Bytes whole = frame(kRequests, random(100'000, 3), 0);
  Recorder recorder;
  FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
  CHECK(feed(reader, std::span(whole).first(70'000), 4096, 0));
  CHECK(reader.nextCheckMs() == FrameReader::kStallMs);
  CHECK(reader.checkTime(5000));
  CHECK(recorder.events.empty());
  CHECK(feed(reader, frame(wire::FrameKind::HELLO, kHelloBody, 0), 30, 60'000));
  CHECK(feed(reader, frame(wire::FrameKind::HELLO, kHelloBody, 1), 30, 60'100));
  CHECK(recorder.events == std::vector<Recorder::Event>{kNewPeer, kHello, kHello});
}

TEST_CASE("host end of a port: a slow frame whose data hold a HELLO stays a frame") {
  const Bytes hello = frame(wire::FrameKind::HELLO, kHelloBody, 0);
  const Bytes body = random(300, 1) + hello + random(300, 2);
  const Bytes whole = frame(kRequests, body, 0);
  Recorder recorder;
  FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
  const size_t behindHello = kFrameHeaderBytes + 300 + hello.size() + 1;
  CHECK(feed(reader, std::span(whole).first(behindHello), 4096, 0));
  CHECK(reader.checkTime(3000));
  CHECK(feed(reader, std::span(whole).subspan(behindHello), 4096, 6000));
  CHECK(recorder.events == std::vector<Recorder::Event>{{kRequests, body}});
}

TEST_CASE("host end of a port: a HELLO that does not check is not taken for one") {
  const Bytes hello = frame(wire::FrameKind::HELLO, kHelloBody, 0);
  const Bytes garbage = random(100, 9);
  for (size_t at = 0; at < hello.size(); at++) {
    Bytes changed = hello;
    changed[at] ^= 0x10;
    Recorder recorder;
    FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
    CHECK(feed(reader, garbage + changed, 64, 0));
    CHECK(recorder.events.empty());
    // The next one is.
    CHECK(feed(reader, hello, 64, 1000));
    CHECK(recorder.events == std::vector<Recorder::Event>{kNewPeer, kHello});
  }
}

// Each row is judged once: judged from each of its frames, these would take a minute.
TEST_CASE("host end of a port: a HELLO behind long rows of them that lead to nothing is found") {
  Bytes row;
  while (row.size() < (64 << 10)) row = row + frame(wire::FrameKind::HELLO, {}, 0);
  row.push_back('x');
  Recorder recorder;
  FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
  CHECK(feed(reader, random(kFrameHeaderBytes, 3), 100));
  for (int i = 0; i < 900; i++) CHECK(feed(reader, row, row.size()));
  CHECK(recorder.events.empty());
  CHECK(feed(reader, frame(wire::FrameKind::HELLO, kHelloBody, 0), 100));
  CHECK(recorder.events == std::vector<Recorder::Event>{kNewPeer, kHello});
}

TEST_CASE("host end of a port: garbage with no HELLO behind ends in BAD_FRAME, by time and by amount") {
  {
    Recorder recorder;
    FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
    CHECK(feed(reader, random(100, 9), 64, 1000));
    CHECK(reader.nextCheckMs() == 1000 + FrameReader::kHuntMs);
    CHECK(reader.checkTime(1000 + FrameReader::kHuntMs - 1));
    CHECK_FALSE(reader.checkTime(1000 + FrameReader::kHuntMs));
    CHECK(reader.errorCode() == ErrorCode::BAD_FRAME);
  }
  Recorder recorder;
  FrameReader reader({.resync = Resync::HelloAnytime}, recorder);
  const Bytes garbage = random(1 << 20, 9);
  uint64_t fed = 0;
  while (feed(reader, garbage, garbage.size(), 0)) fed += garbage.size();
  CHECK(fed >= FrameReader::kHuntBytes - garbage.size());
  CHECK(fed <= FrameReader::kHuntBytes);
  CHECK(reader.errorCode() == ErrorCode::BAD_FRAME);
}

TEST_CASE("connector end of a port: skips a former process's replies up to the WELCOME, then skips nothing") {
  const Bytes stale = frame(4, random(3000, 5), 17);
  const Bytes welcome = frame(wire::FrameKind::WELCOME, kHelloBody, 40);
  const Bytes reply = frame(4, random(100, 6), 41);
  for (size_t cut = 0; cut < stale.size(); cut += 11) {
    for (const size_t chunk : {1, 300, 8192}) {
      Recorder recorder;
      FrameReader reader({.resync = Resync::WelcomeFirst}, recorder);
      const Bytes rest(stale.begin() + static_cast<ptrdiff_t>(cut), stale.end());
      CHECK(feed(reader, rest + stale + welcome + reply, chunk));
      CHECK(recorder.events ==
            std::vector<Recorder::Event>{{wire::FrameKind::WELCOME, kHelloBody}, {4, random(100, 6)}});
      CHECK_FALSE(feed(reader, rest + random(100, 8), chunk));
      CHECK(reader.errorCode() == ErrorCode::BAD_FRAME);
    }
  }
}
