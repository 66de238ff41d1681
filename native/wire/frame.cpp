#include "wire/frame.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "wire/crc32c.hpp"

namespace vamos {
namespace {

static_assert(std::endian::native == std::endian::little, "header fields are little-endian");

constexpr std::string_view kMagic = "VAM1";
constexpr uint8_t kVersion = 1;
constexpr size_t kCheckOffset = 20;
// A new process sends little before its WELCOME, so only the end of a suspect body is searched.
constexpr size_t kSearchedBytes = 64 << 10;

using HeaderSpan = std::span<const uint8_t, kFrameHeaderBytes>;

template <typename Integer>
Integer load(const uint8_t* from) {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename Integer>
void store(uint8_t* to, Integer value) {
  std::memcpy(to, &value, sizeof value);
}

uint32_t check(std::span<const uint8_t> bytes) { return crc32c(bytes.data(), bytes.size()); }

std::span<const uint8_t> lastBytes(std::span<const uint8_t> bytes, size_t count) {
  return bytes.last(std::min(count, bytes.size()));
}

// Whether something stands at a place of a broken stream.
enum class Verdict : uint8_t { No, Incomplete, Yes };

struct Judgement {
  Verdict verdict;
  // Bytes of the whole frames before the place where it was decided.
  size_t wholeBytes;
};

// Judges whether whole frames of `kind` stand at the beginning of `bytes`: one for WELCOME; for HELLO nothing
// else may follow, except the beginning of one more.
Judgement judgePreamble(std::span<const uint8_t> bytes, uint8_t kind) {
  size_t whole = 0;
  while (whole < bytes.size()) {
    const auto left = bytes.subspan(whole);
    const Verdict ifCutOff = whole > 0 ? Verdict::Yes : Verdict::Incomplete;
    if (std::memcmp(left.data(), kMagic.data(), std::min(left.size(), kMagic.size())) != 0)
      return {Verdict::No, whole};
    if (left.size() < kFrameHeaderBytes) return {ifCutOff, whole};
    const auto header = decodeFrameHeader(HeaderSpan(left.first(kFrameHeaderBytes)));
    if (!header || header->kind != kind || header->lengthBytes > kMaxPreambleBytes)
      return {Verdict::No, whole};
    const auto body = left.subspan(kFrameHeaderBytes);
    if (body.size() < header->lengthBytes) return {ifCutOff, whole};
    if (check(body.first(header->lengthBytes)) != header->bodyCheck) return {Verdict::No, whole};
    whole += kFrameHeaderBytes + header->lengthBytes;
    if (kind != wire::FrameKind::HELLO) break;
  }
  return {whole > 0 ? Verdict::Yes : Verdict::No, whole};
}

struct Found {
  Verdict verdict;
  // The place of the preamble, else the first place that may still become one, else the end.
  size_t offset;
};

Found findPreamble(std::span<const uint8_t> bytes, uint8_t kind) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Found best{Verdict::No, bytes.size()};
  for (size_t at = text.find(kMagic[0]); at != std::string_view::npos;) {
    const auto [verdict, wholeBytes] = judgePreamble(bytes.subspan(at), kind);
    if (verdict == Verdict::Yes) return {verdict, at};
    if (verdict == Verdict::Incomplete && best.verdict == Verdict::No) best = {verdict, at};
    // Whole frames that lead to no preamble do so from each of them, so they are skipped together. Otherwise
    // a long row of them would take quadratic time.
    at = text.find(kMagic[0], at + std::max<size_t>(wholeBytes, 1));
  }
  return best;
}

}  // namespace

FrameHeaderBytes encodeFrameHeader(uint8_t kind, std::span<const uint8_t> body, uint32_t sequence) {
  FrameHeaderBytes bytes{};
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  bytes[4] = kVersion;
  bytes[5] = kind;
  store(&bytes[8], static_cast<uint32_t>(body.size()));
  store(&bytes[12], check(body));
  store(&bytes[16], sequence);
  store(&bytes[kCheckOffset], crc32c(bytes.data(), kCheckOffset));
  return bytes;
}

std::optional<FrameHeader> decodeFrameHeader(HeaderSpan bytes) {
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  if (bytes[4] != kVersion || bytes[6] != 0 || bytes[7] != 0) return std::nullopt;
  if (load<uint32_t>(&bytes[kCheckOffset]) != crc32c(bytes.data(), kCheckOffset)) return std::nullopt;
  return FrameHeader{.kind = bytes[5],
                     .lengthBytes = load<uint32_t>(&bytes[8]),
                     .bodyCheck = load<uint32_t>(&bytes[12]),
                     .sequence = load<uint32_t>(&bytes[16])};
}

FrameReader::FrameReader(FrameReaderOptions options, FrameReceiver& receiver)
    : options_(options), receiver_(receiver) {
  if (options_.resync == Resync::WelcomeFirst) {
    state_ = State::Hunt;
    huntReason_ = "no WELCOME in what came";
  }
}

std::span<uint8_t> FrameReader::bodyRoom() {
  if (state_ != State::Body) return {};
  allocateBody();
  return {body_.get() + bodyBytes_, header_.lengthBytes - bodyBytes_};
}

bool FrameReader::take(size_t count, std::span<const uint8_t> more, uint64_t nowMs) {
  if (state_ == State::Failed) return false;
  if (count > 0) {
    bodyBytes_ += count;
    if (bodyBytes_ == header_.lengthBytes) {
      const std::span<const uint8_t> body(body_.get(), bodyBytes_);
      finishBody(body, std::move(body_), nowMs);
    }
  }
  parse(more, nowMs);
  return checkTime(nowMs);
}

std::optional<uint64_t> FrameReader::nextCheckMs() const {
  if (options_.resync != Resync::HelloAnytime) return std::nullopt;
  if (state_ == State::Hunt) return huntBeganMs_ + kHuntMs;
  if (state_ == State::Body && !isStalled_) return frameBeganMs_ + kStallMs;
  return std::nullopt;
}

bool FrameReader::checkTime(uint64_t nowMs) {
  if (options_.resync != Resync::HelloAnytime) return state_ != State::Failed;
  if (state_ == State::Body) {
    isStalled_ = isStalled_ || nowMs >= frameBeganMs_ + kStallMs;
    if (isStalled_) findHelloInBody(nowMs);
  } else if (state_ == State::Hunt && nowMs >= huntBeganMs_ + kHuntMs) {
    fail(ErrorCode::BAD_FRAME, huntReason_);
  }
  return state_ != State::Failed;
}

void FrameReader::parse(std::span<const uint8_t> bytes, uint64_t nowMs) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::Header:
        bytes = takeHeader(bytes, nowMs);
        break;
      case State::Body: {
        if (body_ == nullptr) {
          // The whole body has come, so it needs no buffer of its own.
          if (bytes.size() >= header_.lengthBytes) {
            const auto body = bytes.first(header_.lengthBytes);
            bytes = bytes.subspan(body.size());
            finishBody(body, nullptr, nowMs);
            break;
          }
          allocateBody();
        }
        const size_t count = std::min<size_t>(bytes.size(), header_.lengthBytes - bodyBytes_);
        std::memcpy(body_.get() + bodyBytes_, bytes.data(), count);
        bodyBytes_ += count;
        bytes = bytes.subspan(count);
        if (bodyBytes_ == header_.lengthBytes) {
          const std::span<const uint8_t> body(body_.get(), bodyBytes_);
          finishBody(body, std::move(body_), nowMs);
        }
        break;
      }
      case State::Hunt:
        hunt(bytes, nowMs);
        return;
      case State::Failed:
        return;
    }
  }
}

