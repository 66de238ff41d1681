#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <vector>

#include "mariadb/format/codec.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// The SET of an UPDATE as programs: constants as the server stores them, and integer arithmetic. False where
// the server would store something else, or say something about it. The table's record is used on the way.
bool compileAssignments(TABLE& table, const Codec& codec, List<Item>& fields, List<Item>& values,
                        std::vector<wire::Assignment>& assignments);

}  // namespace vamos::mariadb
