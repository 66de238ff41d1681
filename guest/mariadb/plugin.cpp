// What the server finds when it loads the plugin: the engine's functions that belong to no table.
#include <log.h>
#include <mysql/plugin.h>
#include <signal.h>

#include <fstream>
#include <string>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/handler/group_by.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/lone_commits.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/session/session_watch.hpp"
#include "mariadb/session/status.hpp"
#include "mariadb/table/discovery.hpp"

namespace vamos::mariadb {

namespace {

// A transaction ends, not only a statement of it.
bool isWhole(THD* thd, bool all) {
  return all || !thd_test_options(thd, OPTION_NOT_AUTOCOMMIT | OPTION_BEGIN);
}

// The statement leaves nothing but rows: CREATE TABLE … SELECT would keep its table, if it were not told of a
// failure.
bool changesRowsOnly(THD* thd) {
  switch (thd_sql_command(thd)) {
    case SQLCOM_INSERT:
    case SQLCOM_INSERT_SELECT:
    case SQLCOM_REPLACE:
    case SQLCOM_REPLACE_SELECT:
    case SQLCOM_LOAD:
    case SQLCOM_UPDATE:
    case SQLCOM_UPDATE_MULTI:
    case SQLCOM_DELETE:
    case SQLCOM_DELETE_MULTI:
      return true;
    default:
      return false;
  }
}

int commit(handlerton*, THD* thd, bool all) {
  Session* session = Session::find(thd);
  if (!session) return 0;
  if (!isWhole(thd, all)) return session->endStatement();
  const int error = session->commit();
  // The server adds an error of its own, 1180, to one that a commit returns. Where a statement is all of the
  // transaction and its client was told why it failed, that is enough: the statement ends with that error.
  return !all && changesRowsOnly(thd) && thd->is_error() ? 0 : error;
}

int rollback(handlerton*, THD* thd, bool all) {
  Session* session = Session::find(thd);
  if (!session) return 0;
  if (isWhole(thd, all)) {
    session->rollback();
  } else {
    session->rollbackStatement();
  }
  return 0;
}

int prepare(handlerton*, THD* thd, bool all) {
  Session* session = Session::find(thd);
  if (!session) return 0;
  if (!isWhole(thd, all)) return session->endStatement();
  XID xid;
  thd_get_xid(thd, reinterpret_cast<MYSQL_XID*>(&xid));
  return session->prepare(bytesOf(xid));
}

// What the server keeps of a savepoint for this engine.
struct SavepointArea {
  uint64_t number;
};

int setSavepoint(handlerton*, THD* thd, void* area) {
  static_cast<SavepointArea*>(area)->number = Session::of(thd).setSavepoint();
  return 0;
}

int rollbackToSavepoint(handlerton*, THD* thd, void* area) {
  Session::of(thd).rollbackToSavepoint(static_cast<SavepointArea*>(area)->number);
  return 0;
}

int releaseSavepoint(handlerton*, THD* thd, void* area) {
  Session::of(thd).releaseSavepoint(static_cast<SavepointArea*>(area)->number);
  return 0;
}

// Locks outlive a rollback to a savepoint: others must not change what stands under them.
bool canReleaseMetadataLocks(handlerton*, THD* thd) { return !Session::of(thd).holdsLocks(); }

int startConsistentSnapshot(handlerton* hton, THD* thd) {
  // Elsewhere it means nothing, and InnoDB says nothing of it.
  if (thd_tx_isolation(thd) != ISO_REPEATABLE_READ) return 0;
  trans_register_ha(thd, true, hton, 0);
  return Session::of(thd).beginWithSnapshot();
}

int closeConnection(handlerton* hton, THD* thd) {
  Session* session = Session::find(thd);
  thd_set_ha_data(thd, hton, nullptr);
  delete session;
  return 0;
}

void killQuery(handlerton*, THD* thd, enum thd_kill_levels) {
  if (Session* session = Session::find(thd)) session->interrupt();
}

handler* makeHandler(handlerton* hton, TABLE_SHARE* share, MEM_ROOT* memory) {
  return new (memory) ha_vamos(hton, share);
}

// 0, or 1 and an error in the log.
int readToken(std::string& token) {
  const std::string file = variables::tokenFile();
  if (file.empty()) return 0;
  std::ifstream stream(file);
  if (std::getline(stream, token)) return 0;
  sql_print_error("VAMOS: vamos_token_file: no first line can be read from %s", file.c_str());
  return 1;
}

// The threads of the client and of the watch leave all signals to the server's.
void startThreads(handlerton* handle, client::Options options) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  startEngine(handle, std::move(options));
  startWatch();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int initialise(void* argument) {
  client::Options options = variables::clientOptions();
  if (readToken(options.token)) return 1;
  auto* const handle = static_cast<handlerton*>(argument);
  startThreads(handle, std::move(options));

  handle->flags = HTON_SUPPORTS_EXTENDED_KEYS;
  handle->create = makeHandler;
  handle->close_connection = closeConnection;
  handle->kill_query = killQuery;
  handle->commit = commit;
  handle->rollback = rollback;
  handle->prepare = prepare;
  handle->recover = recover;
  handle->commit_by_xid = commitByXid;
  handle->rollback_by_xid = rollbackByXid;
  handle->savepoint_offset = sizeof(SavepointArea);
  handle->savepoint_set = setSavepoint;
  handle->savepoint_rollback = rollbackToSavepoint;
  handle->savepoint_release = releaseSavepoint;
  handle->savepoint_rollback_can_release_mdl = canReleaseMetadataLocks;
  handle->start_consistent_snapshot = startConsistentSnapshot;
  handle->prepare_for_backup = prepareForBackup;
  handle->end_backup = endBackup;
  handle->show_status = showStatus;
  handle->create_group_by = createGroupBy;
  setDiscovery(handle);
  return 0;
}

int finish(void*) {
  finishPrepared();
  if (const size_t count = unfinishedPrepared()) {
    sql_print_warning("VAMOS: %zu prepared transactions wait for the host daemon to be back", count);
  }
  stopWatch();
  stopEngine();
  return 0;
}

st_mysql_storage_engine interface = {MYSQL_HANDLERTON_INTERFACE_VERSION};

}  // namespace

}  // namespace vamos::mariadb

maria_declare_plugin(vamos){
    MYSQL_STORAGE_ENGINE_PLUGIN,
    &vamos::mariadb::interface,
    "VAMOS",
    "The VAMOS authors",
    "Tables kept on the host of this virtual machine",
    PLUGIN_LICENSE_GPL,
    vamos::mariadb::initialise,
    vamos::mariadb::finish,
    VAMOS_SHORT_VERSION,
    vamos::mariadb::statusVariables,
    vamos::mariadb::variables::all,
    VAMOS_VERSION,
    MariaDB_PLUGIN_MATURITY_GAMMA,
} maria_declare_plugin_end;
