#pragma once

#include <my_global.h>
#include <sql_class.h>

namespace vamos::mariadb {

// SHOW STATUS LIKE 'vamos%'.
extern st_mysql_show_var statusVariables[];

// SHOW ENGINE VAMOS STATUS: the connection, and what went over it.
bool showStatus(handlerton* hton, THD* thd, stat_print_fn* print, ha_stat_type type);

}  // namespace vamos::mariadb
