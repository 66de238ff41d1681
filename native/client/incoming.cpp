#include "client/incoming.hpp"

#include <utility>

namespace vamos::client {
namespace {

using wire::FrameKind;

// A smaller body is copied, so that it does not keep its whole frame.
constexpr size_t kSharedFromBytes = 32 << 10;

}  // namespace

void Incoming::onFrame(uint8_t kind, std::span<const uint8_t> bytes, std::unique_ptr<uint8_t[]> owned) {
  if (end) return;
  frames++;
  const std::string_view body(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (kind == FrameKind::WELCOME) {
    if (!welcome) takeWelcome(body);
  } else if (kind == FrameKind::GOODBYE) {
    takeGoodbye(body);
  } else if (welcome) {
    if (kind == FrameKind::REPLIES) {
      replyBytes += body.size();
      takeReplies(body, std::move(owned));
    } else if (kind == FrameKind::PARKED) {
      wire::Parked message;
      if (!wire::Parked::decode(body, message) || message.ids.size() > openRequests) {
        return refuse(ErrorCode::BAD_FRAME, "a report of parked requests makes no sense");
      }
      parked.insert(parked.end(), message.ids.begin(), message.ids.end());
    } else if (kind == FrameKind::PING) {
      if (body.size() > maxPingBytes) return refuse(ErrorCode::BAD_FRAME, "a ping is too long");
      hasPing = true;
      ping = body;
    } else if (kind != FrameKind::PONG) {
      refuse(ErrorCode::BAD_FRAME, "the host sent a frame of kind " + std::to_string(kind));
    }
  }
}

void Incoming::clear() {
  frames = 0;
  replyBytes = 0;
  parked.clear();
  answers.clear();
  stamps.clear();
  hasPing = false;
}

void Incoming::takeWelcome(std::string_view body) {
  wire::Welcome message;
  if (!wire::Welcome::decode(body, message) || message.nonce != nonce_) return;
  if (message.version != protocolVersion) {
    return refuse(ErrorCode::VERSION_MISMATCH, "the host speaks protocol version " +
                                                   std::to_string(message.version) + ", this connector " +
                                                   std::to_string(protocolVersion));
  }
  if (message.maxFrameBytes < 1024 || message.requestWindowBytes < message.maxFrameBytes ||
      message.maxFramesInFlight < 1) {
    return refuse(ErrorCode::BAD_FRAME, "the host's limits make no sense");
  }
  welcome = std::move(message);
}

void Incoming::takeGoodbye(std::string_view body) {
  wire::Goodbye message;
  const bool isReadable = wire::Goodbye::decode(body, message);
  if (!welcome && (!isReadable || message.nonce != nonce_)) return;
  const bool saysWhy = isReadable && message.code != ErrorCode::OK;
  end = Failure{saysWhy ? message.code : ErrorCode::SESSION_LOST,
                isReadable && !message.message.empty() ? message.message : "the host ended the session"};
}

void Incoming::takeReplies(std::string_view body, std::unique_ptr<uint8_t[]> owned) {
  const size_t most = openRequests;
  if (!wire::ReplyBatch::decode(body, most - std::min(most, answers.size()), batch_)) {
    return refuse(ErrorCode::BAD_FRAME, "a frame of replies makes no sense");
  }
  stamps.push_back(batch_.stamp);
  const std::shared_ptr<const uint8_t[]> frame(std::move(owned));
  for (wire::Reply& reply : batch_.replies) {
    Answer answer{.id = reply.id, .failure = std::move(reply.failure)};
    if (frame && reply.body.size() >= kSharedFromBytes) {
      answer.body.frame = frame;
      answer.body.inFrame = reply.body;
    } else {
      answer.body.own = reply.body;
    }
    answers.push_back(std::move(answer));
  }
}

void Incoming::refuse(ErrorCode code, std::string why) {
  isBroken = true;
  end = Failure{code, std::move(why)};
}

}  // namespace vamos::client
