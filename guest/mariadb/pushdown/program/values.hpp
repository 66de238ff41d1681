#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <optional>
#include <string>

#include "mariadb/format/codec.hpp"
#include "mariadb/pushdown/program/code.hpp"

// Items as values of programs: constants of the statement, columns of one table, simple arithmetic. Each
// function gives nothing where the host's value might not be the server's.
namespace vamos::mariadb::program {

// A number that is not rounded: an integer, or a decimal times 10^scale.
struct Exact {
  std::string code;
  unsigned bits = 0;  // its magnitude is below 2^bits, as the host finds
  unsigned scale = 0;
  bool isInteger = false;  // to the server, too; then it lies between these
  Integer least = 0;
  Integer most = 0;
  bool isConstant = false;
  bool isNull = false;  // of a constant; else its value is `least`
};

struct Real {
  std::string code;
  bool isConstant = false;
};

struct Bytes {
  std::string code;
  bool isConstant = false;
  bool isNull = false;  // of a constant; else:
  std::string constant;
};

// A comparison with a constant, where the column has no value that is equal to it.
enum class Side : int8_t { BELOW = -1, EQUAL = 0, ABOVE = 1 };

// A column whose values sort as integers which the server doesn't know.
struct Ordinal {
  std::string code;
  Field* field = nullptr;
};

// A constant as such an integer; the nearest one, where it stands on that side of the constant.
struct OrdinalConstant {
  bool isNull = false;
  Integer value = 0;
  Side side = Side::EQUAL;
};

class Values {
 public:
  Values(TABLE& table, const Codec& codec) : table_(table), codec_(codec) {}

  // Whether it has one value in this statement, which costs little to know.
  static bool isConstant(Item* item);
  // The column of this table that it is; nothing: none that the host has.
  Field* field(Item* item) const;
  uint32_t column(const Field& field) const { return codec_.rows().columnOf(field.field_index); }
  ColumnKind kind(const Field& field) const { return codec_.rows().columns()[column(field)].kind; }

  // mayBeText: constants, too, that the server would take as a decimal for a comparison.
  std::optional<Exact> exact(Item* item, bool mayBeText) const;
  // With another scale, a larger one.
  static bool scaleTo(Exact& number, unsigned scale);
  std::optional<Real> real(Item* item) const;
  // Of strings that compare as their bytes, padded or not, under this collation.
  std::optional<Bytes> bytes(Item* item, CHARSET_INFO* collation) const;
  std::optional<Exact> length(Item* item) const;
  std::optional<Ordinal> ordinal(Item* item) const;
  // For a comparison with the field under this type.
  std::optional<OrdinalConstant> ordinalConstant(const Field& field, Item* item,
                                                 const Type_handler& compared) const;

  // Whether strings under the collation sort as their bytes, apart from padding.
  static bool sortsAsBytes(CHARSET_INFO* collation);
  static bool isPadded(CHARSET_INFO* collation);

 private:
  std::optional<Exact> exactColumn(const Field& field) const;
  std::optional<Exact> exactConstant(Item* item, bool mayBeText) const;
  std::optional<Exact> arithmetic(Item* item) const;

  TABLE& table_;
  const Codec& codec_;
};

// While it lives, warnings and errors of the server go no further; it knows whether there were any.
class Silence final : public Internal_error_handler {
 public:
  explicit Silence(THD* thd) : thd_(thd) { thd->push_internal_handler(this); }
  // Of evaluating a constant: if it warns, the server evaluates it anew, and says so.
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
