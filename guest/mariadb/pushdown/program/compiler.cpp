// Compiles conditions from the comparisons in them.
#include "mariadb/pushdown/program/compiler.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "mariadb/pushdown/program/comparisons.hpp"
#include "mariadb/pushdown/program/quiet.hpp"

namespace vamos::mariadb {
namespace {

using program::Bytes;
using program::Comparisons;
using program::Exact;
using program::put;
using program::Real;
using program::Values;

// How many operands an AND or OR may have, and how deep conditions may be nested.
constexpr unsigned maxNesting = 64;

// Appends the code of a condition, whose type is BOOLEAN. Functions that return false leave `code` unusable.
class Conditions {
 public:
  explicit Conditions(const Values& values) : values_(values), comparisons_(values) {}

  bool condition(Item* item, std::string& code, unsigned nesting = 0) const {
    if (nesting > maxNesting || code.size() > maxProgramBytes) return false;
    if (Values::isConstant(item)) return constant(item, code);
    Item* real = item->real_item();
    switch (real->type()) {
      case Item::COND_ITEM:
        return junction(static_cast<Item_cond*>(real), code, nesting + 1);
      case Item::FUNC_ITEM:
        return function(static_cast<Item_func*>(real), code, nesting + 1);
      case Item::FIELD_ITEM:
        return notZero(real, code);
      default:
        return false;
    }
  }

 private:
  static bool constant(Item* item, std::string& code) {
    program::Silence silence(current_thd, item);
    const bool truth = item->val_bool();
    if (silence.wasBroken()) return false;
    if (item->null_value) {
      program::putNull(code, ValueType::BOOLEAN);
    } else {
      program::putTruth(code, truth);
    }
    return true;
  }

  bool notZero(Item* item, std::string& code) const {
    if (const std::optional<Exact> number = values_.exact(item, false)) {
      code.append(number->code);
      program::putInteger(code, 0);
    } else if (const std::optional<Real> value = values_.real(item)) {
      code.append(value->code);
      program::putDouble(code, 0);
    } else {
      return false;
    }
    program::putComparison(code, Instruction::NOT_EQUAL, false);
    return true;
  }

  bool junction(Item_cond* item, std::string& code, unsigned nesting) const {
    const Instruction instruction =
        item->functype() == Item_func::COND_AND_FUNC ? Instruction::AND : Instruction::OR;
    List_iterator_fast<Item> parts(*item->argument_list());
    bool isFirst = true;
    while (Item* part = parts++) {
      if (!condition(part, code, nesting)) return false;
      if (!isFirst) put(code, instruction);
      isFirst = false;
    }
    return !isFirst;
  }

  bool function(Item_func* item, std::string& code, unsigned nesting) const {
    switch (item->functype()) {
      case Item_func::EQ_FUNC:
        return compare(Instruction::EQUAL, item, code);
      case Item_func::EQUAL_FUNC:
        return compare(Instruction::SAME, item, code);
      case Item_func::NE_FUNC:
        return compare(Instruction::NOT_EQUAL, item, code);
      case Item_func::LT_FUNC:
        return compare(Instruction::LESS, item, code);
      case Item_func::LE_FUNC:
        return compare(Instruction::LESS_OR_EQUAL, item, code);
      case Item_func::GT_FUNC:
        return compare(Instruction::GREATER, item, code);
      case Item_func::GE_FUNC:
        return compare(Instruction::GREATER_OR_EQUAL, item, code);
      case Item_func::BETWEEN:
        return comparisons_.between(static_cast<Item_func_between*>(item), code);
      case Item_func::IN_FUNC:
        return comparisons_.in(static_cast<Item_func_in*>(item), code);
      case Item_func::LIKE_FUNC:
        return comparisons_.like(static_cast<Item_func_like*>(item), code);
      case Item_func::ISNULL_FUNC:
        return isNull(item->arguments()[0], code);
      case Item_func::ISNOTNULL_FUNC:
        if (!isNull(item->arguments()[0], code)) return false;
        put(code, Instruction::NOT);
        return true;
      case Item_func::NOT_FUNC:
        if (!condition(item->arguments()[0], code, nesting)) return false;
        put(code, Instruction::NOT);
        return true;
      case Item_func::XOR_FUNC:
        return exclusiveOr(item, code, nesting);
      default:
        return truth(item, code, nesting);
    }
  }

  bool compare(Instruction comparison, Item_func* item, std::string& code) const {
    const auto* comparing = static_cast<Item_bool_rowready_func2*>(item);
    return comparisons_.compare(comparison, item->arguments()[0], item->arguments()[1],
                                *comparing->compare_type_handler(), comparing->compare_collation(), code);
  }

  bool isNull(Item* item, std::string& code) const {
    if (const Field* field = values_.field(item)) {
      // A program can only read the length of a BLOB.
      const bool isBlob = values_.kind(*field) == ColumnKind::BLOB;
      program::putColumn(code, isBlob ? Instruction::LENGTH : Instruction::COLUMN, values_.column(*field));
    } else if (const std::optional<Exact> number = values_.exact(item, false)) {
      code.append(number->code);
    } else {
      return false;
    }
    put(code, Instruction::IS_NULL);
    return true;
  }

