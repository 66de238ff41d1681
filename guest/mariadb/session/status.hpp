#pragma once

#include <my_global.h>
#include <sql_class.h>

namespace vamos::mariadb {

// What SHOW STATUS LIKE 'vamos%' shows.
extern st_mysql_show_var statusVariables[];

// Counts a condition of which the host evaluates all or a part (Vamos_pushed_conditions).
void countPushedCondition();
// Counts a SELECT of one table whose aggregates the host computes (Vamos_pushed_aggregates).
void countPushedAggregates();
// Counts an UPDATE or DELETE that the host makes by itself (Vamos_pushed_changes).
void countPushedChange();

// Prints the connection, and what went over it, for SHOW ENGINE VAMOS STATUS.
bool showStatus(handlerton* hton, THD* thd, stat_print_fn* print, ha_stat_type type);

}  // namespace vamos::mariadb