// Returns what is left of `bytes`.
std::span<const uint8_t> FrameReader::takeHeader(std::span<const uint8_t> bytes, uint64_t nowMs) {
  if (headerBytes_ == 0 && bytes.size() >= kFrameHeaderBytes) {
    acceptHeader(HeaderSpan(bytes.first(kFrameHeaderBytes)), nowMs);
    return bytes.subspan(kFrameHeaderBytes);
  }
  const size_t count = std::min(bytes.size(), kFrameHeaderBytes - headerBytes_);
  std::memcpy(headerBuffer_.data() + headerBytes_, bytes.data(), count);
  headerBytes_ += count;
  if (headerBytes_ == kFrameHeaderBytes) {
    headerBytes_ = 0;
    acceptHeader(headerBuffer_, nowMs);
  }
  return bytes.subspan(count);
}

void FrameReader::acceptHeader(HeaderSpan bytes, uint64_t nowMs) {
  const auto header = decodeFrameHeader(bytes);
  if (!header) return reject(bytes, "a frame's header does not check", nowMs);
  const bool beginsAnew = header->kind == wire::FrameKind::HELLO || header->kind == wire::FrameKind::WELCOME;
  if (!beginsAnew && header->sequence != nextSequence_) return reject(bytes, "frames are missing", nowMs);
  if (header->lengthBytes > options_.maxBodyBytes) {
    return fail(ErrorCode::FRAME_TOO_LARGE, "a frame of " + std::to_string(header->lengthBytes) +
                                                " bytes came, and the limit is " +
                                                std::to_string(options_.maxBodyBytes));
  }
  nextSequence_ = header->sequence + 1;
  header_ = *header;
  bodyBytes_ = 0;
  frameBeganMs_ = nowMs;
  isStalled_ = false;
  state_ = State::Body;
  if (header_.lengthBytes == 0) finishBody({}, nullptr, nowMs);
}

