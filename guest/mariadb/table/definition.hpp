#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <string>
#include <string_view>

#include "mariadb/format/codec.hpp"
#include "mariadb/session/session.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// What the host is told of a table. `image`: the .frm's bytes, kept for discovery.
wire::Definition definitionOf(const TABLE& table, const Codec& codec, std::string name, std::string image);

// Tables that come and go with statements of their own, known by their paths only.
bool isTemporaryName(std::string_view name);
bool isPartitionName(std::string_view name);

// Whether the host's table is the one that the .frm describes: of the same version, and with as many columns
// and indexes. Partitions and temporary tables have no version of their own.
bool isSameDefinition(const TABLE_SHARE& share, const Codec& codec, const wire::Definition& host);

// On the connection's stream, or on one of its own where that has a transaction, open or dead: for temporary
// tables, and where CREATE TABLE … SELECT fails. 0, or an error of handler.h.
int callDefinition(Session& session, uint32_t method, std::string body);

// In the path of a table that was dropped within a transaction, until that ends; its number follows.
constexpr std::string_view droppedName = "/#sql-dropped-";

// Drops the temporary and dropped tables of servers that crashed, once in this server's life.
void dropLeftovers(Session& session);

}  // namespace vamos::mariadb
