#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "engine/program/program.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "test/engine/program_code.hpp"

using namespace vamos;
using namespace vamos::engine;
using namespace vamos::test;
using engine::Integer;
using engine::Program;
using engine::Value;

namespace {

constexpr auto INTEGER = ValueType::INTEGER;
constexpr auto DOUBLE = ValueType::DOUBLE;
constexpr auto BYTES = ValueType::BYTES;
constexpr auto BOOLEAN = ValueType::BOOLEAN;
using I = Instruction;

Column kind(ColumnKind kind, uint32_t widthBytes = 0) { return {static_cast<uint32_t>(kind), widthBytes}; }

RowLayout layoutOf(const std::vector<Column>& columns) {
  const std::optional<RowLayout> layout = RowLayout::make(columns);
  REQUIRE(layout);
  return *layout;
}

// What a program gives, as text; "NULL".
std::string shown(ValueType type, const Value& value) {
  if (value.isNull) return "NULL";
  switch (type) {
    case INTEGER: {
      Integer rest = value.integer;
      std::string digits;
      do {
        digits.insert(digits.begin(), static_cast<char>('0' + std::abs(static_cast<int>(rest % 10))));
        rest /= 10;
      } while (rest != 0);
      return (value.integer < 0 ? "-" : "") + digits;
    }
    case DOUBLE:
      return std::to_string(value.real);
    case BYTES:
      return std::string(value.view());
    case BOOLEAN:
      break;
  }
  return value.truth ? "true" : "false";
}

std::string run(const RowLayout& layout, const std::string& row, const Code& code) {
  std::string refusal;
  const std::optional<Program> program = Program::make(layout, code, refusal);
  if (!program) return refusal;
  REQUIRE(layout.isValid(row));
  return shown(program->type(), program->evaluate(row));
}

// Without a column.
std::string run(const Code& code) { return run(layoutOf({}), "", code); }

std::string refusalOf(const RowLayout& layout, const Code& code) {
  std::string refusal;
  CHECK_FALSE(Program::make(layout, code, refusal));
  return refusal;
}

unsigned bitsOf(const RowLayout& layout, const Code& code) {
  std::string refusal;
  const std::optional<Program> program = Program::make(layout, code, refusal);
  REQUIRE(program);
  return program->bits();
}

// MariaDB's binary DECIMAL of the digits, all of them given: before the point, then behind it.
std::string decimalBytes(bool isNegative, const std::string& whole, const std::string& fraction) {
  constexpr uint32_t widths[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
  std::string bytes;
  const auto group = [&](const std::string& digits) {
    const unsigned long value = std::stoul(digits);
    for (uint32_t i = widths[digits.size()]; i > 0; i--)
      bytes.push_back(static_cast<char>(value >> (8 * (i - 1))));
  };
  size_t at = whole.size() % 9;
  if (at > 0) group(whole.substr(0, at));
  for (; at < whole.size(); at += 9) group(whole.substr(at, 9));
  for (at = 0; at < fraction.size(); at += 9) group(fraction.substr(at, 9));
  for (char& byte : bytes) byte = static_cast<char>(isNegative ? ~byte : byte);
  bytes[0] = static_cast<char>(bytes[0] ^ 0x80);
  return bytes;
}

const Integer two126 = static_cast<Integer>(1) << 126;
// true, false, NULL.
const std::vector<Code> truths{integer(1) + integer(1) + compare(I::EQUAL),
                               integer(1) + integer(2) + compare(I::EQUAL), null(BOOLEAN)};
const std::string names[] = {"true", "false", "NULL"};

}  // namespace

TEST_CASE("a column of numbers gives its value, at the edges too, or NULL") {
  const std::vector<Column> columns{
      kind(ColumnKind::INT8),  kind(ColumnKind::INT16),  kind(ColumnKind::INT32),  kind(ColumnKind::INT64),
      kind(ColumnKind::UINT8), kind(ColumnKind::UINT16), kind(ColumnKind::UINT32), kind(ColumnKind::UINT64),
      kind(ColumnKind::FLOAT), kind(ColumnKind::DOUBLE)};
  const RowLayout layout = layoutOf(columns);
  const std::string row = rowOf({{fixed<int8_t>(-128), 1},
                                 {fixed<int16_t>(-32768), 2},
                                 {fixed<int32_t>(INT32_MIN), 4},
                                 {fixed<int64_t>(INT64_MIN), 8},
                                 {fixed<uint8_t>(255), 1},
                                 {fixed<uint16_t>(65535), 2},
                                 {fixed<uint32_t>(UINT32_MAX), 4},
                                 {fixed<uint64_t>(UINT64_MAX), 8},
                                 {fixed<float>(-0.5F), 4},
                                 {fixed<double>(1e15), 8}});
  const std::string expected[] = {"-128",        "-32768",
                                  "-2147483648", "-9223372036854775808",
                                  "255",         "65535",
                                  "4294967295",  "18446744073709551615",
                                  "-0.500000",   "1000000000000000.000000"};
  std::vector<Cell> nulls;
  for (size_t i = 0; i < columns.size(); i++) nulls.push_back({std::nullopt, layout.widthBytes(i)});
  for (size_t i = 0; i < columns.size(); i++) {
    CAPTURE(i);
    const Code code = column(static_cast<uint8_t>(i));
    CHECK(run(layout, row, code) == expected[i]);
    CHECK(run(layout, rowOf(nulls), code) == "NULL");
  }
  CHECK(run(layout, row, column(3) + op(I::NEGATE)) == "9223372036854775808");
  CHECK(bitsOf(layout, column(0)) == 8);
  CHECK(bitsOf(layout, column(3)) == 64);
  CHECK(bitsOf(layout, column(7)) == 64);
}

TEST_CASE("bytes, lengths and big-endian numbers of columns, wherever they stand in the row") {
  const RowLayout layout = layoutOf({kind(ColumnKind::BYTES), kind(ColumnKind::FIXED, 3),
                                     kind(ColumnKind::BLOB), kind(ColumnKind::BYTES), kind(ColumnKind::BLOB),
                                     kind(ColumnKind::FIXED, 8), kind(ColumnKind::BLOB)});
  const std::string chunks = "\1"s + fixed<uint64_t>(77) + fixed<uint64_t>(5'000'000'000);
  const std::string row = rowOf({{"first"},
                                 {"\xFF\0\1"s, 3},
                                 {"\0inline"s},
                                 {""},
                                 {chunks},
                                 {std::string(8, '\xFF'), 8},
                                 {std::nullopt}});
  CHECK(run(layout, row, column(0)) == "first");
  CHECK(run(layout, row, column(1)) == "\xFF\0\1"s);
  CHECK(run(layout, row, column(3)).empty());
  CHECK(run(layout, row, length(0)) == "5");
  CHECK(run(layout, row, length(2)) == "6");
  CHECK(run(layout, row, length(3)) == "0");
  CHECK(run(layout, row, length(4)) == "5000000000");
  CHECK(run(layout, row, length(6)) == "NULL");
  CHECK(run(layout, row, bigEndian(1)) == "16711681");
  CHECK(run(layout, row, bigEndian(5)) == "18446744073709551615");
  CHECK(bitsOf(layout, length(0)) == 32);
  CHECK(bitsOf(layout, length(2)) == 64);
  CHECK(bitsOf(layout, bigEndian(1)) == 24);
}

TEST_CASE("a BLOB's length is never read beyond its bytes") {
  const RowLayout layout = layoutOf({kind(ColumnKind::BLOB)});
  CHECK(run(layout, rowOf({{""}}), length(0)) == "0");
  CHECK(run(layout, rowOf({{"\1"s + std::string(15, 'x')}}), length(0)) == "15");
  CHECK(run(layout, rowOf({{"\1"s + std::string(16, '\xFF')}}), length(0)) == "18446744073709551615");
}

TEST_CASE("a DECIMAL is the number that its digits say, whatever its digits, scale and sign") {
  const std::string many = "987654321098765432109876543210987654";
  for (const unsigned digits : {1U, 2U, 8U, 9U, 10U, 17U, 18U, 19U, 27U, 30U, 36U}) {
    for (unsigned scale = 0; scale <= digits; scale++) {
      CAPTURE(digits);
      CAPTURE(scale);
      const std::string all = many.substr(0, digits);
      for (const std::string& number : {all, std::string(digits, '9')}) {
        for (const bool isNegative : {false, true}) {
          const std::string bytes =
              decimalBytes(isNegative, number.substr(0, digits - scale), number.substr(digits - scale));
          const auto width = static_cast<uint32_t>(bytes.size());
          const RowLayout layout = layoutOf({kind(ColumnKind::FIXED, width)});
          CHECK(run(layout, rowOf({{bytes, width}}), decimal(0, digits, scale)) ==
                (isNegative ? "-" : "") + number);
          CHECK(run(layout, rowOf({{std::nullopt, width}}), decimal(0, digits, scale)) == "NULL");
        }
      }
    }
  }
  const std::string zero = decimalBytes(false, "00", "000");
  const RowLayout layout = layoutOf({kind(ColumnKind::FIXED, 3)});
  CHECK(run(layout, rowOf({{zero, 3}}), decimal(0, 5, 3)) == "0");
  CHECK(run(layout, rowOf({{decimalBytes(true, "00", "001"), 3}}), decimal(0, 5, 3)) == "-1");
  CHECK(bitsOf(layout, decimal(0, 5, 3)) == 17);
  // Bytes that no server writes still give a number.
  for (const std::string& bytes : {std::string(16, '\xFF'), std::string(16, '\0'), std::string(16, '\x80')}) {
    const RowLayout wide = layoutOf({kind(ColumnKind::FIXED, 16)});
    CHECK_FALSE(run(wide, rowOf({{bytes, 16}}), decimal(0, 36, 0) + op(I::NEGATE)).empty());
  }
}

TEST_CASE("arithmetic is exact in 126 bits, NULL with a NULL") {
  CHECK(run(integer(7) + integer(-9) + op(I::ADD)) == "-2");
  CHECK(run(integer(7) + integer(-9) + op(I::SUBTRACT)) == "16");
  CHECK(run(integer(7) + integer(-9) + op(I::MULTIPLY)) == "-63");
  CHECK(run(integer(INT64_MAX) + integer(-INT64_MAX) + op(I::MULTIPLY)) ==
        "-85070591730234615847396907784232501249");
  CHECK(run(integer(two126 - 1)) == "85070591730234615865843651857942052863");
  CHECK(run(integer(-(two126 - 1)) + op(I::NEGATE)) == "85070591730234615865843651857942052863");
  for (const I instruction : {I::ADD, I::SUBTRACT, I::MULTIPLY}) {
    CHECK(run(integer(1) + null(INTEGER) + op(instruction)) == "NULL");
    CHECK(run(null(INTEGER) + integer(1) + op(instruction)) == "NULL");
  }
  CHECK(run(null(INTEGER) + op(I::NEGATE)) == "NULL");
  CHECK(run(null(INTEGER) + op(I::TO_DOUBLE)) == "NULL");
}

TEST_CASE("a width over 126 bits is refused, one of 126 is not") {
  const RowLayout layout = layoutOf({kind(ColumnKind::INT64), kind(ColumnKind::UINT64)});
  CHECK(bitsOf(layout, column(0) + column(1) + op(I::ADD)) == 65);
  CHECK(bitsOf(layout, column(0) + integer((1LL << 62) - 1) + op(I::MULTIPLY)) == 126);
  CHECK(refusalOf(layout, column(0) + column(1) + op(I::MULTIPLY)) ==
        "byte 6: an INTEGER of 128 bits; at most 126");
  CHECK(refusalOf(layout, integer(two126)) == "byte 0: an INTEGER of 127 bits; at most 126");
  CHECK(refusalOf(layout, integer(-two126)) == "byte 0: an INTEGER of 127 bits; at most 126");
  CHECK(refusalOf(layout, integer(std::numeric_limits<int64_t>::min() * (Integer{1} << 64))) ==
        "byte 0: an INTEGER of 128 bits; at most 126");
  CHECK(refusalOf(layout, integer(two126 - 1) + integer(0) + op(I::ADD)) ==
        "byte 34: an INTEGER of 127 bits; at most 126");
}

TEST_CASE("TO_DOUBLE gives the nearest") {
  const auto value = [](Integer number) {
    std::string refusal;
    const RowLayout layout = layoutOf({});
    return Program::make(layout, integer(number) + op(I::TO_DOUBLE), refusal)->evaluate("").real;
  };
  CHECK(value(9007199254740993) == 9007199254740992.0);  // ties to even
  CHECK(value(-9007199254740995) == -9007199254740996.0);
  CHECK(value((Integer{1} << 100) + 1) == std::ldexp(1.0, 100));
  CHECK(value(two126 - 1) == std::ldexp(1.0, 126));
  CHECK(value(0) == 0.0);
}

TEST_CASE("comparisons of two that are less, equal and greater") {
  const std::vector<std::pair<Code, Code>> less{
      {integer(-1), integer(0)},
      {integer(INT64_MIN), integer(UINT64_MAX)},
      {integer(-(two126 - 1)), integer(two126 - 1)},
      {real(-1e300), real(-1e299)},
      {real(0.0), real(5e-324)},
      {text(""), text("a")},
      {text("a"), text("ab")},
      {text("ab"), text("b")},
      {text("a\x7F"), text("a\x80")},
      {text("a"), text("a\0"s)},
      {truths[1], truths[0]},
  };
  for (const auto& [low, high] : less) {
    const auto check = [](const Code& left, const Code& right, const std::string& expected) {
      std::string given;
      for (const I instruction :
           {I::EQUAL, I::NOT_EQUAL, I::LESS, I::LESS_OR_EQUAL, I::GREATER, I::GREATER_OR_EQUAL, I::SAME}) {
        given += run(left + right + compare(instruction))[0];
      }
      CHECK(given == expected);
    };
    check(low, high, "ftttfff");
    check(high, low, "ftffttf");
    check(low, low, "tfftftt");
  }
  CHECK(run(real(-0.0) + real(0.0) + compare(I::EQUAL)) == "true");
  CHECK(run(real(-0.0) + real(0.0) + compare(I::LESS)) == "false");
}

TEST_CASE("with padding the shorter counts as padded with spaces") {
  const auto orders = [](const std::string& left, const std::string& right) {
    std::string given;
    for (const I instruction : {I::LESS, I::EQUAL, I::GREATER})
      given += run(text(left) + text(right) + compare(instruction, true))[0];
    return given;
  };
  CHECK(orders("a", "a  ") == "ftf");
  CHECK(orders("", "   ") == "ftf");
  CHECK(orders("a", "a \1") == "fft");
  CHECK(orders("a\t", "a") == "tff");
  CHECK(orders("a", "a!") == "tff");
  CHECK(orders("a", "a \x80") == "tff");
  CHECK(orders("a b", "a") == "fft");
  CHECK(run(text("a ") + text("a") + compare(I::EQUAL)) == "false");
  CHECK(run(text("a ") + text("a") + compare(I::SAME, true)) == "true");
}

TEST_CASE("NaN equals nothing and is in no order") {
  const RowLayout layout = layoutOf({kind(ColumnKind::DOUBLE)});
  const std::string row = rowOf({{fixed(std::nan("")), 8}});
  for (const Code& other : {real(1), column(0)}) {
    std::string given;
    for (const I instruction :
         {I::EQUAL, I::NOT_EQUAL, I::LESS, I::LESS_OR_EQUAL, I::GREATER, I::GREATER_OR_EQUAL, I::SAME}) {
      given += run(layout, row, column(0) + other + compare(instruction))[0];
    }
    CHECK(given == "ftfffff");
  }
  CHECK(run(layout, row, column(0) + real(1) + real(-1) + in(2)) == "false");
}

TEST_CASE("comparisons with a NULL are NULL; SAME and IS_NULL know it") {
  const std::pair<ValueType, Code> values[] = {
      {INTEGER, integer(1)}, {DOUBLE, real(1)}, {BYTES, text("a")}, {BOOLEAN, truths[0]}};
  for (const auto& [type, value] : values) {
    for (const I instruction :
         {I::EQUAL, I::NOT_EQUAL, I::LESS, I::LESS_OR_EQUAL, I::GREATER, I::GREATER_OR_EQUAL}) {
      CHECK(run(value + null(type) + compare(instruction)) == "NULL");
      CHECK(run(null(type) + value + compare(instruction)) == "NULL");
      CHECK(run(null(type) + null(type) + compare(instruction)) == "NULL");
    }
    CHECK(run(value + null(type) + compare(I::SAME)) == "false");
    CHECK(run(null(type) + value + compare(I::SAME)) == "false");
    CHECK(run(null(type) + null(type) + compare(I::SAME)) == "true");
    CHECK(run(null(type) + op(I::IS_NULL)) == "true");
    CHECK(run(value + op(I::IS_NULL)) == "false");
  }
  CHECK(run(text("a") + null(BYTES) + op(I::STARTS_WITH)) == "NULL");
  CHECK(run(null(BYTES) + text("a") + op(I::STARTS_WITH)) == "NULL");
}

TEST_CASE("STARTS_WITH") {
  CHECK(run(text("abc") + text("ab") + op(I::STARTS_WITH)) == "true");
  CHECK(run(text("abc") + text("") + op(I::STARTS_WITH)) == "true");
  CHECK(run(text("ab") + text("abc") + op(I::STARTS_WITH)) == "false");
  CHECK(run(text("xab") + text("ab") + op(I::STARTS_WITH)) == "false");
}

TEST_CASE("IN is true for one of the constants, else NULL where one of them is NULL") {
  const Code constants = integer(9) + integer(-3) + integer(9) + integer(1);
  CHECK(run(integer(-3) + constants + in(4)) == "true");
  CHECK(run(integer(9) + constants + in(4)) == "true");
  CHECK(run(integer(2) + constants + in(4)) == "false");
  CHECK(run(null(INTEGER) + constants + in(4)) == "NULL");
  const Code withNull = integer(9) + null(INTEGER) + integer(1);
  CHECK(run(integer(1) + withNull + in(3)) == "true");
  CHECK(run(integer(2) + withNull + in(3)) == "NULL");
  CHECK(run(integer(2) + null(INTEGER) + in(1)) == "NULL");
  CHECK(run(truths[0] + null(BOOLEAN) + in(1)) == "NULL");
  CHECK(run(real(-0.0) + real(1) + real(0) + in(2)) == "true");
  CHECK(run(text("a ") + text("b") + text("a") + in(2)) == "false");
  CHECK(run(text("a ") + text("b") + text("a") + in(2, true)) == "true");
  CHECK(run(text("a\1") + text("b") + text("a") + in(2, true)) == "false");
  // Two, one behind the other.
  CHECK(run(integer(1) + integer(1) + integer(2) + in(2) + integer(5) + integer(6) + in(1) + op(I::NOT) +
            op(I::AND)) == "true");
}

TEST_CASE("AND, OR, NOT and IS_TRUE are three-valued") {
  const std::string expectedAnd[] = {"true",  "false", "NULL",  "false", "false",
                                     "false", "NULL",  "false", "NULL"};
  const std::string expectedOr[] = {"true", "true", "true", "true", "false", "NULL", "true", "NULL", "NULL"};
  for (size_t left = 0; left < 3; left++) {
    for (size_t right = 0; right < 3; right++) {
      CAPTURE(names[left] + " " + names[right]);
      CHECK(run(truths[left] + truths[right] + op(I::AND)) == expectedAnd[3 * left + right]);
      CHECK(run(truths[left] + truths[right] + op(I::OR)) == expectedOr[3 * left + right]);
    }
  }
  CHECK(run(truths[0] + op(I::NOT)) == "false");
  CHECK(run(truths[1] + op(I::NOT)) == "true");
  CHECK(run(truths[2] + op(I::NOT)) == "NULL");
  CHECK(run(truths[0] + op(I::IS_TRUE)) == "true");
  CHECK(run(truths[1] + op(I::IS_TRUE)) == "false");
  CHECK(run(truths[2] + op(I::IS_TRUE)) == "false");
}

TEST_CASE("what an AND or OR leaves out changes no answer, however they nest") {
  const auto both = [](int left, int right) { return left == 1 || right == 1 ? 1 : std::max(left, right); };
  const auto either = [](int left, int right) { return left == 0 || right == 0 ? 0 : std::max(left, right); };
  const auto negated = [](int value) { return value == 2 ? 2 : 1 - value; };
  for (int a = 0; a < 3; a++) {
    for (int b = 0; b < 3; b++) {
      for (int c = 0; c < 3; c++) {
        for (int d = 0; d < 3; d++) {
          CAPTURE(names[a] + " " + names[b] + " " + names[c] + " " + names[d]);
          const Code& A = truths[a];
          const Code& B = truths[b];
          const Code& C = truths[c];
          const Code& D = truths[d];
          const Code AND = op(I::AND);
          const Code OR = op(I::OR);
          const Code NOT = op(I::NOT);
          CHECK(run(A + B + AND + C + AND + D + AND) == names[both(both(both(a, b), c), d)]);
          CHECK(run(A + B + C + D + AND + AND + AND) == names[both(a, both(b, both(c, d)))]);
          CHECK(run(A + B + OR + C + D + OR + OR) == names[either(either(a, b), either(c, d))]);
          CHECK(run(A + B + AND + C + OR + D + AND) == names[both(either(both(a, b), c), d)]);
          CHECK(run(A + B + OR + C + AND + D + OR) == names[either(both(either(a, b), c), d)]);
          CHECK(run(A + B + AND + NOT + C + D + OR + AND) == names[both(negated(both(a, b)), either(c, d))]);
          CHECK(run(A + B + AND + op(I::IS_NULL) + C + AND + D + OR) ==
                names[either(both(both(a, b) == 2 ? 0 : 1, c), d)]);
        }
      }
    }
  }
}

TEST_CASE("what is no program is refused, with the place and the reason") {
  const RowLayout layout = layoutOf({kind(ColumnKind::INT8), kind(ColumnKind::BYTES), kind(ColumnKind::BLOB),
                                     kind(ColumnKind::FIXED, 4), kind(ColumnKind::FIXED, 9)});
  const Code zero = integer(0);
  const auto check = [&](const Code& code, const std::string& refusal) {
    CHECK(refusalOf(layout, code) == refusal);
  };
  check({}, "a program has 1 to 65536 bytes");
  check({std::string(65537, '\x42')}, "a program has 1 to 65536 bytes");
  check({"\xFF"}, "byte 0: no instruction has code 255");
  check(zero + Code{"\0"s}, "byte 17: no instruction has code 0");
  check(zero + zero, "byte 34: one value is left at a program's end, not 2");
  check(op(I::ADD), "byte 0: takes 2 values, and there are 0");
  check(zero + op(I::ADD), "byte 17: takes 2 values, and there are 1");
  check(zero + text("") + op(I::ADD), "byte 22: takes INTEGER, not BYTES");
  check(zero + op(I::NOT), "byte 17: takes BOOLEAN, not INTEGER");
  check(zero + real(0) + compare(I::EQUAL), "byte 26: takes INTEGER, not DOUBLE");
  check(zero + zero + op(I::STARTS_WITH), "byte 34: takes BYTES, not INTEGER");
  check(zero + zero + op(I::LESS, {2}), "byte 34: padding is 0 or 1");
  check(zero + zero + compare(I::LESS, true), "byte 34: padding is for BYTES, not INTEGER");
  check(zero + zero + op(I::LESS), "byte 34: the operands go beyond the program's end");
  check(column(5), "byte 0: the table has no column 5");
  check(op(I::COLUMN, {0, 1}), "byte 0: the table has no column 256");
  check(op(I::COLUMN, {0}), "byte 0: the operands go beyond the program's end");
  check(column(2), "byte 0: column 2 is a BLOB: its bytes may stand in chunks");
  check(length(0), "byte 0: not for column 0, which is of another kind");
  check(bigEndian(1), "byte 0: not for column 1, which is of another kind");
  check(bigEndian(4), "byte 0: column 4 is wider than 8 bytes");
  check(decimal(1, 9, 0), "byte 0: not for column 1, which is of another kind");
  check(decimal(3, 10, 0), "byte 0: column 3 has not the width of such a DECIMAL");
  check(decimal(3, 0, 0), "byte 0: a DECIMAL has 1 to 36 digits, of them at most all behind the point");
  check(decimal(3, 9, 10), "byte 0: a DECIMAL has 1 to 36 digits, of them at most all behind the point");
  check(decimal(3, 37, 0), "byte 0: a DECIMAL has 1 to 36 digits, of them at most all behind the point");
  check(real(HUGE_VAL), "byte 0: a constant DOUBLE is finite");
  check(real(std::nan("")), "byte 0: a constant DOUBLE is finite");
  check(op(I::CONSTANT_NULL, {4}), "byte 0: no type has number 4");
  check(op(I::CONSTANT_BYTES, {5, 0, 0, 0, 'a'}), "byte 0: the operands go beyond the program's end");
  check(op(I::CONSTANT_BYTES, {0xFF, 0xFF, 0xFF, 0xFF}), "byte 0: the operands go beyond the program's end");
  check(zero + in(0), "byte 17: takes at least one constant");
  check(zero + in(1), "byte 17: takes 2 values, and there are 1");
  check(zero + in(0xFFFFFFFF), "byte 17: takes 4294967296 values, and there are 1");
  check(zero + column(0) + in(1), "byte 20: all but the first are constants");
  check(zero + zero + op(I::NEGATE) + in(1), "byte 35: all but the first are constants");
  check(zero + real(0) + in(1), "byte 26: takes INTEGER, not DOUBLE");
  check(zero + zero + in(1, true), "byte 34: padding is for BYTES, not INTEGER");
  std::string refusal;
  CHECK_FALSE(Program::makeFilter(layout, zero, refusal));
  CHECK(refusal == "gives INTEGER, and a filter BOOLEAN");
  CHECK(Program::makeFilter(layout, truths[0], refusal));
}

TEST_CASE("the stack is 256 values deep, not counting the constants of an IN") {
  const RowLayout layout = layoutOf({});
  const auto nested = [](int depth) {
    Code code;
    for (int i = 0; i < depth; i++) code = code + null(BOOLEAN);
    for (int i = 1; i < depth; i++) code = code + op(I::OR);
    return code;
  };
  CHECK(run(nested(256)) == "NULL");
  CHECK(refusalOf(layout, nested(257)) == "byte 770: over 256 values would be on the stack");
  Code code = integer(2998);
  for (int i = 0; i < 3000; i++) code = code + integer(2 * i % 3001);
  CHECK(run(code + in(3000)) == "true");
}

TEST_CASE("a program keeps what it was made of, wherever it is moved") {
  const RowLayout layout = layoutOf({kind(ColumnKind::BYTES)});
  std::string refusal;
  std::optional<Program> program;
  {
    std::string code = column(0) + text("ab") + op(I::STARTS_WITH);
    program = Program::make(layout, code, refusal);
    std::fill(code.begin(), code.end(), '\0');
  }
  const Program moved = std::move(*program);
  CHECK(moved.isTrue(rowOf({{"abc"}})));
  CHECK_FALSE(moved.isTrue(rowOf({{"xabc"}})));
  CHECK_FALSE(moved.isTrue(rowOf({{std::nullopt}})));
}
