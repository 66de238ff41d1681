// Compiles constants, columns and arithmetic.
#include "mariadb/pushdown/program/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace vamos::mariadb::program {
namespace {

constexpr size_t maxConstantBytes = 16 << 10;

constexpr Integer largestSigned = std::numeric_limits<longlong>::max();
constexpr Integer smallestSigned = std::numeric_limits<longlong>::min();
constexpr Integer largestUnsigned = std::numeric_limits<ulonglong>::max();

bool isNamed(Item* item, const char* name, uint arguments) {
  if (item->type() != Item::FUNC_ITEM) return false;
  const auto* function = static_cast<Item_func*>(item);
  return function->argument_count() == arguments && std::strcmp(function->func_name_cstring().str, name) == 0;
}

Exact constantOf(Integer value, unsigned scale) {
  Exact number;
  putInteger(number.code, value);
  number.bits = bitWidth(value);
  number.scale = scale;
  number.isConstant = true;
  number.least = number.most = value;
  return number;
}

// Takes the decimal's digits, without zeros at the end of the fraction.
std::optional<Exact> decimalConstant(const my_decimal& decimal) {
  StringBuffer<DECIMAL_MAX_STR_LENGTH + 1> text;
  if (!decimal.to_string(&text)) return std::nullopt;
  std::string_view digits(text.ptr(), text.length());
  if (digits.find('.') != std::string_view::npos) {
    while (digits.back() == '0') digits.remove_suffix(1);
    if (digits.back() == '.') digits.remove_suffix(1);
  }
  const bool isNegative = !digits.empty() && digits.front() == '-';
  if (isNegative) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > maxDecimalDigits + 1) return std::nullopt;
  Integer value = 0;
  unsigned scale = 0;
  bool isFraction = false;
  for (const char digit : digits) {
    if (digit == '.') {
      isFraction = true;
      continue;
    }
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + (digit - '0');
    if (isFraction) scale++;
  }
  return constantOf(isNegative ? -value : value, scale);
}

void setRange(Exact& number, unsigned bits, bool isUnsigned) {
  number.bits = bits;
  number.isInteger = true;
  number.least = isUnsigned ? 0 : -(Integer{1} << (bits - 1));
  number.most = (Integer{1} << (isUnsigned ? bits : bits - 1)) - 1;
}

// The server's result, which is a BIGINT, can hold all values.
bool fits(const Exact& number, bool isUnsigned) {
  return isUnsigned ? number.least >= 0 && number.most <= largestUnsigned
                    : number.least >= smallestSigned && number.most <= largestSigned;
}

Integer smallest(std::initializer_list<Integer> values) {
  Integer found = *values.begin();
  for (const Integer value : values) found = value < found ? value : found;
  return found;
}

Integer largest(std::initializer_list<Integer> values) {
  Integer found = *values.begin();
  for (const Integer value : values) found = value > found ? value : found;
  return found;
}

bool isNumber(const Item_result type) {
  return type == INT_RESULT || type == DECIMAL_RESULT || type == REAL_RESULT;
}

// A comparison in the item converts a constant in a way that may warn, and keeps the result where it can't be
// reset. Once evaluated here, it would never warn again.
bool keepsConverted(Item* item) {
  Item* real = item->real_item();
  if (real->type() == Item::CACHE_ITEM) {
    Item* example = static_cast<Item_cache*>(real)->get_example();
    return example && keepsConverted(example);
  }
  if (real->type() == Item::COND_ITEM) {
    List_iterator_fast<Item> parts(*static_cast<Item_cond*>(real)->argument_list());
    while (Item* part = parts++) {
      if (keepsConverted(part)) return true;
    }
    return false;
  }
  if (real->type() != Item::FUNC_ITEM) return false;
  auto* function = static_cast<Item_func*>(real);
  Item** arguments = function->arguments();
  Item** end = arguments + function->argument_count();
  switch (function->functype()) {
    case Item_func::EQ_FUNC:
    case Item_func::EQUAL_FUNC:
    case Item_func::NE_FUNC:
    case Item_func::LT_FUNC:
    case Item_func::LE_FUNC:
    case Item_func::GT_FUNC:
    case Item_func::GE_FUNC: {
      const Item_result type =
          static_cast<Item_bool_rowready_func2*>(function)->compare_type_handler()->cmp_type();
      const bool isEasy = std::all_of(arguments, end, [type](Item* argument) {
        return isNumber(type) ? isNumber(argument->cmp_type()) : argument->cmp_type() == type;
      });
      if (!isEasy || type == ROW_RESULT) return true;
      break;
    }
    default:
      if (isNamed(function, "nullif", 3) || isNamed(function, "nullif", 2)) return true;
  }
  return std::any_of(arguments, end, keepsConverted);
}

