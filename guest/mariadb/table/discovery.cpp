#include "mariadb/table/discovery.hpp"

#include <my_global.h>
#include <sql_class.h>
#include <sql_table.h>

#include <string>
#include <string_view>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/definition.hpp"
#include "mariadb/table/table.hpp"

namespace vamos::mariadb {
namespace {

using wire::Method;

// Statements on tables of other engines call these functions, too, and must not wait for an absent host.
bool isHostThere() {
  client::Failure failure;
  return host().connect(0, failure) != 0;
}

// Calls `use` with each of the host's tables in a database, by the names in the path. Returns false if they
// can't be listed.
template <typename Use>
bool forEachTable(Session& session, std::string_view database, Use use) {
  const std::string prefix = std::string(database) + "/";
  wire::ListTables request;
  wire::TableList list;
  do {
    Reply reply;
    if (session.callAlone(Method::LIST_TABLES, request.encode(), reply) != 0) return false;
    if (!wire::TableList::decode(reply.body, list)) return false;
    for (const wire::TableInfo& table : list.tables) {
      const std::string& name = table.definition.name;
      if (name.starts_with(prefix)) use(name.substr(prefix.size()));
      request.after = table.table;
    }
  } while (list.hasMore && !list.tables.empty());
  return true;
}

std::string inPath(const char* name) {
  char encoded[FN_REFLEN];
  const uint length = tablename_to_filename(name, encoded, sizeof encoded);
  return {encoded, length};
}

int openOnHost(Session& session, const std::string& name, wire::TableInfo& info) {
  Reply reply;
  const int error = session.callAlone(Method::OPEN_TABLE, wire::TableName{name}.encode(), reply);
  if (error != 0) return error;
  return wire::TableInfo::decode(reply.body, info) ? 0 : HA_ERR_INTERNAL_ERROR;
}

int discoverTable(handlerton*, THD* thd, TABLE_SHARE* share) {
  if (!isHostThere()) return HA_ERR_NO_SUCH_TABLE;
  Session& session = Session::of(thd);
  wire::TableInfo info;
  const int error = openOnHost(session, hostName(share->normalized_path.str), info);
  if (error == HA_ERR_NO_SUCH_TABLE) return error;
  if (error != 0) {
    raiseError(thd, error, session.failure());
    return HA_ERR_GENERIC;
  }
  const std::string& image = info.definition.detail;
  if (image.empty()) {
    my_printf_error(ER_UNSUPPORTED_EXTENSION,
                    "table %s was made on the host by another connector, without a definition for MariaDB",
                    MYF(0), info.definition.name.c_str());
    return HA_ERR_GENERIC;
  }
  return share->init_from_binary_frm_image(thd, true, reinterpret_cast<const uchar*>(image.data()),
                                           image.size());
}

int discoverTableNames(handlerton*, LEX_CSTRING* database, MY_DIR*, handlerton::discovered_list* result) {
  THD* thd = current_thd;
  if (thd == nullptr || !isHostThere()) return 0;
  bool isFull = false;
  forEachTable(Session::of(thd), inPath(database->str), [&](const std::string& table) {
    if (table.starts_with("#sql") || isPartitionName(table)) return;
    isFull = isFull || result->add_file(table.c_str());
  });
  return isFull ? 1 : 0;
}

int discoverTableExistence(handlerton*, const char* database, const char* table) {
  THD* thd = current_thd;
  if (thd == nullptr || !isHostThere()) return 0;
  wire::TableInfo info;
  return openOnHost(Session::of(thd), inPath(database) + "/" + inPath(table), info) == 0 ? 1 : 0;
}

// Drops what DROP DATABASE has not dropped one by one: work tables of statements that a crash has ended.
void dropDatabase(handlerton*, char* path) {
  THD* thd = current_thd;
  if (thd == nullptr || !isHostThere()) return;
  std::string database = hostName(path);
  while (database.ends_with('/')) database.pop_back();
  Session& session = Session::of(thd);
  std::vector<std::string> names;
  forEachTable(session, database, [&](const std::string& table) { names.push_back(database + "/" + table); });
  for (const std::string& name : names) {
    Reply reply;
    session.callAlone(Method::DROP_TABLE, wire::TableName{name}.encode(), reply);
  }
}

}  // namespace

void setDiscovery(handlerton* hton) {
  hton->discover_table = discoverTable;
  hton->discover_table_names = discoverTableNames;
  hton->discover_table_existence = discoverTableExistence;
  hton->drop_database = dropDatabase;
}

}  // namespace vamos::mariadb
