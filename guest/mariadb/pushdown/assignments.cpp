#include "mariadb/pushdown/assignments.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "mariadb/pushdown/program/code.hpp"
#include "mariadb/pushdown/program/compiler.hpp"
#include "mariadb/pushdown/program/values.hpp"

namespace vamos::mariadb {
namespace {

using program::Integer;
using program::Values;

// A value of this size still stands in the row, not beside it.
constexpr size_t maxBlobBytes = 16 << 10;

// While it lives, constants are evaluated as for the statement's first row. Leaves no trace in the statement.
class Trial {
 public:
  explicit Trial(THD* thd)
      : thd_(thd),
        silence_(thd),
        check_(thd->count_cuted_fields),
        aborts_(thd->abort_on_warning),
        hasInsertId_(thd->arg_of_last_insert_id_function),
        insertId_(thd->first_successful_insert_id_in_prev_stmt) {
    thd->count_cuted_fields = CHECK_FIELD_WARN;
    thd->abort_on_warning = false;
    thd->arg_of_last_insert_id_function = false;
  }
  ~Trial() {
    thd_->count_cuted_fields = check_;
    thd_->abort_on_warning = aborts_;
    thd_->arg_of_last_insert_id_function = hasInsertId_;
    thd_->first_successful_insert_id_in_prev_stmt = insertId_;
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  bool isClean() const { return !silence_.wasBroken() && !thd_->arg_of_last_insert_id_function; }

 private:
  THD* thd_;
  program::Silence silence_;
  enum_check_fields check_;
  bool aborts_;
  bool hasInsertId_;
  ulonglong insertId_;
};

ValueType typeOf(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::FLOAT:
    case ColumnKind::DOUBLE:
      return ValueType::DOUBLE;
    case ColumnKind::FIXED:
    case ColumnKind::BYTES:
    case ColumnKind::BLOB:
      return ValueType::BYTES;
    default:
      return ValueType::INTEGER;
  }
}

bool isSigned(ColumnKind kind) {
  return kind == ColumnKind::INT8 || kind == ColumnKind::INT16 || kind == ColumnKind::INT32 ||
         kind == ColumnKind::INT64;
}

Integer integerOf(ColumnKind kind, std::string_view bytes) {
  Integer value = 0;
  for (size_t place = bytes.size(); place-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[place]);
  const unsigned bits = 8 * static_cast<unsigned>(bytes.size());
  if (isSigned(kind) && (value >> (bits - 1)) != 0) value -= Integer{1} << bits;
  return value;
}

// Appends the code of the column's value in the record.
bool putStored(const RowFormat& rows, uint32_t column, const uchar* record, std::string& code) {
  const ColumnFormat& format = rows.columns()[column];
  std::string bytes;
  if (format.storage == Storage::BLOB) {
    const std::string_view data = RowFormat::blobOf(format, record);
    if (data.size() > maxBlobBytes || rows.mayKeepBlobsApart()) return false;
    bytes.assign(data);
  } else {
    rows.appendValue(column, record, bytes);
  }
  switch (format.kind) {
    case ColumnKind::FLOAT: {
      float number;
      std::memcpy(&number, bytes.data(), sizeof number);
      program::putDouble(code, number);
      return std::isfinite(number);
    }
    case ColumnKind::DOUBLE: {
      double number;
      std::memcpy(&number, bytes.data(), sizeof number);
      program::putDouble(code, number);
      return std::isfinite(number);
    }
    case ColumnKind::FIXED:
    case ColumnKind::BYTES:
    case ColumnKind::BLOB:
      program::putBytes(code, bytes);
      return true;
    default:
      program::putInteger(code, integerOf(format.kind, bytes));
      return true;
  }
}

bool compileConstant(const Codec& codec, Field& field, Item& value, std::string& code) {
  TABLE& table = *field.table;
  const uint32_t column = codec.rows().columnOf(field.field_index);
  {
    const Trial trial(table.in_use);
    if (value.save_in_field(&field, false) != 0 || !trial.isClean()) return false;
  }
  if (!field.is_null()) return putStored(codec.rows(), column, table.record[0], code);
  program::putNull(code, typeOf(codec.rows().columns()[column].kind));
  return true;
}

// The host finds values that don't fit only if its column is as wide as the field, as it is not for
// MEDIUMINT.
bool isInteger(const Field& field) {
  switch (field.real_type()) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
      return true;
    default:
      return false;
  }
}

// A value that does not fit its column is an error in strict mode. In other modes the server would store
// another value, so nothing is compiled.
bool compileArithmetic(const Codec& codec, const Field& field, Item& value, std::string& code) {
  TABLE& table = *field.table;
  ProgramValue described;
  return isInteger(field) && value.result_type() == INT_RESULT && table.in_use->is_strict_mode() &&
         (field.real_maybe_null() || !value.maybe_null()) &&
         ProgramCompiler(table, codec).value(&value, code, described) &&
         described.type == ValueType::INTEGER && described.scale == 0;
}

// The value reads any of these fields. It is one that compileArithmetic() takes.
bool readsAny(Item* value, const std::vector<const Field*>& fields) {
  Item* real = value->real_item();
  if (real->type() == Item::FIELD_ITEM) {
    return std::find(fields.begin(), fields.end(), static_cast<Item_field*>(real)->field) != fields.end();
  }
  if (real->type() != Item::FUNC_ITEM) return false;
  const auto* function = static_cast<Item_func*>(real);
  return std::any_of(function->arguments(), function->arguments() + function->argument_count(),
                     [&](Item* argument) { return readsAny(argument, fields); });
}

}  // namespace

bool compileAssignments(TABLE& table, const Codec& codec, List<Item>& fields, List<Item>& values,
                        std::vector<wire::Assignment>& assignments) {
  List_iterator_fast<Item> nextField(fields);
  List_iterator_fast<Item> nextValue(values);
  std::vector<const Field*> assigned;
  while (Item* item = nextField++) {
    Item* value = nextValue++;
    const Item_field* target = item->field_for_view_update();
    if (!value || !target || target->field->table != &table) return false;
    Field& field = *target->field;
    wire::Assignment assignment;
    assignment.column = codec.rows().columnOf(field.field_index);
    if (assignment.column == noColumn || field.vcol_info || field.compression_method() ||
        std::find(assigned.begin(), assigned.end(), &field) != assigned.end()) {
      return false;
    }
    if (Values::isConstant(value)) {
      if (!compileConstant(codec, field, *value, assignment.value)) return false;
    } else if (readsAny(value, assigned) || !compileArithmetic(codec, field, *value, assignment.value)) {
      return false;  // the server assigns one after another, and this one would read a new value
    }
    if (assignment.value.size() > maxProgramBytes) return false;
    assigned.push_back(&field);
    assignments.push_back(std::move(assignment));
  }
  return !assignments.empty();
}

}  // namespace vamos::mariadb
