#include "engine/program/program.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/program/decimal.hpp"

namespace vamos::engine {
namespace {

template <typename Number>
Number load(const char* bytes) {
  Number value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// A BLOB column's bytes: FORMATS.md, Row.
uint64_t blobLength(std::string_view data) {
  if (const std::optional<BlobReference> reference = readBlobReference(data)) return reference->lengthBytes;
  return data.empty() ? 0 : data.size() - 1;
}

// The C++ operators on 128 bits, which wrap: the verified widths keep what they give exact.
Integer add(Integer left, Integer right) {
  return static_cast<Integer>(static_cast<UnsignedInteger>(left) + static_cast<UnsignedInteger>(right));
}
Integer subtract(Integer left, Integer right) {
  return static_cast<Integer>(static_cast<UnsignedInteger>(left) - static_cast<UnsignedInteger>(right));
}
Integer multiply(Integer left, Integer right) {
  return static_cast<Integer>(static_cast<UnsignedInteger>(left) * static_cast<UnsignedInteger>(right));
}

Order orderOf(int comparison) {
  if (comparison == 0) return Order::EQUAL;
  return comparison < 0 ? Order::LESS : Order::GREATER;
}

Order compareBytes(std::string_view left, std::string_view right, bool isPadded) {
  const size_t common = std::min(left.size(), right.size());
  const int comparison = common == 0 ? 0 : std::memcmp(left.data(), right.data(), common);
  if (comparison != 0 || left.size() == right.size()) return orderOf(comparison);
  const bool isLeftLonger = left.size() > right.size();
  if (!isPadded) return isLeftLonger ? Order::GREATER : Order::LESS;
  for (const char byte : (isLeftLonger ? left : right).substr(common)) {
    if (byte == ' ') continue;
    const bool isAbove = static_cast<uint8_t>(byte) > ' ';
    return isAbove == isLeftLonger ? Order::GREATER : Order::LESS;
  }
  return Order::EQUAL;
}

}  // namespace

Order compare(ValueType type, const Value& left, const Value& right, bool isPadded) {
  switch (type) {
    case ValueType::INTEGER:
      return left.integer == right.integer ? Order::EQUAL
                                           : (left.integer < right.integer ? Order::LESS : Order::GREATER);
    case ValueType::DOUBLE:
      if (left.real < right.real) return Order::LESS;
      if (left.real > right.real) return Order::GREATER;
      return left.real == right.real ? Order::EQUAL : Order::NONE;
    case ValueType::BYTES:
      return compareBytes(left.view(), right.view(), isPadded);
    case ValueType::BOOLEAN:
      break;
  }
  return orderOf(static_cast<int>(left.truth) - static_cast<int>(right.truth));
}

Value Program::evaluate(std::string_view row) const {
  std::array<Value, maxProgramDepth> stack;
  Value* top = stack.data() - 1;
  const Step* const end = steps_.data() + steps_.size();
  for (const Step* step = steps_.data(); step != end; step++) {
    const Code code = step->code;
    if (code < Code::CONSTANT) {
      top++;
      top->isNull = RowLayout::isNull(row, step->operand);
      if (top->isNull) continue;
      const std::string_view bytes = row_->value(row, step->operand);
      switch (code) {
        case Code::INT8:
          top->integer = (load<uint8_t>(bytes.data()) ^ 0x80) - 0x80;  // with its sign
          continue;
        case Code::INT16:
          top->integer = load<int16_t>(bytes.data());
          continue;
        case Code::INT32:
          top->integer = load<int32_t>(bytes.data());
          continue;
        case Code::INT64:
          top->integer = load<int64_t>(bytes.data());
          continue;
        case Code::UINT8:
          top->integer = load<uint8_t>(bytes.data());
          continue;
        case Code::UINT16:
          top->integer = load<uint16_t>(bytes.data());
          continue;
        case Code::UINT32:
          top->integer = load<uint32_t>(bytes.data());
          continue;
        case Code::UINT64:
          top->integer = load<uint64_t>(bytes.data());
          continue;
        case Code::FLOAT:
          top->real = load<float>(bytes.data());
          continue;
        case Code::DOUBLE:
          top->real = load<double>(bytes.data());
          continue;
        case Code::BYTES:
          top->bytes = {bytes.data(), bytes.size()};
          continue;
        case Code::DECIMAL:
          top->integer = loadDecimal(bytes.data(), step->digits, step->scale);
          continue;
        case Code::LENGTH:
          top->integer = static_cast<Integer>(bytes.size());
          continue;
        case Code::BLOB_LENGTH:
          top->integer = blobLength(bytes);
          continue;
        default:  // BIG_ENDIAN_INTEGER
          top->integer = static_cast<Integer>(loadBigEndian(bytes.data(), bytes.size()));
          continue;
      }
    }
    switch (code) {
      case Code::CONSTANT:
        *++top = constants_[step->operand];
        continue;
      case Code::CONSTANT_NULL:
        (++top)->isNull = true;
        continue;
      case Code::ADD:
      case Code::SUBTRACT:
      case Code::MULTIPLY: {
        const Value& right = *top--;
        top->isNull |= right.isNull;
        if (top->isNull) continue;
        top->integer = code == Code::ADD        ? add(top->integer, right.integer)
                       : code == Code::SUBTRACT ? subtract(top->integer, right.integer)
                                                : multiply(top->integer, right.integer);
        continue;
      }
      case Code::NEGATE:
        if (!top->isNull) top->integer = subtract(0, top->integer);
        continue;
      case Code::TO_DOUBLE:
        if (!top->isNull) top->real = static_cast<double>(top->integer);
        continue;
      case Code::COMPARE: {
        const Value& right = *top--;
        top->isNull |= right.isNull;
        if (!top->isNull) {
          top->truth = (bit(compare(step->type, *top, right, step->isPadded)) & step->orders) != 0;
        }
        break;
      }
      case Code::SAME: {
        const Value& right = *top--;
        if (top->isNull || right.isNull) {
          top->truth = top->isNull && right.isNull;
          top->isNull = false;
        } else {
          top->truth = compare(step->type, *top, right, step->isPadded) == Order::EQUAL;
        }
        break;
      }
      case Code::STARTS_WITH: {
        const Value& right = *top--;
        top->isNull |= right.isNull;
        if (!top->isNull) top->truth = top->view().starts_with(right.view());
        break;
      }
      case Code::IN: {
        if (top->isNull) break;
        const Value* const first = constants_.data() + step->operand;
        const Value* const last = first + step->count;
        const Value value = *top;
        const auto isLess = [step](const Value& left, const Value& right) {
          return compare(step->type, left, right, step->isPadded) == Order::LESS;
        };
        const Value* const found = std::lower_bound(first, last, value, isLess);
        top->truth = found != last && compare(step->type, *found, value, step->isPadded) == Order::EQUAL;
        top->isNull = !top->truth && step->hasNull;
        break;
      }
      case Code::AND: {
        const Value& right = *top--;
        const bool isFalse = (!top->isNull && !top->truth) || (!right.isNull && !right.truth);
        top->isNull = !isFalse && (top->isNull || right.isNull);
        top->truth = !isFalse;
        break;
      }
      case Code::OR: {
        const Value& right = *top--;
        const bool isTrue = (!top->isNull && top->truth) || (!right.isNull && right.truth);
        top->isNull = !isTrue && (top->isNull || right.isNull);
        top->truth = isTrue;
        break;
      }
      case Code::NOT:
        if (!top->isNull) top->truth = !top->truth;
        break;
      case Code::IS_NULL:
        top->truth = top->isNull;
        top->isNull = false;
        break;
      default:  // IS_TRUE
        top->truth = !top->isNull && top->truth;
        top->isNull = false;
        break;
    }
    // Here are the steps that give a BOOLEAN.
    if (step->skip != 0 && !top->isNull && top->truth == step->skipIf) step += step->skip;
  }
  return stack[0];
}

}  // namespace vamos::engine
