#include "mariadb/pushdown/aggregate.hpp"

#include <item_sum.h>

#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "mariadb/pushdown/program/code.hpp"
#include "mariadb/pushdown/program/values.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/blobs.hpp"

namespace vamos::mariadb {
namespace {

using program::Integer;
using program::UnsignedInteger;

bool isString(const Field& field) {
  switch (field.real_type()) {
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_VAR_STRING:
      return field.type_handler() == &type_handler_string || field.type_handler() == &type_handler_var_string;
    case MYSQL_TYPE_VARCHAR:
      return field.type_handler() == &type_handler_varchar;
    default:
      return false;
  }
}

// The field's values sort as the host sorts those of its column.
bool sortsAsColumn(const Field& field) {
  switch (field.real_type()) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
    case MYSQL_TYPE_NEWDECIMAL:
    case MYSQL_TYPE_NEWDATE:
    case MYSQL_TYPE_TIME2:
    case MYSQL_TYPE_DATETIME2:
    case MYSQL_TYPE_TIMESTAMP2:
      return true;
    default:
      // The server can add spaces to values, which sort before characters that the host compares.
      return isString(field) && program::Values::sortsAsBytes(field.charset()) &&
             !(field.table->in_use->variables.sql_mode & MODE_PAD_CHAR_TO_FULL_LENGTH);
  }
}

Integer readInteger(Reader& answer) {
  const uint64_t low = answer.u64();
  const uint64_t high = answer.u64();
  return static_cast<Integer>(static_cast<UnsignedInteger>(high) << 64 | low);
}

// A 256-bit integer from the answer, lowest part first.
using Wide = std::array<uint32_t, 8>;

Wide readWide(Reader& answer) {
  Wide wide{};
  for (size_t place = 0; place < wide.size(); place += 2) {
    const uint64_t bits = answer.u64();
    wide[place] = static_cast<uint32_t>(bits);
    wide[place + 1] = static_cast<uint32_t>(bits >> 32);
  }
  return wide;
}

Wide widened(Integer value) {
  Wide wide{};
  auto bits = static_cast<UnsignedInteger>(value);
  for (size_t place = 0; place < wide.size(); place++) {
    wide[place] = place < 4 ? static_cast<uint32_t>(bits) : (value < 0 ? ~uint32_t{0} : 0);
    bits >>= 32;
  }
  return wide;
}

// Returns the number with its last `scale` digits behind the point.
std::string textOf(Wide wide, unsigned scale) {
  const bool isNegative = wide.back() >> 31 != 0;
  if (isNegative) {
    uint64_t carry = 1;
    for (uint32_t& part : wide) {
      carry += static_cast<uint32_t>(~part);
      part = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  std::string reversed;
  const auto isZero = [&wide] {
    for (const uint32_t part : wide) {
      if (part != 0) return false;
    }
    return true;
  };
  while (!isZero() || reversed.size() <= scale) {
    uint64_t rest = 0;
    for (size_t place = wide.size(); place-- > 0;) {
      rest = rest << 32 | wide[place];
      wide[place] = static_cast<uint32_t>(rest / 10);
      rest %= 10;
    }
    reversed.push_back(static_cast<char>('0' + rest));
  }
  std::string text = isNegative ? "-" : "";
  for (size_t place = reversed.size(); place-- > 0;) {
    text.push_back(reversed[place]);
    if (place == scale && scale != 0) text.push_back('.');
  }
  return text;
}

// Returns false if the number has more digits than the server's decimals.
bool toDecimal(const Wide& wide, unsigned scale, my_decimal& decimal) {
  const std::string text = textOf(wide, scale);
  return str2my_decimal(0, text.data(), text.size(), &my_charset_latin1, &decimal) == E_DEC_OK;
}

}  // namespace

std::optional<Aggregation> Aggregation::make(Item_sum& item, TABLE& table, const Codec& codec) {
  if (item.has_with_distinct() || item.depended_from() || item.is_window_func_sum_expr() ||
      item.get_arg_count() != 1) {
    return std::nullopt;
  }
  Aggregation made(item, table, codec);
  Item& argument = *item.get_arg(0);
  bool isCompiled = false;
  switch (item.sum_func()) {
    case Item_sum::COUNT_FUNC:
      made.request_.function = wire::AggregateFunction::COUNT;
      isCompiled = made.compileCount(argument);
      break;
    case Item_sum::SUM_FUNC:
    case Item_sum::AVG_FUNC:
      made.request_.function = wire::AggregateFunction::SUM;
      isCompiled = made.compileSum(argument);
      break;
    case Item_sum::MIN_FUNC:
      made.request_.function = wire::AggregateFunction::MIN;
      isCompiled = made.compileExtreme(argument);
      break;
    case Item_sum::MAX_FUNC:
      made.request_.function = wire::AggregateFunction::MAX;
      isCompiled = made.compileExtreme(argument);
      break;
    default:
      break;
  }
  if (!isCompiled) return std::nullopt;
  return made;
}

bool Aggregation::compileValue(Item& argument) {
  return ProgramCompiler(*table_, *codec_).value(&argument, request_.value, value_);
}

bool Aggregation::compileCount(Item& argument) {
  if (argument.const_item()) return !argument.maybe_null() && !argument.is_expensive();
  const program::Values values(*table_, *codec_);
  const Field* field = values.field(&argument);
  if (!field) return compileValue(argument);
  if (!field->real_maybe_null()) return true;
  const Instruction instruction =
      values.kind(*field) == ColumnKind::BLOB ? Instruction::LENGTH : Instruction::COLUMN;
  program::putColumn(request_.value, instruction, values.column(*field));
  return true;
}

bool Aggregation::compileSum(Item& argument) {
  if (!compileValue(argument)) return false;
  if (value_.type == ValueType::DOUBLE) return item_->result_type() == REAL_RESULT;
  // If the server's number had another scale, its quotient would have other digits.
  return value_.type == ValueType::INTEGER && item_->result_type() == DECIMAL_RESULT &&
         argument.decimal_scale() == value_.scale;
}

bool Aggregation::compileExtreme(Item& argument) {
  const program::Values values(*table_, *codec_);
  const Field* field = values.field(&argument);
  if (field) {
    if (!sortsAsColumn(*field)) return false;
    column_ = values.column(*field);
    program::putColumn(request_.value, Instruction::COLUMN, column_);
    request_.padded = isString(*field) && program::Values::isPadded(field->charset());
    return true;
  }
  if (!compileValue(argument)) return false;
  switch (argument.cmp_type()) {
    case INT_RESULT:
      return value_.type == ValueType::INTEGER && value_.scale == 0;
    case DECIMAL_RESULT:
      return value_.type == ValueType::INTEGER && argument.decimal_scale() == value_.scale;
    case REAL_RESULT:
      return value_.type == ValueType::DOUBLE;
    default:
      return false;
  }
}

int Aggregation::take(THD* thd, Reader& answer) {
  if (item_->set_aggregator(thd, Aggregator::SIMPLE_AGGREGATOR) || item_->aggregator_setup(thd)) {
    return HA_ERR_OUT_OF_MEM;
  }
  item_->aggregator_clear();
  const uint64_t count = answer.u64();
  if (item_->sum_func() == Item_sum::COUNT_FUNC) {
    static_cast<Item_sum_count*>(item_)->direct_add(static_cast<longlong>(count));
    item_->aggregator_add();
    return 0;
  }
  if (count == 0) return 0;
  return request_.function == wire::AggregateFunction::SUM ? takeSum(answer, count)
                                                           : takeExtreme(thd, answer);
}

int Aggregation::takeSum(Reader& answer, uint64_t count) {
  auto& sum = *static_cast<Item_sum_sum*>(item_);
  my_decimal decimal;
  if (value_.type == ValueType::DOUBLE) {
    sum.direct_add(std::bit_cast<double>(answer.u64()), false);
  } else {
    if (!toDecimal(readWide(answer), value_.scale, decimal)) return HA_ERR_INTERNAL_ERROR;
    sum.direct_add(&decimal);
  }
  sum.aggregator_add();
  if (sum.sum_func() == Item_sum::AVG_FUNC) static_cast<Item_sum_avg&>(sum).count = count;
  return 0;
}

int Aggregation::takeExtreme(THD* thd, Reader& answer) {
  if (column_ != noColumn) {
    if (const int error = loadColumn(answer)) return error;
    item_->aggregator_add();
    return 0;
  }
  Item* value = nullptr;
  my_decimal decimal;
  const bool isUnsigned = item_->get_arg(0)->unsigned_flag;
  if (value_.type == ValueType::DOUBLE) {
    value = new (thd->mem_root) Item_float(thd, std::bit_cast<double>(answer.u64()), 0);
  } else {
    const Integer integer = readInteger(answer);
    if (item_->get_arg(0)->cmp_type() == INT_RESULT) {
      const auto number = static_cast<longlong>(integer);
      value = isUnsigned ? new (thd->mem_root) Item_uint(thd, static_cast<ulonglong>(number))
                         : new (thd->mem_root) Item_int(thd, number);
    } else {
      if (!toDecimal(widened(integer), value_.scale, decimal)) return HA_ERR_INTERNAL_ERROR;
      value = new (thd->mem_root) Item_decimal(thd, &decimal);
    }
  }
  if (!value) return HA_ERR_OUT_OF_MEM;
  static_cast<Item_sum_min_max*>(item_)->direct_add(value);
  item_->aggregator_add();
  return 0;
}

// Reads the value into the column's field, from where the item takes it.
int Aggregation::loadColumn(Reader& answer) {
  const ColumnFormat& format = codec_->rows().columns()[column_];
  Projection projection;
  projection.columns = {column_};
  projection.count = 1;
  projection.fixedBytes = 1 + (format.isVariable ? 0 : format.widthBytes);
  projection.variableCount = format.isVariable ? 1 : 0;
  std::string row(1, '\0');
  switch (format.kind) {
    case ColumnKind::FIXED:
      row.append(answer.lengthPrefixed(format.widthBytes));
      break;
    case ColumnKind::BYTES: {
      const std::string_view bytes = answer.lengthPrefixed(format.widthBytes);
      appendU32(row, static_cast<uint32_t>(bytes.size()));
      row.append(bytes);
      break;
    }
    case ColumnKind::FLOAT: {
      const auto number = static_cast<float>(std::bit_cast<double>(answer.u64()));
      row.append(reinterpret_cast<const char*>(&number), sizeof number);
      break;
    }
    case ColumnKind::DOUBLE:
      appendU64(row, answer.u64());
      break;
    default: {
      const Integer number = readInteger(answer);
      row.append(reinterpret_cast<const char*>(&number), format.widthBytes);
    }
  }
  if (answer.failed() || (!format.isVariable && row.size() != projection.fixedBytes)) {
    return HA_ERR_INTERNAL_ERROR;
  }
  SessionBlobs blobs(Session::of(table_->in_use));
  return codec_->decodeRow(row, projection, table_->record[0], blobs, nullptr);
}

}  // namespace vamos::mariadb
