#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "channel/frame_stream.hpp"
#include "client/client.hpp"
#include "wire/session_messages.hpp"

namespace vamos::test {

using client::CallPointer;
using client::Client;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// What may take its time on a busy machine, and ends far sooner otherwise.
constexpr milliseconds kPatience(20'000);

// Waits for a condition that another thread brings about.
inline bool eventually(const std::function<bool()>& condition) {
  for (const auto end = Clock::now() + kPatience; Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

// The host's end of one connection, as the test's script wants it.
class HostEnd final : public FrameReceiver {
 public:
  struct Frame {
    uint8_t kind;
    std::string body;
  };

  explicit HostEnd(Descriptor descriptor) : stream_(std::move(descriptor), {}, *this) {}

  void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]>) override {
    frames_.push_back({kind, std::string(reinterpret_cast<const char*>(body.data()), body.size())});
  }
  void onNewPeer() override {}

  // The next frame that comes within that time.
  std::optional<Frame> next(milliseconds patience = kPatience) {
    const auto end = Clock::now() + patience;
    while (frames_.empty()) {
      const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
      if (left < 0 || stream_.end()) return std::nullopt;
      pollfd state{.fd = stream_.descriptor(), .events = POLLIN, .revents = 0};
      if (poll(&state, 1, static_cast<int>(left)) > 0) stream_.read(0);
    }
    Frame frame = std::move(frames_.front());
    frames_.pop_front();
    return frame;
  }

  // The next frame of this kind, others passed over.
  std::string expect(uint8_t kind) {
    while (auto frame = next()) {
      if (frame->kind == kind) return frame->body;
    }
    FAIL("no frame of kind " << int(kind));
    return {};
  }

  // Requests of the next frame that has some; their bodies stand in it.
  struct Batch {
    std::string frame;
    wire::RequestBatch message;
    const std::vector<wire::Request>& requests() const { return message.requests; }
  };
  // Stays as long as this does.
  const Batch* expectRequests() {
    Batch& batch = batches_.emplace_back();
    batch.frame = expect(wire::FrameKind::REQUESTS);
    REQUIRE(wire::RequestBatch::decode(batch.frame, batch.message));
    lastStamp = batch.message.stamp;
    return &batch;
  }

  void send(uint8_t kind, std::string_view body) {
    stream_.send(kind, {reinterpret_cast<const uint8_t*>(body.data()), body.size()});
    while (stream_.wantsFlush() && !stream_.hasWriteFailed()) {
      pollfd state{.fd = stream_.descriptor(), .events = POLLOUT, .revents = 0};
      poll(&state, 1, -1);
      stream_.flush();
    }
  }
  void sendRaw(std::string_view bytes) {
    CHECK(::send(stream_.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
  }

  wire::Welcome limits{.version = 1,
                       .maxFrameBytes = 1 << 20,
                       .requestWindowBytes = 4 << 20,
                       .maxFramesInFlight = 2,
                       .worker = "worker"};
  wire::Hello hello;
  uint32_t lastStamp = 0;  // the stamp of the last frame of requests

  void welcome() {
    const std::string body = expect(wire::FrameKind::HELLO);
    REQUIRE(wire::Hello::decode(body, hello));
    limits.nonce = hello.nonce;
    send(wire::FrameKind::WELCOME, limits.encode());
  }
  void reply(uint32_t id, std::string_view body) {
    wire::ReplyBatch batch;
    batch.replies.push_back({.id = id, .body = body, .failure = {}});
    batch.stamp = lastStamp;
    send(wire::FrameKind::REPLIES, batch.encode());
  }
  void fail(uint32_t id, ErrorCode code, std::string message = "asked to") {
    wire::ReplyBatch batch;
    batch.replies.push_back({.id = id, .body = {}, .failure = {code, std::move(message), "detail"}});
    batch.stamp = lastStamp;
    send(wire::FrameKind::REPLIES, batch.encode());
  }
  // Answers each request with its body, in frames as they came, until the connector goes.
  void echo() {
    while (auto frame = next()) {
      if (frame->kind == wire::FrameKind::PING) send(wire::FrameKind::PONG, frame->body);
      if (frame->kind != wire::FrameKind::REQUESTS) continue;
      wire::RequestBatch batch;
      REQUIRE(wire::RequestBatch::decode(frame->body, batch));
      wire::ReplyBatch replies{.replies = {}, .stamp = batch.stamp};
      for (const auto& request : batch.requests) {
        replies.replies.push_back({.id = request.id, .body = request.body, .failure = {}});
      }
      if (!batch.requests.empty()) send(wire::FrameKind::REPLIES, replies.encode());
    }
  }
  bool isOver() { return !next(kPatience) && stream_.end(); }
  // As a host that is killed.
  void die() { shutdown(stream_.descriptor(), SHUT_RDWR); }

 private:
  std::deque<Batch> batches_;
  std::deque<Frame> frames_;
  FrameStream stream_;
};

// A socket in a folder of its own, at which the test plays the host.
class Place {
 public:
  Place() {
    char name[] = "/tmp/vamos-client-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder_ = name;
    listen();
  }
  ~Place() { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/socket"; }
  std::string address() const { return "unix:" + path(); }
  void listen() { listener_ = listenUnix(path()); }
  // Nobody answers at the address any more.
  void vanish() {
    listener_ = {};
    std::filesystem::remove(path());
  }

  std::unique_ptr<HostEnd> accept(milliseconds patience = kPatience) {
    pollfd state{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (poll(&state, 1, static_cast<int>(patience.count())) <= 0) return nullptr;
    return std::make_unique<HostEnd>(acceptFrom(listener_, kAnyCid));
  }
  // Accepts a connector and welcomes it.
  std::unique_ptr<HostEnd> welcome() {
    auto end = accept();
    REQUIRE(end);
    end->welcome();
    return end;
  }

  client::Options options() const {
    client::Options options;
    options.address = address();
    options.program = "test";
    return options;
  }

 private:
  std::string folder_;
  Descriptor listener_;
};

inline void connect(Client& client) {
  client::Failure failure;
  const uint32_t session = client.connect(static_cast<uint32_t>(kPatience.count()), failure);
  REQUIRE_MESSAGE(session > 0, failure.message);
}

}  // namespace vamos::test
