#include "mariadb/handler/group_by.hpp"

#include <opt_range.h>
#include <sql_select.h>

#include <utility>
#include <vector>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/handler/ranges.hpp"
#include "mariadb/pushdown/aggregate.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/session/status.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

// What the optimizer chose to read, if that is one range of one index: in its order, as sums of doubles and
// the first of equal strings depend on it.
bool isOneRange(const JOIN_TAB& plan) {
  if (plan.use_quick == 2 || plan.filesort) return false;
  QUICK_SELECT_I* quick = plan.select ? plan.select->quick : plan.quick;
  switch (plan.type) {
    case JT_ALL: {
      if (!quick) return true;
      std::vector<KEY_MULTI_RANGE> ranges;
      return rangesOf(*quick, ranges) && ranges.size() == 1;
    }
    case JT_NEXT:
      return !quick;
    case JT_REF:
    case JT_EQ_REF:
      return !quick && plan.ref.depend_map == 0;
    default:
      return false;
  }
}

// What the server evaluates for each row that the plan reads. It takes a row that it looked up by a key for
// equal, where the key may hold less digits than the constant.
Item* evaluated(const JOIN_TAB& plan, const Query& query) {
  if (plan.type != JT_REF && plan.type != JT_EQ_REF) return query.where;
  return plan.pre_idx_push_select_cond ? plan.pre_idx_push_select_cond : plan.select_cond;
}

// Executes one query whose functions the host computes.
class GroupBy final : public group_by_handler {
 public:
  GroupBy(THD* thd, JOIN& join)
      : group_by_handler(thd, engine().handle), join_(join), plan_(join.join_tab[0]) {}

  // Returns false if the query can't be left to the host.
  bool compile(const Query& query);

  int init_scan() override {
    isDone_ = false;
    return 0;
  }
  int next_row() override;
  int end_scan() override { return 0; }
  void print_error(int error, myf flags) override;

 private:
  ha_vamos& file() const { return *static_cast<ha_vamos*>(plan_.table->file); }
  bool takes(Item& item);
  // The item is a constant, or is made of constants and functions that the host computes.
  bool isOfFunctions(Item& item) const;
  int take(std::string_view answer);

  JOIN& join_;
  JOIN_TAB& plan_;
  std::string filter_;
  std::vector<Aggregation> aggregations_;
  bool isDone_ = false;
};

bool GroupBy::takes(Item& item) {
  if (item.type() != Item::SUM_FUNC_ITEM || item.const_item()) return true;
  std::optional<Aggregation> aggregation =
      Aggregation::make(static_cast<Item_sum&>(item), *plan_.table, *file().sharedTable().codec);
  if (!aggregation) return false;
  aggregations_.push_back(std::move(*aggregation));
  return true;
}

