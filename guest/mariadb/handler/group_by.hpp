#pragma once

#include <handler.h>
#include <my_global.h>
#include <sql_class.h>

namespace vamos::mariadb {

// handlerton::create_group_by: a query of one table that is answered by COUNT, SUM, MIN, MAX and AVG over its
// rows, and by no more rows than one. Nothing: the server reads the rows itself.
group_by_handler* createGroupBy(THD* thd, Query* query);

}  // namespace vamos::mariadb
