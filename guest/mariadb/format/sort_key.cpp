#include "mariadb/format/sort_key.hpp"

#include <algorithm>
#include <memory>

#include "mariadb/format/padded_key.hpp"

namespace vamos::mariadb {
namespace {

constexpr uint manyWeights = 0x7FFFFFFF;
constexpr size_t stackBytes = 4096;

size_t weightsOf(CHARSET_INFO* charset, std::string_view text, uint flags, uchar* out, size_t roomBytes) {
  return charset->coll->strnxfrm(charset, out, roomBytes, manyWeights,
                                 reinterpret_cast<const uchar*>(text.data()), text.size(), flags);
}

bool isUtf8(CHARSET_INFO* charset) {
  const std::string_view name(charset->cs_name.str, charset->cs_name.length);
  return name == "utf8mb4" || name == "utf8mb3";
}

}  // namespace

SortKey::SortKey(CHARSET_INFO* charset, bool isPadded) : charset_(charset) {
  isPadded = isPadded || (charset->state & MY_CS_NOPAD) == 0;
  // UTF-8 sorts by its bytes as by its characters, so the weights of a binary collation would only be longer.
  if (charset == &my_charset_bin || ((charset->state & MY_CS_BINSORT) != 0 && isUtf8(charset))) {
    source_ = Source::OWN_BYTES;
    levelCount_ = 1;
    levels_[0].unitBytes = isPadded && charset != &my_charset_bin ? 1 : 0;
    levels_[0].pad[0] = ' ';
    return;
  }
  // The most that was seen are 18 weights of two bytes for one character of UCA, and two weights of one byte
  // for an 8-bit letter.
  bytesPerByte_ = charset->uca != nullptr ? 20 : 4;
  if ((charset->state & MY_CS_STRNXFRM_BAD_NWEIGHTS) != 0) {
    // Old Czech collations have levels with ends of their own, and spaces at the end must be cut off before.
    source_ = Source::TRIMMED_WEIGHTS;
    levelCount_ = 1;
    return;
  }
  char space[8];
  charset->fill(space, charset->mbminlen, ' ');
  for (uint level = 0; level < array_elements(levels_); level++) {
    const bool isOnly = charset->uca == nullptr || charset->levels_for_order <= 1;
    if (isOnly ? level > 0 : ((charset->levels_for_order >> level) & 1) == 0) continue;
    Level& made = levels_[levelCount_++];
    made.flags = isOnly ? 0 : MY_STRXFRM_LEVEL1 << level;
    // Without padding only the first level has no pad: an accent that is ignored there may have weights on
    // the others.
    if (!isPadded && levelCount_ == 1) continue;
    uchar weight[64];
    const size_t weightBytes =
        weightsOf(charset, {space, charset->mbminlen}, made.flags, weight, sizeof weight);
    made.unitBytes = static_cast<uint>(std::min(weightBytes, sizeof made.pad));
    std::copy_n(weight, made.unitBytes, made.pad);
  }
}

size_t SortKey::maxBytes(size_t textBytes) const {
  size_t bytes = 0;
  const size_t weightBytes = source_ == Source::OWN_BYTES ? textBytes : textBytes * bytesPerByte_ + 16;
  for (uint8_t number = 0; number < levelCount_; number++) {
    const uint unitBytes = levels_[number].unitBytes;
    // Escaping doubles zeros. The worst runs are single spaces, which take a flag and a length behind two
    // weights.
    bytes += unitBytes == 0 ? 2 * weightBytes + 2 : weightBytes + weightBytes / unitBytes + unitBytes + 2;
  }
  return bytes;
}

std::string SortKey::levels() const {
  std::string levels;
  for (uint8_t number = 0; number < levelCount_; number++) {
    const Level& level = levels_[number];
    levels.push_back(static_cast<char>(level.unitBytes));
    levels.append(reinterpret_cast<const char*>(level.pad), level.unitBytes);
  }
  return levels;
}

void SortKey::append(std::string_view text, std::string& out) const {
  const auto appendLevel = [&](const Level& level, std::string_view weights) {
    if (level.unitBytes != 0) {
      appendPaddedKey(weights, level.pad, level.unitBytes, out);
    } else {
      appendEscaped(weights, out);
    }
  };
  if (source_ == Source::OWN_BYTES) {
    appendLevel(levels_[0], text);
    return;
  }
  if (source_ == Source::TRIMMED_WEIGHTS) {
    text = text.substr(0, charset_->lengthsp(text.data(), text.size()));
  }
  const size_t roomBytes = text.size() * bytesPerByte_ + 16;
  uchar stack[stackBytes];
  std::unique_ptr<uchar[]> heap;
  if (roomBytes > stackBytes) heap = std::make_unique_for_overwrite<uchar[]>(roomBytes);
  uchar* weights = heap ? heap.get() : stack;
  for (uint8_t number = 0; number < levelCount_; number++) {
    const Level& level = levels_[number];
    const size_t bytes = weightsOf(charset_, text, level.flags, weights, roomBytes);
    appendLevel(level, {reinterpret_cast<const char*>(weights), bytes});
  }
}

}  // namespace vamos::mariadb
