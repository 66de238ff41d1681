// How a program is made: its code is verified once, and what runs does without checks.
#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/program/decimal.hpp"
#include "engine/program/program.hpp"
#include "wire/bytes.hpp"

namespace vamos::engine {
namespace {

unsigned bitWidth(UnsignedInteger value) {
  const auto high = static_cast<uint64_t>(value >> 64);
  return high != 0 ? 64 + static_cast<unsigned>(std::bit_width(high))
                   : static_cast<unsigned>(std::bit_width(static_cast<uint64_t>(value)));
}

UnsignedInteger magnitude(Integer value) {
  return value < 0 ? -static_cast<UnsignedInteger>(value) : static_cast<UnsignedInteger>(value);
}

unsigned decimalBits(unsigned digits) {
  UnsignedInteger limit = 1;
  for (unsigned i = 0; i < digits; i++) limit *= 10;
  return bitWidth(limit - 1);
}

// The orders for which a comparison is true.
uint8_t ordersOf(Instruction instruction) {
  switch (instruction) {
    case Instruction::NOT_EQUAL:
      return bit(Order::LESS) | bit(Order::GREATER) | bit(Order::NONE);
    case Instruction::LESS:
      return bit(Order::LESS);
    case Instruction::LESS_OR_EQUAL:
      return bit(Order::LESS) | bit(Order::EQUAL);
    case Instruction::GREATER:
      return bit(Order::GREATER);
    case Instruction::GREATER_OR_EQUAL:
      return bit(Order::GREATER) | bit(Order::EQUAL);
    default:
      return bit(Order::EQUAL);
  }
}

const char* nameOf(ValueType type) {
  switch (type) {
    case ValueType::INTEGER:
      return "INTEGER";
    case ValueType::DOUBLE:
      return "DOUBLE";
    case ValueType::BYTES:
      return "BYTES";
    case ValueType::BOOLEAN:
      break;
  }
  return "BOOLEAN";
}

}  // namespace

// Goes through the code once, with the values' types in the place of the values.
class ProgramMaker {
 public:
  ProgramMaker(const RowLayout& row, std::string_view code) : row_(row), program_(row) {
    program_.code_.assign(code.begin(), code.end());
  }

  bool run(std::string& refusal) {
    Reader reader(std::string_view(program_.code_.data(), program_.code_.size()));
    while (!reader.atEnd() && reason_.empty()) {
      offset_ = reader.offset();
      instruction(reader);
    }
    if (reason_.empty() && stack_.size() != 1) {
      offset_ = program_.code_.size();
      refuse("one value is left at a program's end, not " + std::to_string(stack_.size()));
    }
    if (reason_.empty()) finish();
    if (!reason_.empty()) {
      refusal = "byte " + std::to_string(offset_) + ": " + reason_;
      return false;
    }
    program_.steps_.shrink_to_fit();
    program_.constants_.shrink_to_fit();
    program_.type_ = stack_[0].type;
    program_.bits_ = stack_[0].bits;
    return true;
  }

  Program take() { return std::move(program_); }

 private:
  using Code = Program::Code;
  using Step = Program::Step;

  struct Typed {
    ValueType type = ValueType::INTEGER;
    unsigned bits = 0;
    size_t firstStep = 0;
    bool isConstant = false;
  };

  void refuse(std::string reason) {
    if (reason_.empty()) reason_ = std::move(reason);
  }

  void instruction(Reader& reader) {
    const uint8_t code = reader.u8();
    switch (static_cast<Instruction>(code)) {
      case Instruction::COLUMN:
        column(reader);
        break;
      case Instruction::DECIMAL:
        decimal(reader);
        break;
      case Instruction::LENGTH:
        length(reader);
        break;
      case Instruction::BIG_ENDIAN_INTEGER:
        bigEndian(reader);
        break;
      case Instruction::CONSTANT_INTEGER:
      case Instruction::CONSTANT_DOUBLE:
      case Instruction::CONSTANT_BYTES:
      case Instruction::CONSTANT_NULL:
        constant(static_cast<Instruction>(code), reader);
        break;
      case Instruction::ADD:
        arithmetic(Code::ADD);
        break;
      case Instruction::SUBTRACT:
        arithmetic(Code::SUBTRACT);
        break;
      case Instruction::MULTIPLY:
        arithmetic(Code::MULTIPLY);
        break;
      case Instruction::NEGATE:
        unary(Code::NEGATE, ValueType::INTEGER, ValueType::INTEGER);
        break;
      case Instruction::TO_DOUBLE:
        unary(Code::TO_DOUBLE, ValueType::INTEGER, ValueType::DOUBLE);
        break;
      case Instruction::EQUAL:
      case Instruction::NOT_EQUAL:
      case Instruction::LESS:
      case Instruction::LESS_OR_EQUAL:
      case Instruction::GREATER:
      case Instruction::GREATER_OR_EQUAL:
      case Instruction::SAME:
        comparison(static_cast<Instruction>(code), reader);
        break;
      case Instruction::STARTS_WITH:
        startsWith();
        break;
      case Instruction::IN:
        in(reader);
        break;
      case Instruction::AND:
        junction(Code::AND, false);
        break;
      case Instruction::OR:
        junction(Code::OR, true);
        break;
      case Instruction::NOT:
        unary(Code::NOT, ValueType::BOOLEAN, ValueType::BOOLEAN);
        break;
      case Instruction::IS_NULL:
        isNull();
        break;
      case Instruction::IS_TRUE:
        unary(Code::IS_TRUE, ValueType::BOOLEAN, ValueType::BOOLEAN);
        break;
      default:
        refuse("no instruction has code " + std::to_string(code));
    }
    if (reader.failed()) refuse("the operands go beyond the program's end");
  }