bool isAscii(std::string_view text) {
  for (const char byte : text) {
    if ((static_cast<unsigned char>(byte) & 0x80) != 0) return false;
  }
  return true;
}

}  // namespace

// An item that sets a variable is no constant, though the server may call it one: its next value may differ.
bool Values::isConstant(Item* item) {
  Item_func::Functype setting = Item_func::SUSERVAR_FUNC;
  return item->can_eval_in_optimize() && !item->with_subquery() &&
         !item->walk(&Item::find_function_processor, false, &setting) && !keepsConverted(item);
}

Field* Values::field(Item* item) const {
  Item* real = item->real_item();
  if (real->type() != Item::FIELD_ITEM) return nullptr;
  Field* field = static_cast<Item_field*>(real)->field;
  if (field->table != &table_ || !field->stored_in_db() || column(*field) == noColumn) return nullptr;
  // A year of two digits has another value than the number which it is stored as.
  if (field->type() == MYSQL_TYPE_YEAR && field->field_length == 2) return nullptr;
  return field;
}

std::optional<Exact> Values::exact(Item* item, bool mayBeText) const {
  if (isConstant(item)) return exactConstant(item, mayBeText);
  if (const Field* found = field(item)) return exactColumn(*found);
  Item* real = item->real_item();
  if (isNamed(real, "octet_length", 1)) return length(real);
  return arithmetic(real);
}

std::optional<Exact> Values::exactColumn(const Field& field) const {
  const uint32_t number = column(field);
  Exact value;
  switch (field.real_type()) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
      if (field.type_handler() == &type_handler_vers_trx_id) return std::nullopt;
      putColumn(value.code, Instruction::COLUMN, number);
      setRange(value, 8 * codec_.rows().columns()[number].widthBytes, (field.flags & UNSIGNED_FLAG) != 0);
      return value;
    case MYSQL_TYPE_BIT:
      putColumn(value.code, Instruction::BIG_ENDIAN_INTEGER, number);
      setRange(value, 8 * codec_.rows().columns()[number].widthBytes, true);
      return value;
    case MYSQL_TYPE_NEWDECIMAL: {
      const unsigned digits = static_cast<const Field_new_decimal&>(field).precision;
      if (digits > maxDecimalDigits) return std::nullopt;
      putDecimal(value.code, number, digits, field.decimals());
      value.bits = decimalBits(digits);
      value.scale = field.decimals();
      return value;
    }
    default:
      return std::nullopt;
  }
}

std::optional<Exact> Values::exactConstant(Item* item, bool mayBeText) const {
  Silence silence(current_thd, item);
  std::optional<Exact> value;
  if (item->cmp_type() == INT_RESULT) {
    const longlong number = item->val_int();
    value = constantOf(item->unsigned_flag ? Integer{static_cast<ulonglong>(number)} : Integer{number}, 0);
    value->isInteger = true;
  } else if (item->cmp_type() == DECIMAL_RESULT || (mayBeText && item->cmp_type() == STRING_RESULT)) {
    my_decimal buffer;
    const my_decimal* decimal = item->val_decimal(&buffer);
    if (decimal && !item->null_value) {
      value = decimalConstant(*decimal);
      // Comparisons round the value to the decimals that the item declares.
      if (value && value->scale > item->decimals) return std::nullopt;
    } else {
      value.emplace();
    }
  }
  if (!value || silence.wasBroken()) return std::nullopt;
  if (item->null_value) {
    value = Exact();
    putNull(value->code, ValueType::INTEGER);
    value->isConstant = value->isNull = true;
  }
  return value;
}