bool GroupBy::isOfFunctions(Item& item) const {
  if (item.const_item()) return true;
  switch (item.type()) {
    case Item::SUM_FUNC_ITEM:
      for (const Aggregation& aggregation : aggregations_) {
        if (&aggregation.item() == &item) return true;
      }
      return false;
    case Item::REF_ITEM:
      return item.real_item() != &item && isOfFunctions(*item.real_item());
    case Item::FUNC_ITEM: {
      const auto& function = static_cast<Item_func&>(item);
      for (uint place = 0; place < function.argument_count(); place++) {
        if (!isOfFunctions(*function.arguments()[place])) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

bool GroupBy::compile(const Query& query) {
  if (Item* condition = evaluated(plan_, query)) {
    const ProgramCompiler compiler(*plan_.table, *file().sharedTable().codec);
    if (!compiler.condition(condition, filter_)) return false;
  }
  List_iterator_fast<Item> functions(*query.select);
  while (Item* item = functions++) {
    if (!takes(*item)) return false;
  }
  List_iterator_fast<Item> items(*query.select);
  while (Item* item = items++) {
    if (!isOfFunctions(*item)) return false;
  }
  size_t codeBytes = 0;
  for (const Aggregation& aggregation : aggregations_) codeBytes += aggregation.request().value.size();
  return !aggregations_.empty() && aggregations_.size() <= maxAggregates &&
         codeBytes <= maxAggregateProgramBytes;
}

int GroupBy::next_row() {
  if (isDone_) return HA_ERR_END_OF_FILE;
  isDone_ = true;
  wire::OpenCursor request;
  request.filter = filter_;
  for (const Aggregation& aggregation : aggregations_) request.aggregates.push_back(aggregation.request());
  if (const int error = file().boundPlan(plan_, request)) return error;
  Reply reply;
  std::string_view answer;
  if (const int error = file().readAggregates(std::move(request), reply, answer)) return error;
  if (const int error = take(answer)) return error;
  // The server would send what stands in the fields of a temporary table, which are rounded and may be of
  // other types than its answer: the items themselves have the results.
  join_.fields = &join_.fields_list;
  join_.set_items_ref_array(join_.items0);
  thd->limit_found_rows = 1;  // FOUND_ROWS(), which the server's own end of a query would set
  return 0;
}

int GroupBy::take(std::string_view answer) {
  Reader reader(answer);
  for (Aggregation& aggregation : aggregations_) {
    if (const int error = aggregation.take(thd, reader)) return error;
  }
  return reader.failed() || !reader.atEnd() ? HA_ERR_INTERNAL_ERROR : 0;
}

void GroupBy::print_error(int error, myf flags) {
  if (thd->killed) return thd->send_kill_message();
  file().print_error(error, flags);
}

// The query only reads rows, as they are, from one table.
bool isSimple(THD* thd, const Query& query) {
  TABLE* table = query.from ? query.from->table : nullptr;
  if (!table || query.from->next_local || table->file->ht != engine().handle || table->part_info ||
      !variables::pushesDown(thd)) {
    return false;
  }
  const JOIN* join = table->reginfo.join_tab ? table->reginfo.join_tab->join : nullptr;
  if (!join || &join->all_fields != query.select || join->join_tab != table->reginfo.join_tab) return false;
  SELECT_LEX* select = join->select_lex;
  const Item_subselect* subquery = select->master_unit()->item;
  return join->table_count == 1 && join->const_tables == 0 && join->top_join_tab_count == 1 &&
         join->implicit_grouping && !join->group_optimized_away && !query.group_by && !query.having &&
         !query.distinct && !join->procedure && !join->exec_const_cond && !join->outer_ref_cond &&
         !join->pseudo_bits_cond && select->olap == UNSPECIFIED_OLAP_TYPE && !select->have_window_funcs() &&
         !(select->uncacheable & (UNCACHEABLE_DEPENDENT | UNCACHEABLE_RAND | UNCACHEABLE_SIDEEFFECT)) &&
         (!subquery || const_cast<Item_subselect*>(subquery)->substype() == Item_subselect::SINGLEROW_SUBS) &&
         !thd->lex->with_rownum && !thd->lex->limit_rows_examined;
}

}  // namespace

group_by_handler* createGroupBy(THD* thd, Query* query) {
  if (!isSimple(thd, *query)) return nullptr;
  JOIN_TAB& plan = *query->from->table->reginfo.join_tab;
  if (!static_cast<ha_vamos*>(plan.table->file)->mayAggregate() || !isOneRange(plan)) return nullptr;
  auto made = std::make_unique<GroupBy>(thd, *plan.join);
  if (!made->compile(*query)) return nullptr;
  query->order_by = nullptr;  // one row needs none
  return made.release();
}

// A plan's bounds, whose keys are known when it is carried out.
int ha_vamos::boundPlan(JOIN_TAB& plan, wire::OpenCursor& request) const {
  QUICK_SELECT_I* quick = plan.select ? plan.select->quick : plan.quick;
  if (plan.type == JT_ALL && quick) {
    std::vector<KEY_MULTI_RANGE> ranges;
    if (!rangesOf(*quick, ranges) || ranges.size() != 1) return HA_ERR_INTERNAL_ERROR;
    request.index = share_->codec->indexOf(quick->index);
    request.bounds = boundsOf(quick->index, ranges[0]);
  } else if (plan.type == JT_NEXT) {
    request.index = share_->codec->indexOf(plan.index);
  } else if (plan.type == JT_REF || plan.type == JT_EQ_REF) {
    if (cp_buffer_from_ref(ha_thd(), table, &plan.ref)) return HA_ERR_INTERNAL_ERROR;
    const auto index = static_cast<uint>(plan.ref.key);
    request.index = share_->codec->indexOf(index);
    request.bounds.hasLower = request.bounds.hasUpper = true;
    share_->codec->encodeSearchKey(index, plan.ref.key_buff, make_prev_keypart_map(plan.ref.key_parts),
                                   request.bounds.lower);
    request.bounds.upper = request.bounds.lower;
  }
  return 0;
}

// Locks that rows take as they are read would stay on all of them.
bool ha_vamos::mayAggregate() const { return lock_ == wire::Lock::NONE && !modifies_ && !unseen_.isTable; }

int ha_vamos::readAggregates(wire::OpenCursor request, Reply& reply, std::string_view& answer) {
  const bool alone = isAllOfStatement() && session().readsAlone();
  request.table = share_->number;
  request.version = share_->version;
  request.scope = readScope(alone);
  const int error = alone
                        ? session().callAlone(wire::Method::OPEN_CURSOR, request.encode(), reply, Work::LONG)
                        : session().call(wire::Method::OPEN_CURSOR, request.encode(), reply, Work::LONG);
  if (error) return error;
  countPushedAggregates();
  wire::Rows rows;
  if (!wire::Rows::decode(reply.body, rows)) return HA_ERR_INTERNAL_ERROR;
  Reader reader(rows.window);
  answer = reader.lengthPrefixed(maxRowBytes);
  return reader.failed() || !reader.atEnd() ? HA_ERR_INTERNAL_ERROR : 0;
}

}  // namespace vamos::mariadb