void FrameReader::allocateBody() {
  if (body_ == nullptr) body_ = std::make_unique_for_overwrite<uint8_t[]>(header_.lengthBytes);
}

void FrameReader::finishBody(std::span<const uint8_t> body, std::unique_ptr<uint8_t[]> owned,
                             uint64_t nowMs) {
  if (check(body) != header_.bodyCheck) {
    return reject(lastBytes(body, kSearchedBytes), "a frame's body does not check", nowMs);
  }
  state_ = State::Header;
  receiver_.onFrame(header_.kind, body, std::move(owned));
}

void FrameReader::reject(std::span<const uint8_t> suspect, const char* what, uint64_t nowMs) {
  if (options_.resync != Resync::HelloAnytime) return fail(ErrorCode::BAD_FRAME, what);
  state_ = State::Hunt;
  huntBeganMs_ = nowMs;
  huntedBytes_ = 0;
  huntReason_ = what;
  hunted_.clear();
  hunt(suspect, nowMs);
}

void FrameReader::hunt(std::span<const uint8_t> bytes, uint64_t nowMs) {
  hunted_.insert(hunted_.end(), bytes.begin(), bytes.end());
  huntedBytes_ += bytes.size();
  const uint8_t kind =
      options_.resync == Resync::HelloAnytime ? wire::FrameKind::HELLO : wire::FrameKind::WELCOME;
  const Found found = findPreamble(hunted_, kind);
  if (found.verdict == Verdict::Yes) {
    restart({hunted_.begin() + static_cast<ptrdiff_t>(found.offset), hunted_.end()}, nowMs);
  } else if (huntedBytes_ > kHuntBytes) {
    fail(ErrorCode::BAD_FRAME, huntReason_);
  } else {
    hunted_.erase(hunted_.begin(), hunted_.begin() + static_cast<ptrdiff_t>(found.offset));
    tellUnreadable(nowMs);
  }
}

void FrameReader::tellUnreadable(uint64_t nowMs) {
  if (options_.resync != Resync::HelloAnytime || (toldMs_ && nowMs < *toldMs_ + kTellMs)) return;
  toldMs_ = nowMs;
  receiver_.onUnreadable();
}

void FrameReader::findHelloInBody(uint64_t nowMs) {
  const auto searched = lastBytes({body_.get(), bodyBytes_}, kSearchedBytes);
  const Found found = findPreamble(searched, wire::FrameKind::HELLO);
  if (found.verdict != Verdict::Yes) return;
  const auto preamble = searched.subspan(found.offset);
  std::vector<uint8_t> bytes(preamble.begin(), preamble.end());
  body_.reset();
  restart(std::move(bytes), nowMs);
}

// Begins anew with `bytes`, which begin with a preamble that checks.
void FrameReader::restart(std::vector<uint8_t> bytes, uint64_t nowMs) {
  hunted_ = {};
  state_ = State::Header;
  // From its WELCOME on, all that comes to a connector is from one process, and whole.
  if (options_.resync == Resync::WelcomeFirst)
    options_.resync = Resync::Never;
  else
    receiver_.onNewPeer();
  parse(bytes, nowMs);
}

void FrameReader::fail(ErrorCode code, std::string message) {
  state_ = State::Failed;
  errorCode_ = code;
  errorMessage_ = std::move(message);
  body_.reset();
  hunted_ = {};
}

}  // namespace vamos