  void push(Step step, ValueType type, unsigned bits, bool isConstant = false) {
    if (bits > maxIntegerBits) {
      refuse("an INTEGER of " + std::to_string(bits) + " bits; at most " + std::to_string(maxIntegerBits));
    }
    stack_.push_back({type, bits, program_.steps_.size(), isConstant});
    program_.steps_.push_back(step);
  }

  // Whether there is a value at this depth of the stack (1: its top), of this type. Else the program is
  // refused.
  bool expect(size_t depth, ValueType type) {
    if (!expectValues(depth)) return false;
    const ValueType found = stack_[stack_.size() - depth].type;
    if (found == type) return true;
    refuse(std::string("takes ") + nameOf(type) + ", not " + nameOf(found));
    return false;
  }

  bool expectValues(size_t count) {
    if (stack_.size() >= count) return true;
    refuse("takes " + std::to_string(count) + " values, and there are " + std::to_string(stack_.size()));
    return false;
  }

  // A column of the row, of one of these kinds.
  bool readColumn(Reader& reader, std::initializer_list<ColumnKind> kinds, uint16_t& column) {
    const uint8_t low = reader.u8();
    column = static_cast<uint16_t>(low | reader.u8() << 8);
    if (reader.failed()) return false;
    if (column >= row_.columnCount()) {
      refuse("the table has no column " + std::to_string(column));
      return false;
    }
    if (kinds.size() == 0 || std::find(kinds.begin(), kinds.end(), row_.kind(column)) != kinds.end())
      return true;
    refuse("not for column " + std::to_string(column) + ", which is of another kind");
    return false;
  }

  void column(Reader& reader) {
    uint16_t column = 0;
    if (!readColumn(reader, {}, column)) return;
    const ColumnKind kind = row_.kind(column);
    const auto integer = [&](Code code, unsigned bits) {
      push({.code = code, .operand = column}, ValueType::INTEGER, bits);
    };
    switch (kind) {
      case ColumnKind::INT8:
        return integer(Code::INT8, 8);
      case ColumnKind::INT16:
        return integer(Code::INT16, 16);
      case ColumnKind::INT32:
        return integer(Code::INT32, 32);
      case ColumnKind::INT64:
        return integer(Code::INT64, 64);
      case ColumnKind::UINT8:
        return integer(Code::UINT8, 8);
      case ColumnKind::UINT16:
        return integer(Code::UINT16, 16);
      case ColumnKind::UINT32:
        return integer(Code::UINT32, 32);
      case ColumnKind::UINT64:
        return integer(Code::UINT64, 64);
      case ColumnKind::FLOAT:
        return push({.code = Code::FLOAT, .operand = column}, ValueType::DOUBLE, 0);
      case ColumnKind::DOUBLE:
        return push({.code = Code::DOUBLE, .operand = column}, ValueType::DOUBLE, 0);
      case ColumnKind::FIXED:
      case ColumnKind::BYTES:
        return push({.code = Code::BYTES, .operand = column}, ValueType::BYTES, 0);
      case ColumnKind::BLOB:
        break;
    }
    refuse("column " + std::to_string(column) + " is a BLOB: its bytes may stand in chunks");
  }

