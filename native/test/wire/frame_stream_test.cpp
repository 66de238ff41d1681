#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "channel/frame_stream.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

using namespace vamos;

namespace {

using Bytes = std::vector<uint8_t>;

struct Recorder final : FrameReceiver {
  std::vector<Bytes> bodies;

  void onFrame(uint8_t, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]>) override {
    bodies.emplace_back(body.begin(), body.end());
  }
  void onNewPeer() override {}
};

Bytes pattern(size_t size, uint32_t seed) {
  Bytes bytes(size);
  uint32_t state = seed;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

struct Ends {
  Descriptor one;
  Descriptor other;
};

Ends socketPair() {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// A character device that takes little at a time, as a virtio-serial port does: a raw terminal.
Ends terminal() {
  Descriptor other(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(other.isOpen());
  REQUIRE(grantpt(other.get()) == 0);
  REQUIRE(unlockpt(other.get()) == 0);
  char name[64];
  REQUIRE(ptsname_r(other.get(), name, sizeof name) == 0);
  Descriptor one = openPort(name);
  termios settings;
  REQUIRE(tcgetattr(one.get(), &settings) == 0);
  cfmakeraw(&settings);
  REQUIRE(tcsetattr(one.get(), TCSANOW, &settings) == 0);
  return {std::move(one), std::move(other)};
}

// Reads and writes both ends until `count` frames have come to `recorder`, or an end has come.
void pump(FrameStream& sender, FrameStream& receiver, const Recorder& recorder, size_t count) {
  for (int idle = 0; recorder.bodies.size() < count && !receiver.end(); idle++) {
    REQUIRE(idle < 1'000'000);
    if (sender.wantsFlush()) sender.flush();
    pollfd state{.fd = receiver.descriptor(), .events = POLLIN, .revents = 0};
    poll(&state, 1, 10);
    receiver.read(0);
  }
}

void checkTransfer(Ends ends) {
  Recorder ignored;
  Recorder recorder;
  FrameStream sender(std::move(ends.one), {}, ignored);
  FrameStream receiver(std::move(ends.other), {}, recorder);
  std::vector<Bytes> sent;
  uint32_t seed = 0;
  for (const size_t size : {0, 10, 4072, 32'744, 32'745, 40'000, 100, 1 << 20, 5, (5 << 20) + 3, 0}) {
    sent.push_back(pattern(size, seed++));
    Bytes given = sent.back();
    sender.send(3, given);
    // What was not taken immediately is copied: the sender's bytes may change.
    std::fill(given.begin(), given.end(), uint8_t{0xAA});
  }
  pump(sender, receiver, recorder, sent.size());
  CHECK(recorder.bodies == sent);
  CHECK_FALSE(sender.wantsFlush());
  CHECK(sender.writer().bytesSent() == receiver.bytesReceived());
  CHECK(sender.writer().framesSent() == sent.size());
}

}  // namespace

TEST_CASE("frames of all sizes go through a socket that takes only a part at a time") {
  Ends ends = socketPair();
  const int size = 4096;
  setsockopt(ends.one.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  checkTransfer(std::move(ends));
}

TEST_CASE("frames of all sizes go through a port that takes only a part at a time") {
  checkTransfer(terminal());
}

TEST_CASE("a small frame on an idle channel is one write, on a socket and on a port") {
  for (const bool isPort : {false, true}) {
    Ends ends = isPort ? terminal() : socketPair();
    Recorder recorder;
    FrameStream sender(std::move(ends.one), {}, recorder);
    sender.send(3, pattern(1000, 1));
    CHECK(sender.writer().writeCalls() == 1);
    CHECK_FALSE(sender.wantsFlush());
  }
}

TEST_CASE("small frames that wait go out together") {
  Ends ends = terminal();
  Recorder ignored;
  Recorder recorder;
  FrameStream sender(std::move(ends.one), {}, ignored);
  FrameStream receiver(std::move(ends.other), {}, recorder);
  // Fills the port.
  while (!sender.wantsFlush()) sender.send(3, pattern(2000, 1));
  const uint64_t sentBefore = sender.writer().framesSent();
  const uint64_t callsBefore = sender.writer().writeCalls();
  for (int i = 0; i < 500; i++) sender.send(3, pattern(10, 1));
  CHECK(sender.writer().writeCalls() == callsBefore);
  pump(sender, receiver, recorder, sentBefore + 500);
  CHECK(recorder.bodies.size() == sentBefore + 500);
  CHECK(sender.writer().writeCalls() - callsBefore < 100);
}

TEST_CASE("the peer's end is CHANNEL_CLOSED behind its last frame, on a socket and on a port") {
  for (const bool isPort : {false, true}) {
    for (const bool isMidFrame : {false, true}) {
      Ends ends = isPort ? terminal() : socketPair();
      Recorder recorder;
      FrameStream stream(std::move(ends.one), {}, recorder);
      const Bytes body = pattern(100, 1);
      const FrameHeaderBytes header = encodeFrameHeader(3, body, 0);
      REQUIRE(write(ends.other.get(), header.data(), header.size()) == static_cast<ssize_t>(header.size()));
      REQUIRE(write(ends.other.get(), body.data(), body.size()) == static_cast<ssize_t>(body.size()));
      if (isMidFrame) REQUIRE(write(ends.other.get(), header.data(), 7) == 7);
      // A terminal forgets what was not read when its other end closes.
      while (recorder.bodies.empty()) stream.read(0);
      ends.other = {};
      for (int i = 0; i < 1000 && !stream.end(); i++) stream.read(0);
      REQUIRE(stream.end());
      CHECK(stream.end()->code == ErrorCode::CHANNEL_CLOSED);
      CHECK(recorder.bodies == std::vector<Bytes>{body});
    }
  }
}

TEST_CASE("a write to a peer that has gone fails, is no signal, and keeps nothing") {
  Ends ends = socketPair();
  Recorder recorder;
  FrameStream stream(std::move(ends.one), {}, recorder);
  while (!stream.wantsFlush()) stream.send(3, pattern(10'000, 1));
  ends.other = {};
  stream.flush();
  CHECK(stream.hasWriteFailed());
  CHECK(stream.writeFailure().code == ErrorCode::CHANNEL_CLOSED);
  CHECK_FALSE(stream.wantsFlush());
  stream.send(3, pattern(10, 1));
  CHECK_FALSE(stream.wantsFlush());
}

TEST_CASE("a UNIX address in use is busy, a dead one is taken over, another file is left alone") {
  char folder[] = "/tmp/vamos-channel-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/socket";
  const auto codeOf = [](auto&& action) {
    try {
      action();
      return ErrorCode::OK;
    } catch (const ChannelError& error) {
      return error.code;
    }
  };
  CHECK(codeOf([&] { connectUnix(path); }) == ErrorCode::CHANNEL_ABSENT);
  {
    const Descriptor first = listenUnix(path);
    CHECK(codeOf([&] { listenUnix(path); }) == ErrorCode::CHANNEL_BUSY);
    CHECK(codeOf([&] { connectUnix(path); }) == ErrorCode::OK);
  }
  CHECK(codeOf([&] { connectUnix(path); }) == ErrorCode::CHANNEL_ABSENT);
  CHECK(codeOf([&] { listenUnix(path); }) == ErrorCode::OK);
  unlink(path.c_str());
  Descriptor(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  CHECK(codeOf([&] { listenUnix(path); }) == ErrorCode::BAD_ADDRESS);
  CHECK(codeOf([&] { openPort(path); }) == ErrorCode::BAD_ADDRESS);
  CHECK(access(path.c_str(), F_OK) == 0);
  unlink(path.c_str());
  rmdir(folder);
}