bool Values::scaleTo(Exact& number, unsigned scale) {
  if (scale <= number.scale || number.isNull) return true;
  const unsigned digits = scale - number.scale;
  if (digits > maxDecimalDigits) return false;
  const Integer factor = powerOfTen(digits);
  if (number.bits + bitWidth(factor) > maxIntegerBits) return false;
  if (number.isConstant) {
    number = constantOf(number.least * factor, scale);
  } else {
    putInteger(number.code, factor);
    put(number.code, Instruction::MULTIPLY);
    number.bits += bitWidth(factor);
    number.scale = scale;
    number.isInteger = false;
  }
  return true;
}

std::optional<Exact> Values::arithmetic(Item* item) const {
  const bool isInteger = item->result_type() == INT_RESULT;
  if ((!isInteger && item->result_type() != DECIMAL_RESULT) || item->cmp_type() == TIME_RESULT) {
    return std::nullopt;
  }
  const bool negates = isNamed(item, "-", 1);
  const bool adds = isNamed(item, "+", 2);
  const bool subtracts = isNamed(item, "-", 2);
  if (!negates && !adds && !subtracts && !isNamed(item, "*", 2)) return std::nullopt;
  Item** arguments = static_cast<Item_func*>(item)->arguments();
  std::optional<Exact> left = exact(arguments[0], false);
  if (!left || left->isNull || (isInteger && !left->isInteger)) return std::nullopt;
  Exact result;
  result.isInteger = isInteger;
  if (negates) {
    result.code = std::move(left->code);
    put(result.code, Instruction::NEGATE);
    result.bits = left->bits;
    result.scale = left->scale;
    result.least = -left->most;
    result.most = -left->least;
  } else {
    std::optional<Exact> right = exact(arguments[1], false);
    if (!right || right->isNull || (isInteger && !right->isInteger)) return std::nullopt;
    if (adds || subtracts) {
      if (!scaleTo(*left, right->scale) || !scaleTo(*right, left->scale)) return std::nullopt;
      result.scale = left->scale;
      result.bits = std::max(left->bits, right->bits) + 1;
      if (isInteger) {
        result.least = adds ? left->least + right->least : left->least - right->most;
        result.most = adds ? left->most + right->most : left->most - right->least;
      }
    } else {
      result.scale = left->scale + right->scale;
      result.bits = left->bits + right->bits;
      if (isInteger && result.bits <= maxIntegerBits) {
        const Integer corners[] = {left->least * right->least, left->least * right->most,
                                   left->most * right->least, left->most * right->most};
        result.least = smallest({corners[0], corners[1], corners[2], corners[3]});
        result.most = largest({corners[0], corners[1], corners[2], corners[3]});
      }
    }
    result.code = left->code + right->code;
    put(result.code, adds ? Instruction::ADD : subtracts ? Instruction::SUBTRACT : Instruction::MULTIPLY);
  }
  if (result.bits > maxIntegerBits || result.scale > item->decimals) return std::nullopt;
  if (isInteger && !fits(result, item->unsigned_flag)) return std::nullopt;
  return result;
}

std::optional<Exact> Values::length(Item* item) const {
  const Field* of = field(static_cast<Item_func*>(item)->arguments()[0]);
  if (!of || of->compression_method()) return std::nullopt;
  const ColumnKind columnKind = kind(*of);
  if (columnKind != ColumnKind::BYTES && columnKind != ColumnKind::BLOB) return std::nullopt;
  const Storage storage = codec_.rows().columns()[column(*of)].storage;
  if (storage == Storage::TEXT && (current_thd->variables.sql_mode & MODE_PAD_CHAR_TO_FULL_LENGTH)) {
    return std::nullopt;
  }
  Exact value;
  putColumn(value.code, Instruction::LENGTH, column(*of));
  setRange(value, lengthBits, true);
  if (columnKind == ColumnKind::BLOB) value.bits = blobLengthBits;
  return value;
}

