// UPDATE and DELETE that the host does by itself: their condition, values and ranges travel, and no rows.
#include <key.h>
#include <opt_range.h>
#include <sql_class.h>
#include <sql_lex.h>
#include <sql_priv.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/handler/ranges.hpp"
#include "mariadb/pushdown/assignments.hpp"
#include "mariadb/pushdown/program/compiler.hpp"
#include "mariadb/pushdown/program/values.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/session/status.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

constexpr size_t maxRanges = 4096;
constexpr size_t maxRangesBytes = 256 << 10;

bool hasOpaquePart(const IndexFormat& index) {
  return std::any_of(index.parts().begin(), index.parts().end(),
                     [](const KeyPartFormat& part) { return part.isOpaque(); });
}

bool hasColumn(const IndexFormat& index, uint32_t column) {
  return std::any_of(index.parts().begin(), index.parts().end(),
                     [column](const KeyPartFormat& part) { return part.column == column; });
}

}  // namespace

int ha_vamos::info_push(uint kind, void* info) {
  if (kind == INFO_KIND_UPDATE_VALUES) direct_.values = static_cast<List<Item>*>(info);
  return 0;
}

// The statement changes rows of this table and does nothing else.
bool ha_vamos::mayChangeDirectly() const {
  THD* thd = ha_thd();
  LEX* lex = thd->lex;
  TABLE_LIST* use = table->pos_in_table_list;
  return variables::pushesDown(thd) && lock_ == wire::Lock::EXCLUSIVE && modifies_ && !unseen_.isTable &&
         !skipsLocked_ && (lex->sql_command == SQLCOM_UPDATE || lex->sql_command == SQLCOM_DELETE) &&
         !lex->ignore && use && lex->query_tables == use && !use->next_global && !use->has_period() &&
         !table->part_info && !table->versioned() && lex->first_select_lex()->order_list.elements == 0;
}

// Makes a filter and the ranges to look at from the condition, all of which was pushed.
bool ha_vamos::planDirect() {
  direct_.request = {};
  direct_.request.table = share_->number;
  direct_.request.version = share_->version;
  direct_.findsOneRow = false;
  if (Item* limit = ha_thd()->lex->first_select_lex()->limit_params.select_limit) {
    if (!limit->const_item()) return false;
    direct_.request.limitRows = limit->val_uint();
  }
  auto* condition = const_cast<Item*>(static_cast<const Item*>(pushed_cond));
  if (!condition) return true;
  if (!ProgramCompiler(*table, *share_->codec).condition(condition, direct_.request.filter)) return false;
  const program::Silence silence(ha_thd());  // the server said it when it made its own plan
  int error = 0;
  const std::unique_ptr<SQL_SELECT> select(make_select(table, 0, 0, condition, nullptr, false, &error));
  if (!select || error || select->check_quick(ha_thd(), false, HA_POS_ERROR, Item_func::BITMAP_NONE)) {
    return false;
  }
  return !select->quick || planRanges(*select->quick);
}

bool ha_vamos::planRanges(QUICK_SELECT_I& quick) {
  std::vector<KEY_MULTI_RANGE> ranges;
  if (!rangesOf(quick, ranges) || ranges.empty() || ranges.size() > maxRanges) return false;
  const uint index = quick.index;
  direct_.request.index = share_->codec->indexOf(index);
  const bool arePoints = std::all_of(ranges.begin(), ranges.end(), [&](const KEY_MULTI_RANGE& range) {
    return (range.range_flag & EQ_RANGE) && range.start_key.keypart_map &&
           isPoint(index, range.start_key.key, range.start_key.keypart_map);
  });
  size_t bytes = 0;
  for (const KEY_MULTI_RANGE& range : ranges) {
    wire::Bounds bounds = boundsOf(index, range);
    bytes += bounds.lower.size() + bounds.upper.size();
    if (arePoints) {
      appendLengthPrefixed(direct_.request.keys, bounds.lower);
    } else {
      direct_.request.ranges.push_back(std::move(bounds));
    }
  }
  direct_.findsOneRow = arePoints && ranges.size() == 1;
  return bytes <= maxRangesBytes;
}

