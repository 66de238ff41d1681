#include "mariadb/table/definition.hpp"

#include <mysqld.h>
#include <sql_type_json.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/table/table.hpp"

namespace vamos::mariadb {
namespace {

constexpr size_t versionBytes = 16;  // a UUID

// Returns the type as SHOW COLUMNS shows it (but json for JSON, which the server keeps as LONGTEXT with a
// check), with the collation, and with a note if the server computes the value.
std::string typeOf(const Field& field) {
  StringBuffer<256> text(system_charset_info);
  if (Type_handler_json_common::has_json_valid_constraint(&field)) {
    text.append(STRING_WITH_LEN("json"));
  } else {
    field.sql_type(text);
  }
  std::string type = "mariadb:" + std::string(text.ptr(), text.length());
  if (field.has_charset()) {
    const LEX_CSTRING& collation = field.charset()->coll_name;
    type += " collate " + std::string(collation.str, collation.length);
  }
  if (field.vcol_info != nullptr) type += " generated";
  return type;
}

// Says what an index of the host is called, and whether the host checks that it is unique.
void nameIndex(const KEY& key, wire::Index& index) {
  index.name.assign(key.name.str, key.name.length);
  index.unique = (key.flags & HA_NOSAME) != 0 && key.algorithm != HA_KEY_ALG_LONG_HASH;
}

wire::KeyPart partOf(const KeyPartFormat& format) {
  wire::KeyPart part;
  part.column = format.column;
  part.descending = format.isDescending;
  part.opaque = format.isOpaque();
  if (part.opaque && format.isPrefix) part.prefixCharacters = format.maxCharacters;
  // A prefix of bytes counts as one level without a pad weight.
  if (part.opaque) {
    part.levels = format.coding == KeyCoding::SORT_KEY ? format.sortKey.levels() : std::string(1, '\0');
  }
  return part;
}

// Returns the version in the image of a .frm, which is the first of its extra segments of kind 0; empty:
// there is none.
std::string_view versionIn(std::string_view image) {
  constexpr size_t headerBytes = 64;
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(image[at]); };
  if (image.size() < headerBytes) return {};
  const size_t end = std::min<size_t>(image.size(), headerBytes + byte(4) + 256 * byte(5));
  for (size_t at = headerBytes; at + 2 <= end && byte(at) != '/';) {
    const uint8_t kind = byte(at);
    size_t length = byte(at + 1);
    at += 2;
    if (length == 0) {
      if (at + 2 > end) return {};
      length = byte(at) + 256 * byte(at + 1);
      at += 2;
    }
    if (length > end - at) return {};
    if (kind == 0) return length == versionBytes ? image.substr(at, length) : std::string_view{};
    at += length;
  }
  return {};
}

std::atomic<bool> haveLeftovers{true};

}  // namespace

wire::Definition definitionOf(const TABLE& table, const Codec& codec, std::string name, std::string image) {
  const TABLE_SHARE& share = *table.s;
  wire::Definition definition;
  definition.name = std::move(name);
  definition.detail = std::move(image);
  const uint32_t hidden = codec.rows().hiddenColumn();
  for (const ColumnFormat& format : codec.rows().columns()) {
    wire::Column& column = definition.columns.emplace_back();
    column.name = format.name;
    column.kind = format.kind;
    column.nullable = format.nullMask != 0;
    if (format.kind == ColumnKind::FIXED || format.kind == ColumnKind::BYTES) {
      column.widthBytes = format.widthBytes;
    }
    if (format.storage != Storage::HIDDEN) column.type = typeOf(*table.field[format.field]);
  }
  definition.indexes.resize(codec.indexCount());
  if (codec.hasHiddenKey()) definition.indexes[0] = {"PRIMARY", true, {{.column = hidden}}};
  for (uint number = 0; number < share.keys; number++) {
    const uint32_t hostIndex = codec.indexOf(number);
    wire::Index& index = definition.indexes[hostIndex];
    nameIndex(share.key_info[number], index);
    for (const KeyPartFormat& part : codec.index(hostIndex).parts()) index.parts.push_back(partOf(part));
  }
  if (codec.hasHiddenKey()) {
    // There is one counter. If the table has an auto-increment column, too, hidden keys are made of its
    // values.
    definition.autoIncrement = static_cast<int32_t>(hidden) + 1;
  } else if (share.found_next_number_field != nullptr) {
    const Field& field = **share.found_next_number_field;
    definition.autoIncrement = static_cast<int32_t>(codec.rows().columnOf(field.field_index)) + 1;
  }
  return definition;
}

bool isTemporaryName(std::string_view name) { return name.starts_with('/'); }

bool isPartitionName(std::string_view name) {
  return name.find("#P#") != std::string_view::npos || name.find("#p#") != std::string_view::npos;
}

bool isSameDefinition(const TABLE_SHARE& share, const Codec& codec, const wire::Definition& host) {
  if (host.columns.size() != codec.rows().columns().size() || host.indexes.size() != codec.indexCount()) {
    return false;
  }
  if (isPartitionName(host.name)) return true;  // it may have been a table of its own, by EXCHANGE PARTITION
  const std::string_view version = versionIn(host.detail);
  if (version.empty() || share.tabledef_version.length != versionBytes) return true;
  return std::memcmp(version.data(), share.tabledef_version.str, versionBytes) == 0;
}

int callDefinition(Session& session, uint32_t method, std::string body) {
  if (!session.isOpenOnHost() && !session.mustRollBack()) {
    Reply reply;
    return session.callAlone(method, std::move(body), reply);
  }
  const uint32_t stream = host().openStream();
  client::CallOptions options;
  options.timeoutMs = variables::requestTimeoutMs(session.thd());
  const client::CallPointer call = host().send(stream, {{method, std::move(body)}}, options);
  const bool isDone = host().wait(call);
  host().sendLater(stream, {{wire::Method::CLOSE_STREAM, {}}});
  return isDone ? 0 : errorOf(client::failureOf(call));
}

void dropLeftovers(Session& session) {
  if (!haveLeftovers.exchange(false)) return;
  const std::string prefix = std::string(mysql_tmpdir) + "/#sql";
  std::vector<std::string> leftovers;
  wire::ListTables request;
  wire::TableList list;
  do {
    Reply reply;
    if (session.callAlone(wire::Method::LIST_TABLES, request.encode(), reply) != 0 ||
        !wire::TableList::decode(reply.body, list)) {
      haveLeftovers = true;
      return;
    }
    for (const wire::TableInfo& table : list.tables) {
      const std::string& name = table.definition.name;
      const bool isDropped = name.find(droppedName) != std::string::npos;
      if (isDropped || name.starts_with(prefix)) leftovers.push_back(name);
      request.after = table.table;
    }
  } while (list.hasMore && !list.tables.empty());
  for (const std::string& name : leftovers) {
    callDefinition(session, wire::Method::DROP_TABLE, wire::TableName{name}.encode());
  }
}

}  // namespace vamos::mariadb
