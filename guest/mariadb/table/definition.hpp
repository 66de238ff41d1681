#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <string>
#include <string_view>

#include "mariadb/format/codec.hpp"
#include "mariadb/session/session.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// Returns the definition that the host gets of a table. `image`: the bytes of the .frm, which the host keeps
// for discovery.
wire::Definition definitionOf(const TABLE& table, const Codec& codec, std::string name, std::string image);

// The host's name of a temporary table is its path. That of a partition has the table's name in it.
bool isTemporaryName(std::string_view name);
bool isPartitionName(std::string_view name);

// The host's table is the one that the .frm describes: it has the same version, and as many columns and
// indexes. Partitions and temporary tables have no version of their own.
bool isSameDefinition(const TABLE_SHARE& share, const Codec& codec, const wire::Definition& host);

// Sends a request that changes a definition, on the connection's stream. If a transaction is open there, or
// must be rolled back, the request gets a stream of its own: a temporary table may come and go within a
// transaction, and CREATE TABLE … SELECT drops its table if it fails. Returns 0, or an error of handler.h.
int callDefinition(Session& session, uint32_t method, std::string body);

// A table that is dropped within a transaction is renamed to a path with this in it and a number behind it,
// until the transaction ends.
constexpr std::string_view droppedName = "/#sql-dropped-";

// Drops temporary and renamed tables that a crash of a server has left. Only the first call does so.
void dropLeftovers(Session& session);

}  // namespace vamos::mariadb