std::optional<Real> Values::real(Item* item) const {
  Real value;
  if (isConstant(item)) {
    if (item->cmp_type() == TIME_RESULT || item->cmp_type() == ROW_RESULT) return std::nullopt;
    Silence silence(current_thd, item);
    const double number = item->val_real();
    if (silence.wasBroken() || !std::isfinite(number)) return std::nullopt;
    value.isConstant = true;
    if (item->null_value) {
      putNull(value.code, ValueType::DOUBLE);
    } else {
      putDouble(value.code, number);
    }
    return value;
  }
  const Field* found = field(item);
  if (found && (found->real_type() == MYSQL_TYPE_FLOAT || found->real_type() == MYSQL_TYPE_DOUBLE)) {
    putColumn(value.code, Instruction::COLUMN, column(*found));
    return value;
  }
  // For floating point the server takes BIT(64) as a signed number.
  if (found && found->real_type() == MYSQL_TYPE_BIT && found->field_length == 64) return std::nullopt;
  std::optional<Exact> number = exact(item, false);
  if (!number || !number->isInteger) return std::nullopt;
  value.code = std::move(number->code);
  put(value.code, Instruction::TO_DOUBLE);
  return value;
}

bool Values::sortsAsBytes(CHARSET_INFO* collation) {
  if (collation == &my_charset_bin) return true;
  if (collation->coll == &my_collation_8bit_bin_handler ||
      collation->coll == &my_collation_8bit_nopad_bin_handler) {
    return collation->mbmaxlen == 1;
  }
  return (collation->state & MY_CS_BINSORT) != 0 && (my_charset_same(collation, &my_charset_utf8mb4_bin) ||
                                                     my_charset_same(collation, &my_charset_utf8mb3_bin));
}

bool Values::isPadded(CHARSET_INFO* collation) {
  return collation != &my_charset_bin && (collation->state & MY_CS_NOPAD) == 0;
}

std::optional<Bytes> Values::bytes(Item* item, CHARSET_INFO* collation) const {
  Bytes value;
  if (isConstant(item)) {
    if (item->cmp_type() != STRING_RESULT) return std::nullopt;
    Silence silence(current_thd, item);
    StringBuffer<STRING_BUFFER_USUAL_SIZE> buffer;
    const String* text = item->val_str(&buffer);
    if (silence.wasBroken()) return std::nullopt;
    value.isConstant = true;
    if (!text || item->null_value) {
      value.isNull = true;
      putNull(value.code, ValueType::BYTES);
      return value;
    }
    value.constant.assign(text->ptr(), text->length());
    if (value.constant.size() > maxConstantBytes) return std::nullopt;
    if (collation != &my_charset_bin && !isAscii(value.constant)) {
      Well_formed_prefix prefix(collation, text->ptr(), text->length(), text->length());
      if (!my_charset_same(text->charset(), collation) || prefix.well_formed_error_pos()) return std::nullopt;
    }
    putBytes(value.code, value.constant);
    return value;
  }
  const Field* found = field(item);
  if (!found || kind(*found) != ColumnKind::BYTES || found->compression_method()) return std::nullopt;
  if (collation != &my_charset_bin && !my_charset_same(found->charset(), collation)) return std::nullopt;
  if (codec_.rows().columns()[column(*found)].storage == Storage::TEXT &&
      (current_thd->variables.sql_mode & MODE_PAD_CHAR_TO_FULL_LENGTH)) {
    return std::nullopt;
  }
  putColumn(value.code, Instruction::COLUMN, column(*found));
  return value;
}

}  // namespace vamos::mariadb::program