// The host can also change all that depends on the assigned columns.
bool ha_vamos::mayAssign() const {
  const Codec& codec = *share_->codec;
  if (table->vfield || table->check_constraints || table_share->has_update_default_function) return false;
  for (const wire::Assignment& assignment : direct_.request.assignments) {
    if (hasColumn(codec.index(direct_.request.index), assignment.column)) return false;
    if (const Field* counter = table->found_next_number_field;
        counter && codec.rows().columnOf(counter->field_index) == assignment.column) {
      return false;
    }
    for (uint index = 0; index < table_share->keys; index++) {
      const IndexFormat& format = codec.index(codec.indexOf(index));
      if (!hasColumn(format, assignment.column)) continue;
      // A refused row's values, which the message of a duplicate has, are known to the host alone.
      if ((table_share->key_info[index].flags & HA_NOSAME) || hasOpaquePart(format)) return false;
    }
  }
  return true;
}

int ha_vamos::direct_update_rows_init(List<Item>* fields) {
  List<Item>* values = std::exchange(direct_.values, nullptr);
  if (!values || !mayChangeDirectly() || !planDirect()) return HA_ERR_WRONG_COMMAND;
  if (!compileAssignments(*table, *share_->codec, *fields, *values, direct_.request.assignments) ||
      !mayAssign()) {
    return HA_ERR_WRONG_COMMAND;
  }
  return 0;
}

int ha_vamos::direct_delete_rows_init() {
  if (!mayChangeDirectly() || !planDirect()) return HA_ERR_WRONG_COMMAND;
  for (uint32_t index = 0; index < share_->codec->indexCount(); index++) {
    if (hasOpaquePart(share_->codec->index(index))) return HA_ERR_WRONG_COMMAND;
  }
  return 0;
}

int ha_vamos::direct_update_rows(ha_rows* updated, ha_rows* found) {
  direct_.request.semiConsistent =
      isSemiConsistent_ && direct_.request.index == 0 && direct_.request.keys.empty();
  wire::Changed changed;
  const int error = changeDirectly(wire::Method::UPDATE_WHERE, changed);
  if (error) return error;
  *updated = changed.changed;
  *found = changed.found;
  return 0;
}

int ha_vamos::direct_delete_rows(ha_rows* deleted) {
  wire::Changed changed;
  const int error = changeDirectly(wire::Method::DELETE_WHERE, changed);
  if (error) return error;
  *deleted = changed.found;
  countRows(-static_cast<int64_t>(changed.found));
  return 0;
}

// Raises errors, since the server does not for direct changes.
int ha_vamos::changeDirectly(uint32_t method, wire::Changed& changed) {
  const int error = session().change(method, std::move(direct_.request), direct_.findsOneRow, changed);
  countPushedChange();
  THD* thd = ha_thd();
  if (!error || thd->is_error()) return error;
  if (thd->killed) {
    thd->send_kill_message();
    return error;
  }
  if (!raiseMisfit(session().failure())) print_error(error, MYF(0));
  return error;
}

// Raises VALUE_OUT_OF_RANGE, whose detail says which column it was in which of the rows that were found.
// Returns false for other failures.
bool ha_vamos::raiseMisfit(const client::Failure& failure) const {
  if (failure.code != ErrorCode::VALUE_OUT_OF_RANGE) return false;
  Reader detail(failure.detail);
  const uint32_t column = detail.u32();
  const uint64_t row = detail.u64();
  const std::vector<ColumnFormat>& columns = share_->codec->rows().columns();
  if (detail.failed() || column >= columns.size()) return false;
  my_error(ER_WARN_DATA_OUT_OF_RANGE, MYF(0), columns[column].name.c_str(), static_cast<ulong>(row));
  return true;
}

}  // namespace vamos::mariadb
