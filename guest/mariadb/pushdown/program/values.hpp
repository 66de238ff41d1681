#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <optional>
#include <string>

#include "mariadb/format/codec.hpp"
#include "mariadb/pushdown/program/code.hpp"

// Compiles Items to values of programs: constants of the statement, columns of one table, simple arithmetic.
// Each function returns nothing if the host's value might differ from the server's.
namespace vamos::mariadb::program {

// A number that is not rounded: an integer, or a decimal that was multiplied by 10^scale.
struct Exact {
  std::string code;
  unsigned bits = 0;  // its magnitude is below 2^bits, as the host will find
  unsigned scale = 0;
  bool isInteger = false;  // the server has it as an integer, which lies between `least` and `most`
  Integer least = 0;
  Integer most = 0;
  bool isConstant = false;  // unless it is NULL, its value is `least`
  bool isNull = false;      // it is the constant NULL
};

struct Real {
  std::string code;
  bool isConstant = false;
};

struct Bytes {
  std::string code;
  bool isConstant = false;
  bool isNull = false;   // it is the constant NULL
  std::string constant;  // the bytes of another constant
};

// On which side of a constant the nearest value lies that a column can have. EQUAL: it is the constant
// itself.
enum class Side : int8_t { BELOW = -1, EQUAL = 0, ABOVE = 1 };

// A column whose bytes, taken as integers, sort as its values do. The server does not know these integers.
struct Ordinal {
  std::string code;
  Field* field = nullptr;
};

// A constant as such an integer, or the nearest integer that a column can have, and on which side of the
// constant it lies.
struct OrdinalConstant {
  bool isNull = false;
  Integer value = 0;
  Side side = Side::EQUAL;
};

class Values {
 public:
  Values(TABLE& table, const Codec& codec) : table_(table), codec_(codec) {}

  // The item has one value in this statement, and can be evaluated cheaply.
  static bool isConstant(Item* item);
  // Returns the column of this table that the item is; nullptr: it is none, or the host has no such column.
  Field* field(Item* item) const;
  uint32_t column(const Field& field) const { return codec_.rows().columnOf(field.field_index); }
  ColumnKind kind(const Field& field) const { return codec_.rows().columns()[column(field)].kind; }

  // mayBeText: the constant may be a text that the server would take for a decimal in a comparison.
  std::optional<Exact> exact(Item* item, bool mayBeText) const;
  // Gives the number a scale that is at least its own. Returns false if it gets too large.
  static bool scaleTo(Exact& number, unsigned scale);
  std::optional<Real> real(Item* item) const;
  // Takes strings that compare as their bytes under this collation, with or without padding.
  std::optional<Bytes> bytes(Item* item, CHARSET_INFO* collation) const;
  std::optional<Exact> length(Item* item) const;
  std::optional<Ordinal> ordinal(Item* item) const;
  // Makes a constant for a comparison with the field as this type.
  std::optional<OrdinalConstant> ordinalConstant(const Field& field, Item* item,
                                                 const Type_handler& compared) const;

  // Strings under the collation sort as their bytes, apart from padding.
  static bool sortsAsBytes(CHARSET_INFO* collation);
  static bool isPadded(CHARSET_INFO* collation);

 private:
  std::optional<Exact> exactColumn(const Field& field) const;
  std::optional<Exact> exactConstant(Item* item, bool mayBeText) const;
  std::optional<Exact> arithmetic(Item* item) const;

  TABLE& table_;
  const Codec& codec_;
};

// While an object of this class lives, it swallows the server's warnings and errors, and notes whether there
// were any.
class Silence final : public Internal_error_handler {
 public:
  explicit Silence(THD* thd) : thd_(thd) { thd->push_internal_handler(this); }
  // For the evaluation of a constant. If that warns, the server evaluates the constant once more, and warns
  // itself.
  Silence(THD* thd, Item* constant) : thd_(thd), constant_(constant) { thd->push_internal_handler(this); }
  ~Silence() override {
    thd_->pop_internal_handler();
    if (wasBroken_ && constant_ != nullptr) forget(constant_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  bool wasBroken() const { return wasBroken_; }

  bool handle_condition(THD*, uint, const char*, Sql_condition::enum_warning_level*, const char*,
                        Sql_condition**) override {
    wasBroken_ = true;
    return true;
  }

 private:
  static void forget(Item* item) {
    if (item->type() == Item::CACHE_ITEM) static_cast<Item_cache*>(item)->clear();
    if (item->type() != Item::FUNC_ITEM) return;
    auto* function = static_cast<Item_func*>(item);
    for (uint number = 0; number < function->argument_count(); number++) {
      forget(function->arguments()[number]);
    }
  }

  THD* thd_;
  Item* constant_ = nullptr;
  bool wasBroken_ = false;
};

}  // namespace vamos::mariadb::program
