#include "mariadb/pushdown/program/quiet.hpp"

#include <algorithm>
#include <string_view>

#include "mariadb/pushdown/program/comparisons.hpp"
#include "mariadb/pushdown/program/values.hpp"

namespace vamos::mariadb::program {
namespace {

bool isDateOrMoment(const Field& field) {
  return field.real_type() == MYSQL_TYPE_NEWDATE || field.real_type() == MYSQL_TYPE_DATETIME2 ||
         field.real_type() == MYSQL_TYPE_TIMESTAMP2;
}

// Finds out by evaluating the constant, as the server does for each row.
bool isQuietConstant(Item* item, const Type_handler& as) {
  THD* thd = current_thd;
  const Silence silence(thd, item);
  switch (as.cmp_type()) {
    case INT_RESULT:
      item->val_int();
      break;
    case REAL_RESULT:
      item->val_real();
      break;
    case DECIMAL_RESULT: {
      my_decimal buffer;
      item->val_decimal(&buffer);
      break;
    }
    case STRING_RESULT: {
      StringBuffer<STRING_BUFFER_USUAL_SIZE> buffer;
      item->val_str(&buffer);
      break;
    }
    case TIME_RESULT:
      if (as.field_type() == MYSQL_TYPE_TIME) {
        item->val_time_packed(thd);
      } else {
        item->val_datetime_packed(thd);
      }
      break;
    default:
      return false;
  }
  return !silence.wasBroken();
}

bool isQuietField(const Field& field, const Type_handler& as) {
  if (!field.type_handler()->is_traditional_scalar_type()) return false;
  const Item_result type = field.cmp_type();
  switch (as.cmp_type()) {
    case INT_RESULT:
      return type == INT_RESULT;
    case DECIMAL_RESULT:
      return type == INT_RESULT || type == DECIMAL_RESULT;
    case REAL_RESULT:
      return type == INT_RESULT || type == DECIMAL_RESULT || type == REAL_RESULT;
    case STRING_RESULT:
      return type == STRING_RESULT;
    case TIME_RESULT:
      return as.field_type() == MYSQL_TYPE_TIME ? field.real_type() == MYSQL_TYPE_TIME2
                                                : isDateOrMoment(field);
    default:
      return false;
  }
}

// Returns the field of any table that the item is, or nullptr.
const Field* fieldOf(Item* item) {
  Item* real = item->real_item();
  return real->type() == Item::FIELD_ITEM ? static_cast<Item_field*>(real)->field : nullptr;
}

bool isQuietValue(Item* item, const Type_handler& as) {
  if (item->cols() != 1) return false;
  if (Values::isConstant(item)) return isQuietConstant(item, as);
  const Field* field = fieldOf(item);
  return field && isQuietField(*field, as);
}

bool areQuietValues(Item** items, uint count, const Type_handler* as) {
  return as && as->is_traditional_scalar_type() &&
         std::all_of(items, items + count, [as](Item* item) { return isQuietValue(item, *as); });
}

// The server compares each item of the list in its own way.
bool isQuietIn(Item_func& item) {
  Item** arguments = item.arguments();
  for (uint number = 1; number < item.argument_count(); number++) {
    Item* pair[] = {arguments[0], arguments[number]};
    if (pair[0]->cols() != 1 || pair[1]->cols() != 1) return false;
    if (!areQuietValues(pair, 2, comparedAs(&item, pair, 2, true))) return false;
  }
  return true;
}

bool isQuietFunction(Item_func& item) {
  Item** arguments = item.arguments();
  switch (item.functype()) {
    case Item_func::EQ_FUNC:
    case Item_func::EQUAL_FUNC:
    case Item_func::NE_FUNC:
    case Item_func::LT_FUNC:
    case Item_func::LE_FUNC:
    case Item_func::GT_FUNC:
    case Item_func::GE_FUNC:
      return areQuietValues(arguments, 2,
                            static_cast<Item_bool_rowready_func2&>(item).compare_type_handler());
    case Item_func::BETWEEN:
      return arguments[0]->cols() == 1 &&
             areQuietValues(arguments, 3, comparedAs(&item, arguments, 3, false));
    case Item_func::IN_FUNC:
      return isQuietIn(item);
    case Item_func::LIKE_FUNC:
      return areQuietValues(arguments, 2, &type_handler_varchar);
    case Item_func::ISNULL_FUNC:
    case Item_func::ISNOTNULL_FUNC:
      return fieldOf(arguments[0]) || isQuiet(arguments[0]);
    case Item_func::NOT_FUNC:
      return isQuiet(arguments[0]);
    default:
      return false;
  }
}

// The server gives these functions no type of their own, so they are told by their names.
bool changesSession(Item* item) {
  Item* real = item->real_item();
  if (real->type() == Item::COND_ITEM) {
    List_iterator_fast<Item> parts(*static_cast<Item_cond*>(real)->argument_list());
    while (Item* part = parts++) {
      if (changesSession(part)) return true;
    }
    return false;
  }
  if (real->type() != Item::FUNC_ITEM) return false;
  auto* function = static_cast<Item_func*>(real);
  const uint count = function->argument_count();
  const std::string_view name = function->func_name_cstring().str;
  if (name == "nextval" || name == "setval" || (name == "last_insert_id" && count == 1) ||
      name == "get_lock" || name == "release_lock" || name == "release_all_locks" || name == "sleep") {
    return true;
  }
  Item** arguments = function->arguments();
  return std::any_of(arguments, arguments + count, changesSession);
}

bool leavesTraces(Item* item) {
  const auto hasFunction = [item](Item_func::Functype type) {
    return item->walk(&Item::find_function_processor, true, &type);
  };
  return hasFunction(Item_func::SUSERVAR_FUNC) || hasFunction(Item_func::FUNC_SP) ||
         hasFunction(Item_func::UDF_FUNC) || changesSession(item);
}

bool anyLeavesTraces(List<Item>& items) {
  List_iterator_fast<Item> each(items);
  while (Item* item = each++) {
    // Functions are not looked for by name in subqueries.
    if (item->with_subquery() || leavesTraces(item)) return true;
  }
  return false;
}

// The parser has noted that the statement may do more than read. It notes random values, too, which leave
// nothing.
bool isSuspicious(const SELECT_LEX& select) {
  return (select.uncacheable & (UNCACHEABLE_SIDEEFFECT | UNCACHEABLE_RAND)) != 0;
}

bool leavesTraces(SELECT_LEX& select) {
  if (!isSuspicious(select)) return false;
  if (anyLeavesTraces(select.item_list)) return true;
  List<Item> conditions;
  for (Item* condition : {select.where, select.having}) {
    if (condition) conditions.push_back(condition);
  }
  List_iterator_fast<TABLE_LIST> tables(select.leaf_tables);
  while (const TABLE_LIST* table = tables++) {
    if (table->on_expr) conditions.push_back(table->on_expr);
  }
  return anyLeavesTraces(conditions);
}

bool mayHaveRows(const LEX& statement) {
  switch (statement.sql_command) {
    case SQLCOM_INSERT:
    case SQLCOM_INSERT_SELECT:
    case SQLCOM_REPLACE:
    case SQLCOM_REPLACE_SELECT:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool hasEffects(Item* condition) {
  return (condition->used_tables() & RAND_TABLE_BIT) || leavesTraces(condition);
}

bool leavesTraces(LEX& statement) {
  for (const TABLE_LIST* table = statement.query_tables; table; table = table->next_global) {
    if (table->sequence || (table->table && table->table->internal_tables)) return true;
  }
  if (statement.is_stmt_unsafe(LEX::BINLOG_STMT_UNSAFE_UDF)) return true;
  bool isAnySuspicious = false;
  for (SELECT_LEX* select = statement.all_selects_list; select; select = select->next_select_in_list()) {
    isAnySuspicious = isAnySuspicious || isSuspicious(*select);
    if (leavesTraces(*select)) return true;
  }
  if (!isAnySuspicious) return false;
  if (anyLeavesTraces(statement.value_list)) return true;
  // In other statements the list is that of the connection's last INSERT, and its memory is free.
  if (!mayHaveRows(statement)) return false;
  List_iterator_fast<List_item> rows(statement.many_values);
  while (List_item* row = rows++) {
    if (anyLeavesTraces(*row)) return true;
  }
  return false;
}

bool isQuiet(Item* condition) {
  if (condition->cols() != 1) return false;
  if (Values::isConstant(condition)) {
    const Silence silence(current_thd, condition);
    condition->val_bool();
    return !silence.wasBroken();
  }
  Item* real = condition->real_item();
  switch (real->type()) {
    case Item::COND_ITEM: {
      List_iterator_fast<Item> parts(*static_cast<Item_cond*>(real)->argument_list());
      while (Item* part = parts++) {
        if (!isQuiet(part)) return false;
      }
      return true;
    }
    case Item::FUNC_ITEM:
      return isQuietFunction(static_cast<Item_func&>(*real));
    case Item::FIELD_ITEM:
      return isQuietField(*static_cast<Item_field*>(real)->field, type_handler_double);
    default:
      return false;
  }
}

}  // namespace vamos::mariadb::program
