#pragma once

#include <handler.h>
#include <my_global.h>
#include <sql_class.h>

namespace vamos::mariadb {

// The handlerton's function create_group_by. It takes a query of one table that is answered by COUNT, SUM,
// MIN, MAX and AVG over its rows, and by one row at most. For others it returns nullptr, and the server reads
// the rows itself.
group_by_handler* createGroupBy(THD* thd, Query* query);

}  // namespace vamos::mariadb
