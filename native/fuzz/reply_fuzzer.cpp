// What a host may send to a native connector: frames of any kind and body, while calls are open. Input, again
// and again: a byte that says what follows. Below 0x40 a frame of that kind (its length in two bytes, then
// its body), from 0x40 on a call with so many requests, from 0xC0 on the answer of a request by its number.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "client/in_flight.hpp"
#include "client/incoming.hpp"
#include "protocol/tables_messages.hpp"

namespace {

using namespace vamos;
using namespace vamos::client;

void require(bool condition) {
  if (!condition) std::abort();
}

// Every byte must be readable.
void touch(std::string_view bytes) {
  volatile char sum = 0;
  for (const char byte : bytes) sum = static_cast<char>(sum + byte);
}

template <typename Message>
void decode(std::string_view bytes) {
  Message message;
  if (Message::decode(bytes, message)) {
    // What was read can be written, and read again.
    const std::string written = message.encode();
    require(Message::decode(written, message) && message.encode() == written);
  }
}

void decodeAll(std::string_view bytes) {
  decode<wire::TableInfo>(bytes);
  decode<wire::TableList>(bytes);
  decode<wire::PreparedList>(bytes);
  decode<wire::LastCommitted>(bytes);
  decode<wire::Written>(bytes);
  decode<wire::Reserved>(bytes);
  decode<wire::TableStatistics>(bytes);
  decode<wire::Estimated>(bytes);
  decode<wire::BlobWritten>(bytes);
  wire::Rows rows;
  if (wire::Rows::decode(bytes, rows)) touch(rows.window);
  wire::BlobRead blob;
  if (wire::BlobRead::decode(bytes, blob)) touch(blob.data);
}

class Session {
 public:
  Session() {
    frame(wire::FrameKind::WELCOME, wire::Welcome{"nonce", 1, 1 << 20, 4 << 20, 2, "worker"}.encode());
    require(incoming_.welcome.has_value());
    inFlight_ = InFlight(*incoming_.welcome);
  }

  void call(size_t requests) {
    auto call = std::make_shared<Call>(1, std::vector<Request>(requests), CallOptions(), false);
    inFlight_.add({call});
    calls_.push_back(std::move(call));
  }

  // False: the session is over.
  bool frame(uint8_t kind, std::string_view body) {
    incoming_.openRequests = inFlight_.requestCount();
    // As a large frame comes: in memory of its own, which nothing may outlive.
    auto owned = std::make_unique<uint8_t[]>(body.size());
    if (!body.empty()) std::memcpy(owned.get(), body.data(), body.size());
    const std::span<const uint8_t> bytes(owned.get(), body.size());
    incoming_.onFrame(kind, bytes, std::move(owned));
    require(incoming_.answers.size() <= incoming_.openRequests);
    for (const uint32_t id : incoming_.parked) inFlight_.park(id);
    for (Incoming::Answer& answer : incoming_.answers) {
      const InFlight::Answered answered = inFlight_.settle(answer.id);
      if (!answered.call) continue;
      require(answered.index < answered.call->requestCount);
      if (answer.failure.code == ErrorCode::OK) {
        answered.call->succeed(answered.index, std::move(answer.body));
      } else {
        answered.call->fail(std::move(answer.failure), answered.index);
      }
    }
    incoming_.clear();
    return !incoming_.end;
  }

  void finish() {
    for (const CallPointer& call : inFlight_.takeAll()) {
      call->lose({ErrorCode::CHANNEL_CLOSED, "", ""}, "session");
    }
    for (const CallPointer& call : calls_) {
      require(call->isDone);
      for (size_t i = 0; i < call->requestCount; i++) touch(replyBody(call, i));
    }
  }

 private:
  Incoming incoming_{"nonce"};
  InFlight inFlight_;
  std::vector<CallPointer> calls_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  decodeAll(input);
  Session session;
  bool goesOn = true;
  while (!input.empty() && goesOn) {
    const auto control = static_cast<uint8_t>(input[0]);
    input.remove_prefix(1);
    if (control >= 0xC0) {
      wire::ReplyBatch batch;
      batch.replies.push_back({.id = control - 0xBFU, .body = input.substr(0, 8), .failure = {}});
      goesOn = session.frame(wire::FrameKind::REPLIES, batch.encode());
    } else if (control >= 0x40) {
      session.call(control - 0x3FU);
    } else if (input.size() >= 2) {
      uint16_t length;
      std::memcpy(&length, input.data(), sizeof length);
      input.remove_prefix(sizeof length);
      goesOn = session.frame(control, input.substr(0, length));
      input.remove_prefix(std::min<size_t>(length, input.size()));
    }
  }
  session.finish();
  return 0;
}