  bool exclusiveOr(Item_func* item, std::string& code, unsigned nesting) const {
    std::string left;
    std::string right;
    for (uint number = 0; number < item->argument_count(); ++number) {
      // The server rounds operands of XOR to whole numbers, so that 0.4 is false.
      Item* operand = item->arguments()[number];
      if (operand->cmp_type() != INT_RESULT) return false;
      if (!condition(operand, number == 0 ? left : right, nesting)) return false;
    }
    code.append(left).append(right);
    put(code, Instruction::OR);
    code.append(left).append(right);
    put(code, Instruction::AND);
    put(code, Instruction::NOT);
    put(code, Instruction::AND);
    return true;
  }

  // Compiles IS TRUE, IS NOT FALSE and their like.
  bool truth(Item_func* item, std::string& code, unsigned nesting) const {
    const char* name = item->func_name_cstring().str;
    const bool isNot = std::strncmp(name, "isnot", 5) == 0;
    const char* value = name + (isNot ? 5 : 2);
    const bool ofFalse = std::strcmp(value, "false") == 0;
    if (std::strncmp(name, "is", 2) != 0 || (!ofFalse && std::strcmp(value, "true") != 0) ||
        item->argument_count() != 1 || !condition(item->arguments()[0], code, nesting)) {
      return false;
    }
    if (ofFalse) put(code, Instruction::NOT);
    put(code, Instruction::IS_TRUE);
    if (isNot) put(code, Instruction::NOT);
    return true;
  }

  const Values& values_;
  Comparisons comparisons_;
};

struct CompiledPart {
  std::string code;
  bool mayBeNull = true;
};

// The parts of an AND, in the order in which the server evaluates them until one is not true.
struct Conjunction {
  explicit Conjunction(Item* item) { add(item); }

  std::vector<Item*> parts;
  bool stopsAtNull = true;  // the server evaluates no part behind one that is NULL

 private:
  void add(Item* item) {
    if (item->type() != Item::COND_ITEM ||
        static_cast<Item_cond*>(item)->functype() != Item_func::COND_AND_FUNC) {
      parts.push_back(item);
      return;
    }
    stopsAtNull = stopsAtNull && item->is_top_level_item();
    List_iterator_fast<Item> each(*static_cast<Item_cond*>(item)->argument_list());
    while (Item* part = each++) add(part);
  }
};

}  // namespace

bool ProgramCompiler::condition(Item* item, std::string& code) const {
  const Values values(table_, codec_);
  std::string compiled;
  if (!Conditions(values).condition(item, compiled) || code.size() + compiled.size() > maxProgramBytes) {
    return false;
  }
  code.append(compiled);
  return true;
}

bool ProgramCompiler::conditionInPart(Item* item, Spared spared, std::string& code) const {
  const Conjunction conjunction(item);
  std::vector<CompiledPart> compiled;
  bool isWhole = true;
  for (Item* part : conjunction.parts) {
    CompiledPart next;
    if (condition(part, next.code)) {
      next.mayBeNull = part->maybe_null();
      compiled.push_back(std::move(next));
      continue;
    }
    isWhole = false;
    if (maySparePart(part, spared)) continue;
    // If a part is NULL, the server may evaluate the next one.
    if (!conjunction.stopsAtNull) {
      std::erase_if(compiled, [](const CompiledPart& each) { return each.mayBeNull; });
    }
    break;
  }
  for (const CompiledPart& part : compiled) {
    if (code.size() + part.code.size() + 1 > maxProgramBytes) {
      isWhole = false;
      continue;
    }
    const bool isFirst = code.empty();
    code.append(part.code);
    if (!isFirst) put(code, Instruction::AND);
  }
  return isWhole;
}

bool ProgramCompiler::maySpare(Item* item, Spared spared) const {
  const Conjunction conjunction(item);
  return std::all_of(conjunction.parts.begin(), conjunction.parts.end(), [&](Item* part) {
    std::string unused;
    return maySparePart(part, spared) || condition(part, unused);
  });
}

bool ProgramCompiler::maySparePart(Item* part, Spared spared) const {
  return spared == Spared::WARNINGS ? !program::hasEffects(part) : program::isQuiet(part);
}

bool ProgramCompiler::value(Item* item, std::string& code, ProgramValue& described) const {
  const Values values(table_, codec_);
  ProgramValue found;
  std::string compiled;
  if (std::optional<Exact> number = values.exact(item, false)) {
    found.type = ValueType::INTEGER;
    found.bits = number->bits;
    found.scale = number->scale;
    compiled = std::move(number->code);
  } else if (const Field* field = values.field(item);
             field && (field->real_type() == MYSQL_TYPE_FLOAT || field->real_type() == MYSQL_TYPE_DOUBLE)) {
    found.type = ValueType::DOUBLE;
    program::putColumn(compiled, Instruction::COLUMN, values.column(*field));
  } else if (field && Values::sortsAsBytes(field->charset())) {
    std::optional<Bytes> bytes = values.bytes(item, field->charset());
    if (!bytes) return false;
    found.type = ValueType::BYTES;
    found.isPadded = Values::isPadded(field->charset());
    compiled = std::move(bytes->code);
  } else {
    return false;
  }
  if (compiled.size() > maxProgramBytes) return false;
  code.append(compiled);
  described = found;
  return true;
}

}  // namespace vamos::mariadb
