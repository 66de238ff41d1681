#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/program.hpp"
#include "wire/row.hpp"

namespace vamos::engine {

using Integer = __int128;
using UnsignedInteger = unsigned __int128;

// What a program gives for a row; its program's type says which member it is. Bytes stand in the row or in
// the program.
struct Value {
  bool isNull;
  union {
    Integer integer;
    double real;
    struct {
      const char* data;
      size_t sizeBytes;
    } bytes;
    bool truth;
  };

  std::string_view view() const { return {bytes.data, bytes.sizeBytes}; }
};

// Three-way, of two that are not NULL: as EQUAL, LESS and the like see them.
enum class Order : uint8_t { LESS = 1, EQUAL = 2, GREATER = 4, NONE = 8 };  // NONE: one is NaN
constexpr uint8_t bit(Order order) { return static_cast<uint8_t>(order); }
Order compare(ValueType type, const Value& left, const Value& right, bool isPadded);

// An expression over the columns of a row (FORMATS.md, Programs), verified and made ready to run: any number
// of times, from one thread at a time or many.
class Program {
 public:
  // Nothing, if the code is no program over such rows: the refusal says at which byte of it, and why. The
  // layout must outlive the program.
  static std::optional<Program> make(const RowLayout& row, std::string_view code, std::string& refusal);

  // The same; refuses, too, what is not BOOLEAN.
  static std::optional<Program> makeFilter(const RowLayout& row, std::string_view code, std::string& refusal);

  Program(Program&&) = default;
  Program& operator=(Program&&) = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  ValueType type() const { return type_; }
  // INTEGER: the magnitude of its values is below 2^bits.
  unsigned bits() const { return bits_; }

  // Memory that it takes.
  size_t heldBytes() const {
    return sizeof *this + code_.capacity() + steps_.capacity() * sizeof(Step) +
           constants_.capacity() * sizeof(Value);
  }

  // Marks the columns that it looks at, in one mark a column of the layout.
  void markColumns(std::vector<bool>& columns) const {
    for (const Step& step : steps_) {
      if (step.code < Code::CONSTANT) columns[step.operand] = true;
    }
  }

  // Evaluates the program for a row that the layout finds valid.
  Value evaluate(std::string_view row) const;
  // BOOLEAN: neither false nor NULL.
  bool isTrue(std::string_view row) const {
    const Value value = evaluate(row);
    return !value.isNull && value.truth;
  }

 private:
  friend class ProgramMaker;

  // What runs: the columns' kinds and the values' types are settled, an IN has its constants sorted.
  enum class Code : uint8_t {
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    FLOAT,
    DOUBLE,
    BYTES,
    DECIMAL,
    LENGTH,
    BLOB_LENGTH,
    BIG_ENDIAN_INTEGER,
    CONSTANT,  // the codes before this one take a column
    CONSTANT_NULL,
    ADD,
    SUBTRACT,
    MULTIPLY,
    NEGATE,
    TO_DOUBLE,
    COMPARE,
    SAME,
    STARTS_WITH,
    IN,
    AND,
    OR,
    NOT,
    IS_NULL,
    IS_TRUE
  };
  // Small: a program may have as many as it has bytes, and every open cursor keeps its own.
  struct Step {
    Code code;
    ValueType type = ValueType::INTEGER;  // the type of the values that the step takes
    bool isPadded : 1 = false;
    bool skipIf : 1 = false;   // where a value decides what follows
    bool hasNull : 1 = false;  // IN: one of its constants is NULL
    uint8_t orders = 0;        // COMPARE: those that make it true
    uint8_t digits = 0;        // DECIMAL
    uint8_t scale = 0;         // DECIMAL
    uint16_t operand = 0;      // column; CONSTANT, IN: the first constant
    uint16_t count = 0;        // IN: constants that are not NULL
    uint16_t skip = 0;         // steps to leave out if the value that this one gives is skipIf
  };
  static_assert(sizeof(Step) == 12 && maxProgramBytes - 1 <= UINT16_MAX && maxColumns - 1 <= UINT16_MAX);

  explicit Program(const RowLayout& row) : row_(&row) {}

  const RowLayout* row_;
  std::vector<char> code_;  // constants stand in it
  std::vector<Step> steps_;
  std::vector<Value> constants_;  // that are not NULL
  ValueType type_ = ValueType::INTEGER;
  unsigned bits_ = 0;
};

}  // namespace vamos::engine
