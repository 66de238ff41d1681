#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/call.hpp"
#include "wire/frame.hpp"
#include "wire/session_messages.hpp"

namespace vamos::client {

// What a host has sent, taken apart and not yet acted upon. The host may send anything: what makes no sense
// ends the session.
class Incoming final : public FrameReceiver {
 public:
  // Frames before the WELCOME or GOODBYE that echoes the nonce belong to an earlier session.
  explicit Incoming(std::string nonce) : nonce_(std::move(nonce)) {}

  void onFrame(uint8_t kind, std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned) override;
  void onNewPeer() override {}

  struct Answer {
    uint32_t id;
    Body body;
    Failure failure;
  };

  std::optional<wire::Welcome> welcome;  // is not cleared
  // The number of open requests: more answers than these break the protocol. Any thread sets it before it
  // sends them.
  std::atomic<size_t> openRequests{0};

  // What came since clear():
  uint64_t frames = 0;
  uint64_t replyBytes = 0;
  std::vector<uint32_t> parked;
  std::vector<Answer> answers;
  std::vector<uint32_t> stamps;  // stamps of the frames that the answers came in
  bool hasPing = false;
  std::string ping;  // the body of the last one
  std::optional<Failure> end;
  bool isBroken = false;  // we end the session: what the host sent makes no sense
  void clear();

 private:
  void takeWelcome(std::string_view body);
  void takeGoodbye(std::string_view body);
  void takeReplies(std::string_view body, std::unique_ptr<uint8_t[]> owned);
  void refuse(ErrorCode code, std::string why);

  std::string nonce_;
  wire::ReplyBatch batch_;
};

}  // namespace vamos::client