  void decimal(Reader& reader) {
    uint16_t column = 0;
    if (!readColumn(reader, {ColumnKind::FIXED}, column)) return;
    const uint8_t digits = reader.u8();
    const uint8_t scale = reader.u8();
    if (reader.failed()) return;
    if (digits == 0 || digits > maxDecimalDigits || scale > digits) {
      return refuse("a DECIMAL has 1 to 36 digits, of them at most all behind the point");
    }
    if (row_.widthBytes(column) != decimalBytes(digits - scale) + decimalBytes(scale)) {
      return refuse("column " + std::to_string(column) + " has not the width of such a DECIMAL");
    }
    push({.code = Code::DECIMAL, .digits = digits, .scale = scale, .operand = column}, ValueType::INTEGER,
         decimalBits(digits));
  }

  void length(Reader& reader) {
    uint16_t column = 0;
    if (!readColumn(reader, {ColumnKind::BYTES, ColumnKind::BLOB}, column)) return;
    const bool isBlob = row_.kind(column) == ColumnKind::BLOB;
    push({.code = isBlob ? Code::BLOB_LENGTH : Code::LENGTH, .operand = column}, ValueType::INTEGER,
         isBlob ? blobLengthBits : lengthBits);
  }

  void bigEndian(Reader& reader) {
    uint16_t column = 0;
    if (!readColumn(reader, {ColumnKind::FIXED}, column)) return;
    if (row_.widthBytes(column) > maxBigEndianBytes) {
      return refuse("column " + std::to_string(column) + " is wider than 8 bytes");
    }
    push({.code = Code::BIG_ENDIAN_INTEGER, .operand = column}, ValueType::INTEGER,
         8 * row_.widthBytes(column));
  }

  void constant(Instruction instruction, Reader& reader) {
    Value value;
    value.isNull = false;
    ValueType type = ValueType::INTEGER;
    unsigned bits = 0;
    if (instruction == Instruction::CONSTANT_NULL) {
      const uint8_t number = reader.u8();
      if (number > static_cast<uint8_t>(ValueType::BOOLEAN)) {
        return refuse("no type has number " + std::to_string(number));
      }
      return push({.code = Code::CONSTANT_NULL}, static_cast<ValueType>(number), 0, true);
    }
    if (instruction == Instruction::CONSTANT_INTEGER) {
      const uint64_t low = reader.u64();
      const uint64_t high = reader.u64();
      value.integer = static_cast<Integer>(UnsignedInteger{high} << 64 | low);
      bits = bitWidth(magnitude(value.integer));
    } else if (instruction == Instruction::CONSTANT_DOUBLE) {
      type = ValueType::DOUBLE;
      value.real = std::bit_cast<double>(reader.u64());
      if (!std::isfinite(value.real)) return refuse("a constant DOUBLE is finite");
    } else {
      type = ValueType::BYTES;
      const std::string_view bytes = reader.lengthPrefixed(maxProgramBytes);
      value.bytes = {bytes.data(), bytes.size()};
    }
    if (reader.failed()) return;
    push({.code = Code::CONSTANT, .operand = static_cast<uint16_t>(program_.constants_.size())}, type, bits,
         true);
    program_.constants_.push_back(value);
  }

  // Puts a step in the place of so many values: what it gives begins where the first of them did.
  void combine(Step step, size_t taken, ValueType type, unsigned bits) {
    const size_t first = stack_[stack_.size() - taken].firstStep;
    stack_.resize(stack_.size() - taken);
    push(step, type, bits);
    stack_.back().firstStep = first;
  }

  void arithmetic(Code code) {
    if (!expect(2, ValueType::INTEGER) || !expect(1, ValueType::INTEGER)) return;
    const unsigned left = stack_[stack_.size() - 2].bits;
    const unsigned right = stack_.back().bits;
    combine({.code = code}, 2, ValueType::INTEGER,
            code == Code::MULTIPLY ? left + right : std::max(left, right) + 1);
  }

  void unary(Code code, ValueType taken, ValueType given) {
    if (!expect(1, taken)) return;
    combine({.code = code}, 1, given, given == ValueType::INTEGER ? stack_.back().bits : 0);
  }

  void isNull() {
    if (expectValues(1)) combine({.code = Code::IS_NULL}, 1, ValueType::BOOLEAN, 0);
  }

  bool readPadding(Reader& reader, bool& isPadded) {
    const uint8_t padding = reader.u8();
    isPadded = padding == 1;
    if (padding <= 1) return true;
    refuse("padding is 0 or 1");
    return false;
  }

  bool checkPadding(bool isPadded, ValueType type) {
    if (!isPadded || type == ValueType::BYTES) return true;
    refuse(std::string("padding is for BYTES, not ") + nameOf(type));
    return false;
  }

