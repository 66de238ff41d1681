// Conditions that the host evaluates beside a read, so that only rows for which they hold travel.
#include <opt_range.h>
#include <sql_class.h>
#include <sql_priv.h>
#include <sql_select.h>

#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/pushdown/program/compiler.hpp"
#include "mariadb/session/status.hpp"

namespace vamos::mariadb {
namespace {

// What the server evaluates for each row of the table in a join; null: not known, or there is none.
COND* evaluatedCondition(const TABLE& table) {
  const JOIN_TAB* use = table.reginfo.join_tab;
  return use && use->table == &table ? use->select_cond : nullptr;
}

}  // namespace

// The server evaluates the condition again; parts of it that can't be compiled are its own. Constants of a
// statement are evaluated here, and rows of other tables are none. A later condition takes an earlier one's
// place: both hold for what is read from now on.
const COND* ha_vamos::cond_push(const COND* condition) {
  filter_.clear();
  if (!variables::pushesDown(ha_thd()) || unseen_.isTable) return condition;
  // Its warnings have the numbers of the rows that the server looked at.
  const LEX* lex = ha_thd()->lex;
  if (lex->ignore && lex->sql_command == SQLCOM_UPDATE) return condition;
  // Where rows are changed or variables set, a warning may be an error, and is counted. Of rows that a SELECT
  // doesn't give, nobody wants to know.
  const Spared spared = lex->sql_command == SQLCOM_SELECT ? Spared::WARNINGS : Spared::NOTHING;
  const ProgramCompiler compiler(*table, *share_->codec);
  auto* pushed = const_cast<COND*>(condition);
  COND* evaluated = evaluatedCondition(*table);
  // The one that is pushed may leave out what reads other tables, and stand in another order.
  const bool isInPart = evaluated && evaluated != pushed && !compiler.maySpare(evaluated, spared);
  const bool isWhole = compiler.conditionInPart(isInPart ? evaluated : pushed, spared, filter_);
  if (!filter_.empty()) countPushedCondition();
  return isWhole && !isInPart && !filter_.empty() ? nullptr : condition;
}

void ha_vamos::cond_pop() { filter_.clear(); }

// The server doesn't evaluate this one again.
Item* ha_vamos::idx_cond_push(uint index, Item* condition) {
  indexFilter_.clear();
  if (!variables::pushesDown(ha_thd())) return condition;
  const ProgramCompiler compiler(*table, *share_->codec);
  if (!compiler.condition(condition, indexFilter_)) return condition;
  countPushedCondition();
  pushed_idx_cond = condition;
  pushed_idx_cond_keyno = index;
  return nullptr;
}

// What the rows of a read have to fulfil. A loose index scan goes from group to group by keys, whatever the
// rows behind them are: it reads all.
std::string ha_vamos::filter() const {
  const bool hasIndexFilter = pushed_idx_cond && inited == INDEX && pushed_idx_cond_keyno == active_index;
  if (!hasIndexFilter && filter_.empty()) return {};
  const JOIN_TAB* use = table->reginfo.join_tab;
  const QUICK_SELECT_I* quick = use && use->table == table && use->select ? use->select->quick : nullptr;
  const bool isLoose =
      quick && const_cast<QUICK_SELECT_I*>(quick)->get_type() == QUICK_SELECT_I::QS_TYPE_GROUP_MIN_MAX;
  if (!hasIndexFilter) return isLoose ? std::string() : filter_;
  if (filter_.empty() || isLoose) return indexFilter_;
  std::string both = filter_;
  both.append(indexFilter_).push_back(static_cast<char>(Instruction::AND));
  return both.size() <= maxProgramBytes ? both : indexFilter_;
}

}  // namespace vamos::mariadb
