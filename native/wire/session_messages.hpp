#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error_code.hpp"
#include "protocol/limits.hpp"
#include "protocol/session_enums.hpp"

// The messages of src/protocol/vamos.proto, which are the bodies of frames; their meaning stands there. As in
// tables.hpp, decode() returns false for bytes that are no such message or break a limit.
namespace vamos::wire {

struct Hello {
  uint32_t version = 0;
  std::string nonce;
  std::string session;
  uint32_t epoch = 0;
  std::string token;
  std::string program;
  uint32_t replyWindowBytes = 0;
  std::vector<uint32_t> stamps;

  std::string encode() const;
  static bool decode(std::string_view bytes, Hello& message);
};

struct Welcome {
  std::string nonce;
  uint32_t version = 0;
  uint32_t maxFrameBytes = 0;
  uint32_t requestWindowBytes = 0;
  uint32_t maxFramesInFlight = 0;
  std::string worker;

  std::string encode() const;
  static bool decode(std::string_view bytes, Welcome& message);
};

// A request. Its body stands where it was, or in the bytes that were decoded.
struct Request {
  uint32_t id = 0;
  uint32_t stream = 0;
  uint32_t method = 0;
  uint32_t deadlineMs = 0;
  bool chain = false;
  std::string_view body;
};

struct RequestBatch {
  std::vector<Request> requests;
  uint64_t receivedBytes = 0;
  uint32_t stamp = 0;

  static bool decode(std::string_view bytes, RequestBatch& message);
};

// Appends a request to a batch, which is made this way. The body is copied once.
void appendRequest(std::string& batch, const Request& request);
void appendReceivedBytes(std::string& batch, uint64_t receivedBytes);
void appendStamp(std::string& batch, uint32_t stamp);

struct Failure {
  ErrorCode code = ErrorCode::OK;
  std::string message;
  std::string detail;
};

struct Reply {
  uint32_t id = 0;
  std::string_view body;  // in the bytes that were decoded
  Failure failure;        // OK: there is no failure
};

struct ReplyBatch {
  std::vector<Reply> replies;
  uint32_t stamp = 0;

  std::string encode() const;
  // Returns false also for more than `most` replies.
  static bool decode(std::string_view bytes, size_t most, ReplyBatch& message);
};

// Appends a reply to a ReplyBatch, which is made this way.
void appendReply(std::string& batch, const Reply& reply);

struct Parked {
  std::vector<uint32_t> ids;

  std::string encode() const;
  static bool decode(std::string_view bytes, Parked& message);
};

struct Cancel {
  std::vector<uint32_t> ids;

  std::string encode() const;
  static bool decode(std::string_view bytes, Cancel& message);
};

struct Goodbye {
  ErrorCode code = ErrorCode::OK;
  std::string message;
  std::string nonce;

  std::string encode() const;
  static bool decode(std::string_view bytes, Goodbye& message);
};

struct Credit {
  uint64_t receivedBytes = 0;

  std::string encode() const;
  static bool decode(std::string_view bytes, Credit& message);
};

}  // namespace vamos::wire