  void comparison(Instruction instruction, Reader& reader) {
    bool isPadded = false;
    if (!readPadding(reader, isPadded) || !expectValues(2)) return;
    const ValueType type = stack_[stack_.size() - 2].type;
    if (!expect(1, type) || !checkPadding(isPadded, type)) return;
    combine({.code = instruction == Instruction::SAME ? Code::SAME : Code::COMPARE,
             .type = type,
             .isPadded = isPadded,
             .orders = ordersOf(instruction)},
            2, ValueType::BOOLEAN, 0);
  }

  void startsWith() {
    if (!expect(2, ValueType::BYTES) || !expect(1, ValueType::BYTES)) return;
    combine({.code = Code::STARTS_WITH}, 2, ValueType::BOOLEAN, 0);
  }

  void in(Reader& reader) {
    bool isPadded = false;
    if (!readPadding(reader, isPadded)) return;
    const uint32_t count = reader.u32();
    if (reader.failed()) return;
    if (count == 0) return refuse("takes at least one constant");
    if (!expectValues(size_t{count} + 1)) return;
    const ValueType type = stack_[stack_.size() - count - 1].type;
    if (!checkPadding(isPadded, type)) return;
    for (size_t i = count; i > 0; i--) {
      if (!expect(i, type)) return;
      if (!stack_[stack_.size() - i].isConstant) return refuse("all but the first are constants");
    }
    // A constant is one step, so they are the last ones; what is left is the first value's.
    std::vector<Step>& steps = program_.steps_;
    const auto kept = static_cast<uint16_t>(std::count_if(
        steps.end() - count, steps.end(), [](const Step& step) { return step.code == Code::CONSTANT; }));
    stack_.resize(stack_.size() - count);
    steps.resize(steps.size() - count);
    std::vector<Value>& constants = program_.constants_;
    const auto first = constants.end() - kept;
    std::sort(first, constants.end(), [&](const Value& left, const Value& right) {
      return compare(type, left, right, isPadded) == Order::LESS;
    });
    combine({.code = Code::IN,
             .type = type,
             .isPadded = isPadded,
             .hasNull = kept != count,
             .operand = static_cast<uint16_t>(first - constants.begin()),
             .count = kept},
            1, ValueType::BOOLEAN, 0);
  }

  // AND, OR: the first value may decide. Its last step then leads behind this one.
  void junction(Code code, bool decisive) {
    if (!expect(2, ValueType::BOOLEAN) || !expect(1, ValueType::BOOLEAN)) return;
    Step& last = program_.steps_[stack_.back().firstStep - 1];
    last.skipIf = decisive;
    last.skip = static_cast<uint16_t>(program_.steps_.size() - stack_.back().firstStep + 1);
    combine({.code = code}, 2, ValueType::BOOLEAN, 0);
  }

  void finish() {
    std::vector<Step>& steps = program_.steps_;
    // What decides an AND decides, too, those of which that is the first value.
    for (size_t i = steps.size(); i > 0; i--) {
      Step& step = steps[i - 1];
      if (step.skip == 0) continue;
      const Step& next = steps[i - 1 + step.skip];
      if (next.skip != 0 && next.skipIf == step.skipIf) {
        step.skip = static_cast<uint16_t>(step.skip + next.skip);
      }
    }
    size_t depth = 0;
    for (const Step& step : steps) {
      if (step.code <= Code::CONSTANT_NULL) depth++;
      if (step.code == Code::ADD || step.code == Code::SUBTRACT || step.code == Code::MULTIPLY ||
          step.code == Code::COMPARE || step.code == Code::SAME || step.code == Code::STARTS_WITH ||
          step.code == Code::AND || step.code == Code::OR) {
        depth--;
      }
      if (depth <= maxProgramDepth) continue;
      offset_ = program_.code_.size();
      return refuse("over " + std::to_string(maxProgramDepth) + " values would be on the stack");
    }
  }

  const RowLayout& row_;
  Program program_;
  std::vector<Typed> stack_;
  size_t offset_ = 0;
  std::string reason_;
};

std::optional<Program> Program::make(const RowLayout& row, std::string_view code, std::string& refusal) {
  if (code.empty() || code.size() > maxProgramBytes) {
    refusal = "a program has 1 to " + std::to_string(maxProgramBytes) + " bytes";
    return std::nullopt;
  }
  ProgramMaker maker(row, code);
  if (!maker.run(refusal)) return std::nullopt;
  return maker.take();
}

std::optional<Program> Program::makeFilter(const RowLayout& row, std::string_view code,
                                           std::string& refusal) {
  std::optional<Program> program = make(row, code, refusal);
  if (program && program->type() != ValueType::BOOLEAN) {
    refusal = std::string("gives ") + nameOf(program->type()) + ", and a filter BOOLEAN";
    program.reset();
  }
  return program;
}

}  // namespace vamos::engine
