#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <vector>

#include "mariadb/format/codec.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// Compiles the SET of an UPDATE to programs: constants as the server stores them, and integer arithmetic.
// Returns false if the server might store something else, or warn. Overwrites the table's record.
bool compileAssignments(TABLE& table, const Codec& codec, List<Item>& fields, List<Item>& values,
                        std::vector<wire::Assignment>& assignments);

}  // namespace vamos::mariadb
