#include "wire/session_messages.hpp"

#include "protocol/message_coder.hpp"

namespace vamos::wire {

// More ids than any window has room for.
static constexpr size_t kMaxIds = 1 << 20;
// A limit for what a connector may send, which only the tests' hosts read.
static constexpr size_t kMaxRequests = 1 << 18;

template <typename Visitor, Is<Hello> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.version);
  visit(2, message.nonce);
  visit(3, message.session);
  visit(4, message.epoch);
  visit(5, message.token);
  visit(6, message.program);
  visit(7, message.replyWindowBytes);
  visit(8, message.stamps, kMaxIds);
}

template <typename Visitor, Is<Welcome> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.nonce);
  visit(2, message.version);
  visit(3, message.maxFrameBytes);
  visit(4, message.requestWindowBytes);
  visit(5, message.maxFramesInFlight);
  visit(6, message.worker);
}

template <typename Visitor, Is<Request> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.id);
  visit(2, message.stream);
  visit(3, message.method);
  visit(4, message.deadlineMs);
  visit(5, message.chain);
  visit(6, message.body);
}

template <typename Visitor, Is<RequestBatch> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.requests, kMaxRequests);
  visit(2, message.receivedBytes);
  visit(3, message.stamp);
}

template <typename Visitor, Is<Failure> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.code);
  visit(2, message.message);
  visit(3, message.detail);
}

template <typename Visitor, Is<Parked> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.ids, kMaxIds);
}

template <typename Visitor, Is<Cancel> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.ids, kMaxIds);
}

template <typename Visitor, Is<Goodbye> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.code);
  visit(2, message.message);
  visit(3, message.nonce);
}

template <typename Visitor, Is<Credit> Message>
void fields(Visitor& visit, Message& message) {
  visit(1, message.receivedBytes);
}

namespace {

constexpr uint32_t kReplies = 1;  // the field of ReplyBatch
constexpr uint32_t kReplyStamp = 2;
enum ReplyField : uint32_t { kId = 1, kBody = 2, kFailure = 3 };

std::string_view view(protozero::pbf_reader& reader) {
  const protozero::data_view bytes = reader.get_view();
  return {bytes.data(), bytes.size()};
}

Reply readReply(protozero::pbf_reader reader) {
  using Type = protozero::pbf_wire_type;
  Reply reply;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case protozero::tag_and_type(kId, Type::varint):
        reply.id = static_cast<uint32_t>(reader.get_uint64());
        break;
      case protozero::tag_and_type(kBody, Type::length_delimited):
        reply.body = view(reader);
        break;
      case protozero::tag_and_type(kFailure, Type::length_delimited):
        reply.failure = {};
        FieldReader::read(view(reader), reply.failure);
        // A failure whose code is OK is a failure all the same.
        if (reply.failure.code == ErrorCode::OK) reply.failure.code = ErrorCode::INTERNAL;
        break;
      default:
        reader.skip();
    }
  }
  return reply;
}

size_t varintBytes(uint64_t value) {
  size_t count = 1;
  for (; value >= 0x80; value >>= 7) count++;
  return count;
}

}  // namespace

std::string Hello::encode() const { return encodeMessage(*this); }
bool Hello::decode(std::string_view bytes, Hello& message) { return decodeMessage(bytes, message); }

std::string Welcome::encode() const { return encodeMessage(*this); }
bool Welcome::decode(std::string_view bytes, Welcome& message) { return decodeMessage(bytes, message); }

bool RequestBatch::decode(std::string_view bytes, RequestBatch& message) {
  return decodeMessage(bytes, message);
}

void appendRequest(std::string& batch, const Request& request) {
  // All its fields but the body are small, and their length is known once they are written.
  std::string head;
  FieldWriter writer(head);
  Request bodiless = request;
  bodiless.body = {};
  fields(writer, bodiless);
  const size_t bodyBytes = request.body.size();
  const size_t withBody = bodyBytes == 0 ? 0 : 1 + varintBytes(bodyBytes) + bodyBytes;
  protozero::add_varint_to_buffer(&batch, (1U << 3U) | 2U);
  protozero::add_varint_to_buffer(&batch, head.size() + withBody);
  batch.append(head);
  if (bodyBytes > 0) protozero::pbf_writer(batch).add_bytes(6, request.body.data(), bodyBytes);
}

void appendReceivedBytes(std::string& batch, uint64_t receivedBytes) {
  if (receivedBytes != 0) protozero::pbf_writer(batch).add_uint64(2, receivedBytes);
}

void appendStamp(std::string& batch, uint32_t stamp) {
  if (stamp != 0) protozero::pbf_writer(batch).add_uint32(3, stamp);
}

void appendReply(std::string& batch, const Reply& reply) {
  protozero::pbf_writer replies(batch);
  protozero::pbf_writer writer(replies, kReplies);
  writer.add_uint32(kId, reply.id);
  if (reply.failure.code == ErrorCode::OK) {
    writer.add_bytes(kBody, reply.body.data(), reply.body.size());
  } else {
    writer.add_message(kFailure, encodeMessage(reply.failure));
  }
}

std::string ReplyBatch::encode() const {
  std::string bytes;
  for (const Reply& reply : replies) appendReply(bytes, reply);
  if (stamp != 0) protozero::pbf_writer(bytes).add_uint32(kReplyStamp, stamp);
  return bytes;
}

bool ReplyBatch::decode(std::string_view bytes, size_t most, ReplyBatch& message) {
  message.replies.clear();
  message.stamp = 0;
  try {
    protozero::pbf_reader reader(bytes.data(), bytes.size());
    while (reader.next()) {
      if (reader.tag_and_type() == protozero::tag_and_type(kReplyStamp, protozero::pbf_wire_type::varint)) {
        message.stamp = static_cast<uint32_t>(reader.get_uint64());
        continue;
      }
      if (reader.tag_and_type() !=
          protozero::tag_and_type(kReplies, protozero::pbf_wire_type::length_delimited)) {
        reader.skip();
        continue;
      }
      if (message.replies.size() == most) return false;
      message.replies.push_back(readReply(reader.get_message()));
    }
    return true;
  } catch (const protozero::exception&) {
    return false;
  }
}

std::string Parked::encode() const { return encodeMessage(*this); }
bool Parked::decode(std::string_view bytes, Parked& message) { return decodeMessage(bytes, message); }

std::string Cancel::encode() const { return encodeMessage(*this); }
bool Cancel::decode(std::string_view bytes, Cancel& message) { return decodeMessage(bytes, message); }

std::string Goodbye::encode() const { return encodeMessage(*this); }
bool Goodbye::decode(std::string_view bytes, Goodbye& message) { return decodeMessage(bytes, message); }

std::string Credit::encode() const { return encodeMessage(*this); }
bool Credit::decode(std::string_view bytes, Credit& message) { return decodeMessage(bytes, message); }

}  // namespace vamos::wire
