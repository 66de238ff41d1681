#include "mariadb/pushdown/program/comparisons.hpp"

#include <algorithm>
#include <vector>

namespace vamos::mariadb::program {
namespace {

// No ordinal is equal to this one.
constexpr Integer noOrdinal = -1;

// Returns the comparison with the nearest value that the column may have, instead of one with a constant that
// it can't have.
Instruction besides(Instruction comparison, Side side) {
  if (side == Side::BELOW) {
    if (comparison == Instruction::LESS) return Instruction::LESS_OR_EQUAL;
    if (comparison == Instruction::GREATER_OR_EQUAL) return Instruction::GREATER;
  } else if (side == Side::ABOVE) {
    if (comparison == Instruction::LESS_OR_EQUAL) return Instruction::LESS;
    if (comparison == Instruction::GREATER) return Instruction::GREATER_OR_EQUAL;
  }
  return comparison;
}

bool isEquality(Instruction comparison) {
  return comparison == Instruction::EQUAL || comparison == Instruction::NOT_EQUAL ||
         comparison == Instruction::SAME;
}

}  // namespace

const Type_handler* comparedAs(Item_func* function, Item** items, uint count, bool mixedAsDecimal) {
  Type_handler_hybrid_field_type type;
  Silence silence(current_thd);
  if (type.aggregate_for_comparison(function->func_name_cstring(), items, count, mixedAsDecimal)) {
    return nullptr;
  }
  return silence.wasBroken() ? nullptr : type.type_handler();
}

bool Comparisons::compare(Instruction comparison, Item* left, Item* right, const Type_handler& compared,
                          CHARSET_INFO* collation, std::string& code) const {
  if (left->cols() != 1 || right->cols() != 1) return false;
  switch (compared.cmp_type()) {
    case INT_RESULT:
      return compareExact(comparison, left, right, false, code) ||
             compareOrdinal(comparison, left, right, compared, code);
    case DECIMAL_RESULT:
      return compareExact(comparison, left, right, true, code);
    case REAL_RESULT:
      return compareReal(comparison, left, right, code);
    case STRING_RESULT:
      return compareBytes(comparison, left, right, collation, code);
    case TIME_RESULT:
      return compareOrdinal(comparison, left, right, compared, code);
    default:
      return false;
  }
}

bool Comparisons::compareExact(Instruction comparison, Item* left, Item* right, bool mayBeText,
                               std::string& code) const {
  std::optional<Exact> first = values_.exact(left, mayBeText);
  if (!first) return false;
  std::optional<Exact> second = values_.exact(right, mayBeText);
  if (!second || !Values::scaleTo(*first, second->scale) || !Values::scaleTo(*second, first->scale)) {
    return false;
  }
  code.append(first->code).append(second->code);
  putComparison(code, comparison, false);
  return true;
}

bool Comparisons::compareReal(Instruction comparison, Item* left, Item* right, std::string& code) const {
  // The server takes numbers with a fixed number of decimals for equal if they nearly are.
  if (left->decimals < NOT_FIXED_DEC && right->decimals < NOT_FIXED_DEC) return false;
  const std::optional<Real> first = values_.real(left);
  if (!first) return false;
  const std::optional<Real> second = values_.real(right);
  if (!second) return false;
  code.append(first->code).append(second->code);
  putComparison(code, comparison, false);
  return true;
}

bool Comparisons::compareBytes(Instruction comparison, Item* left, Item* right, CHARSET_INFO* collation,
                               std::string& code) const {
  if (!collation || !Values::sortsAsBytes(collation)) return false;
  const std::optional<Bytes> first = values_.bytes(left, collation);
  if (!first) return false;
  const std::optional<Bytes> second = values_.bytes(right, collation);
  if (!second) return false;
  code.append(first->code).append(second->code);
  putComparison(code, comparison, Values::isPadded(collation));
  return true;
}

bool Comparisons::compareOrdinal(Instruction comparison, Item* left, Item* right,
                                 const Type_handler& compared, std::string& code) const {
  std::optional<Ordinal> first = values_.ordinal(left);
  std::optional<Ordinal> second = values_.ordinal(right);
  if (first && second) {
    if (first->field->real_type() != second->field->real_type() ||
        first->field->decimals() != second->field->decimals()) {
      return false;
    }
    code.append(first->code).append(second->code);
    putComparison(code, comparison, false);
    return true;
  }
  if (!first) {
    if (!second) return false;
    std::swap(first, second);
    std::swap(left, right);
    comparison = mirrored(comparison);
  }
  const std::optional<OrdinalConstant> constant = values_.ordinalConstant(*first->field, right, compared);
  if (!constant) return false;
  code.append(first->code);
  if (constant->isNull) {
    putNull(code, ValueType::INTEGER);
  } else {
    const bool isNone = constant->side != Side::EQUAL && isEquality(comparison);
    putInteger(code, isNone ? noOrdinal : constant->value);
    comparison = besides(comparison, constant->side);
  }
  putComparison(code, comparison, false);
  return true;
}

bool Comparisons::between(Item_func_between* item, std::string& code) const {
  Item** arguments = item->arguments();
  const Type_handler* compared = comparedAs(item, arguments, 3, false);
  if (!compared) return false;
  std::string both;
  if (!compare(Instruction::GREATER_OR_EQUAL, arguments[0], arguments[1], *compared,
               item->compare_collation(), both) ||
      !compare(Instruction::LESS_OR_EQUAL, arguments[0], arguments[2], *compared, item->compare_collation(),
               both)) {
    return false;
  }
  put(both, Instruction::AND);
  if (item->negated) put(both, Instruction::NOT);
  code.append(both);
  return true;
}

bool Comparisons::in(Item_func_in* item, std::string& code) const {
  Item** arguments = item->arguments();
  const uint count = item->argument_count();
  if (count < 2 || arguments[0]->cols() != 1 || Values::isConstant(arguments[0])) return false;
  // The server compares each item of the list in its own way. Only a list with one way for all is compiled.
  bool isExact = true;
  bool isReal = true;
  bool isBytes = true;
  for (uint number = 1; number < count; number++) {
    if (!Values::isConstant(arguments[number])) return false;
    if (arguments[number]->type() == Item::NULL_ITEM) continue;
    Item* pair[] = {arguments[0], arguments[number]};
    const Type_handler* compared = comparedAs(item, pair, 2, true);
    if (!compared) return false;
    const Item_result type = compared->cmp_type();
    isExact = isExact && (type == INT_RESULT || type == DECIMAL_RESULT) &&
              arguments[number]->cmp_type() != STRING_RESULT;
    isReal = isReal && type == REAL_RESULT && arguments[number]->cmp_type() != STRING_RESULT;
    isBytes = isBytes && type == STRING_RESULT;
  }
  std::string list;
  const bool isDone = (isExact && inExact(item, list)) || (isReal && inReal(item, list)) ||
                      (isBytes && inBytes(item, list)) || inOrdinal(item, list);
  if (!isDone) return false;
  if (item->negated) put(list, Instruction::NOT);
  code.append(list);
  return true;
}

bool Comparisons::inExact(Item_func_in* item, std::string& code) const {
  std::vector<Exact> numbers;
  unsigned scale = 0;
  for (uint number = 0; number < item->argument_count(); number++) {
    std::optional<Exact> value = values_.exact(item->arguments()[number], false);
    if (!value) {
      if (item->arguments()[number]->type() != Item::NULL_ITEM) return false;
      value.emplace();
      putNull(value->code, ValueType::INTEGER);
      value->isNull = true;
    }
    scale = std::max(scale, value->scale);
    numbers.push_back(std::move(*value));
  }
  std::string list;
  for (Exact& number : numbers) {
    if (!Values::scaleTo(number, scale)) return false;
    list.append(number.code);
  }
  putIn(list, false, item->argument_count() - 1);
  code.append(list);
  return true;
}

bool Comparisons::inReal(Item_func_in* item, std::string& code) const {
  std::string list;
  for (uint number = 0; number < item->argument_count(); number++) {
    const std::optional<Real> value = values_.real(item->arguments()[number]);
    if (!value) return false;
    list.append(value->code);
  }
  putIn(list, false, item->argument_count() - 1);
  code.append(list);
  return true;
}

bool Comparisons::inBytes(Item_func_in* item, std::string& code) const {
  CHARSET_INFO* collation = item->compare_collation();
  if (!collation || !Values::sortsAsBytes(collation)) return false;
  std::string list;
  for (uint number = 0; number < item->argument_count(); number++) {
    if (item->arguments()[number]->type() == Item::NULL_ITEM) {
      putNull(list, ValueType::BYTES);
      continue;
    }
    const std::optional<Bytes> value = values_.bytes(item->arguments()[number], collation);
    if (!value) return false;
    list.append(value->code);
  }
  putIn(list, Values::isPadded(collation), item->argument_count() - 1);
  code.append(list);
  return true;
}

bool Comparisons::inOrdinal(Item_func_in* item, std::string& code) const {
  Item** arguments = item->arguments();
  const std::optional<Ordinal> value = values_.ordinal(arguments[0]);
  if (!value) return false;
  std::string list = value->code;
  for (uint number = 1; number < item->argument_count(); number++) {
    if (arguments[number]->type() == Item::NULL_ITEM) {
      putNull(list, ValueType::INTEGER);
      continue;
    }
    Item* pair[] = {arguments[0], arguments[number]};
    const Type_handler* compared = comparedAs(item, pair, 2, true);
    if (!compared) return false;
    const std::optional<OrdinalConstant> constant =
        values_.ordinalConstant(*value->field, arguments[number], *compared);
    if (!constant) return false;
    if (constant->isNull) {
      putNull(list, ValueType::INTEGER);
    } else {
      putInteger(list, constant->side == Side::EQUAL ? constant->value : noOrdinal);
    }
  }
  putIn(list, false, item->argument_count() - 1);
  code.append(list);
  return true;
}

// Compiles a pattern without wildcards, or with % only at its end.
bool Comparisons::like(Item_func_like* item, std::string& code) const {
  CHARSET_INFO* collation = item->compare_collation();
  if (!collation || !Values::sortsAsBytes(collation)) return false;
  Item** arguments = item->arguments();
  if (Values::isConstant(arguments[0])) return false;
  const std::optional<Bytes> value = values_.bytes(arguments[0], collation);
  const std::optional<Bytes> pattern = value ? values_.bytes(arguments[1], collation) : std::nullopt;
  if (!pattern || !pattern->isConstant || item->escape < 0 || item->escape > 0x7F || item->escape == '%' ||
      item->escape == '_')
    return false;
  std::string literal;
  bool isPrefix = false;
  const std::string& text = pattern->constant;
  for (size_t at = 0; at < text.size(); at++) {
    if (isPrefix && text[at] != '%') return false;
    if (text[at] == item->escape && at + 1 < text.size()) {
      literal.push_back(text[++at]);
    } else if (text[at] == '%') {
      isPrefix = true;
    } else if (text[at] == '_') {
      return false;
    } else {
      literal.push_back(text[at]);
    }
  }
  code.append(value->code);
  if (pattern->isNull) {
    putNull(code, ValueType::BYTES);
  } else {
    putBytes(code, literal);
  }
  if (isPrefix) {
    put(code, Instruction::STARTS_WITH);
  } else {
    putComparison(code, Instruction::EQUAL, false);
  }
  if (item->negated) put(code, Instruction::NOT);
  return true;
}

}  // namespace vamos::mariadb::program
