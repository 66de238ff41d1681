#pragma once

#include <my_global.h>
#include <sql_class.h>

namespace vamos::mariadb {

// SHOW STATUS LIKE 'vamos%'.
extern st_mysql_show_var statusVariables[];

// Vamos_pushed_conditions: conditions of which the host evaluates all or a part.
void countPushedCondition();
// Vamos_pushed_aggregates: SELECTs of one table whose aggregates the host computes.
void countPushedAggregates();
// Vamos_pushed_changes: UPDATEs and DELETEs that the host does by itself.
void countPushedChange();

// SHOW ENGINE VAMOS STATUS: the connection, and what went over it.
bool showStatus(handlerton* hton, THD* thd, stat_print_fn* print, ha_stat_type type);

}  // namespace vamos::mariadb
