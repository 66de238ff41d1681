#include "mariadb/engine/variables.hpp"

#include <mysql/plugin.h>
#include <set_var.h>
#include <sys_vars_shared.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace vamos::mariadb::variables {

namespace {

char* channelValue;
char* tokenFileValue;
uint connectTimeoutMsValue;
uint recoveryTimeoutValue;
uint gatherUsValue;
uint pingIntervalMsValue;
ulong replyWindowBytesValue;
ulong writeBufferBytesValue;

constexpr int atStart = PLUGIN_VAR_RQCMDARG | PLUGIN_VAR_READONLY;

MYSQL_SYSVAR_STR(
    channel, channelValue, atStart,
    "Where the host daemon is: virtio-serial:NAME of a port of this virtual machine, unix:PATH, or "
    "vsock:CID:PORT",
    nullptr, nullptr, "virtio-serial:vamos.0");
MYSQL_SYSVAR_STR(token_file, tokenFileValue, atStart,
                 "File whose first line is the token that the host daemon asks for, if it does", nullptr,
                 nullptr, "");
MYSQL_SYSVAR_UINT(connect_timeout_ms, connectTimeoutMsValue, PLUGIN_VAR_RQCMDARG,
                  "How long a statement waits for the host daemon to be there (ms)", nullptr, nullptr, 5000,
                  1, 3600000, 0);
MYSQL_SYSVAR_UINT(recovery_timeout, recoveryTimeoutValue, atStart,
                  "How long the start of a server with a binary log waits for the host daemon, to end the "
                  "transactions that a crash left prepared (s)",
                  nullptr, nullptr, 60, 0, 86400, 0);
MYSQL_SYSVAR_UINT(
    gather_us, gatherUsValue, atStart,
    "While a frame is unanswered, requests of all connections gather, to go together when its answers are "
    "there, or so long after it at the latest (us); 0: each goes immediately, while fewer frames are under "
    "way "
    "than the host daemon allows",
    nullptr, nullptr, 1000, 0, 100000, 0);
MYSQL_SYSVAR_UINT(
    ping_interval_ms, pingIntervalMsValue, atStart,
    "While answers are awaited, how often the host daemon is asked for a sign of life (ms); after three "
    "without any the session ends",
    nullptr, nullptr, 5000, 10, 3600000, 0);
MYSQL_SYSVAR_ULONG(reply_window_bytes, replyWindowBytesValue, atStart,
                   "Bytes of replies that the host daemon may have under way", nullptr, nullptr, 16UL << 20,
                   128UL << 10, 1UL << 30, 0);
MYSQL_SYSVAR_ULONG(
    write_buffer_bytes, writeBufferBytesValue, PLUGIN_VAR_RQCMDARG,
    "Bytes of rows that a connection gathers before it sends them; at most half of what the host takes "
    "in a frame",
    nullptr, nullptr, 2UL << 20, 4096, 256UL << 20, 0);

const char* durabilityNames[] = {"synced", "written", "memory", NullS};
TYPELIB durabilities = {array_elements(durabilityNames) - 1, "", durabilityNames, nullptr};

MYSQL_THDVAR_ENUM(
    durability, PLUGIN_VAR_RQCMDARG,
    "What a commit waits for: synced, the host's disk has it; written, the host's kernel has it (lost "
    "with the host's power); memory, the host daemon has it (lost with the daemon). As "
    "innodb_flush_log_at_trx_commit = 1, 2, 0",
    nullptr, nullptr, 0, &durabilities);
MYSQL_THDVAR_UINT(request_timeout_ms, PLUGIN_VAR_RQCMDARG,
                  "How long the host daemon may take for one request (ms); lock waits have their own time",
                  nullptr, nullptr, 30000, 1, 86400000, 0);
MYSQL_THDVAR_INT(
    lock_wait_timeout, PLUGIN_VAR_RQCMDARG,
    "How long a statement waits for a row lock before it fails (s); 0: not at all; -1: as long as "
    "innodb_lock_wait_timeout says",
    nullptr, nullptr, -1, -1, 1000000, 0);
MYSQL_THDVAR_BOOL(
    pushdown, PLUGIN_VAR_OPCMDARG,
    "The host evaluates conditions and aggregate functions, and makes changes, where its answer is "
    "exactly the server's",
    nullptr, nullptr, true);
MYSQL_THDVAR_UINT(window_bytes, PLUGIN_VAR_RQCMDARG, "Bytes of rows that come with the start of a scan",
                  nullptr, nullptr, 16384, 1024, 16 << 20, 0);
MYSQL_THDVAR_UINT(max_window_bytes, PLUGIN_VAR_RQCMDARG,
                  "Bytes of rows that come with one request as a long scan goes on", nullptr, nullptr,
                  1 << 20, 1024, 16 << 20, 0);

constexpr uint64_t mostLockWaitSeconds = 1000000;

// Returns the connection's value; in a server without InnoDB 50, which is the default.
uint64_t innodbLockWaitSeconds(THD* thd) {
  // InnoDB is part of the server and stays in it, so its variable stays where it is.
  static sys_var* const variable = [] {
    constexpr std::string_view name = "innodb_lock_wait_timeout";
    mysql_prlock_rdlock(&LOCK_system_variables_hash);
    sys_var* const found = intern_find_sys_var(name.data(), name.size());
    mysql_prlock_unlock(&LOCK_system_variables_hash);
    return found;
  }();
  if (variable == nullptr) return 50;
  bool isNull = false;
  return static_cast<uint64_t>(variable->val_int(&isNull, thd, OPT_SESSION, &null_clex_str));
}

// The statement has WAIT n or NOWAIT, as SELECT … FOR UPDATE may.
bool statementSaysHowLong(THD* thd) {
  List_iterator_fast<set_var_base> iterator(thd->lex->stmt_var_list);
  while (set_var_base* assignment = iterator++) {
    if (!assignment->is_system()) continue;
    if (!std::strcmp(static_cast<set_var*>(assignment)->var->name.str, "lock_wait_timeout")) return true;
  }
  return false;
}

}  // namespace

st_mysql_sys_var* all[] = {MYSQL_SYSVAR(channel),
                           MYSQL_SYSVAR(token_file),
                           MYSQL_SYSVAR(connect_timeout_ms),
                           MYSQL_SYSVAR(request_timeout_ms),
                           MYSQL_SYSVAR(lock_wait_timeout),
                           MYSQL_SYSVAR(recovery_timeout),
                           MYSQL_SYSVAR(ping_interval_ms),
                           MYSQL_SYSVAR(gather_us),
                           MYSQL_SYSVAR(reply_window_bytes),
                           MYSQL_SYSVAR(write_buffer_bytes),
                           MYSQL_SYSVAR(window_bytes),
                           MYSQL_SYSVAR(max_window_bytes),
                           MYSQL_SYSVAR(durability),
                           MYSQL_SYSVAR(pushdown),
                           nullptr};

const char* channel() { return channelValue; }
const char* tokenFile() { return tokenFileValue; }
uint32_t connectTimeoutMs() { return connectTimeoutMsValue; }
uint32_t recoveryTimeoutSeconds() { return recoveryTimeoutValue; }
size_t writeBufferBytes() { return writeBufferBytesValue; }

client::Options clientOptions() {
  client::Options options;
  options.address = channelValue;
  options.program = std::string("mariadbd ") + server_version;
  options.connectTimeoutMs = connectTimeoutMsValue;
  options.replyWindowBytes = static_cast<uint32_t>(replyWindowBytesValue);
  options.gatherUs = gatherUsValue;
  options.pingIntervalMs = pingIntervalMsValue;
  return options;
}

wire::Durability durability(THD* thd) { return static_cast<wire::Durability>(THDVAR(thd, durability)); }
uint32_t requestTimeoutMs(THD* thd) { return THDVAR(thd, request_timeout_ms); }

uint32_t lockTimeoutMs(THD* thd) {
  const int own = THDVAR(thd, lock_wait_timeout);
  uint64_t seconds = own >= 0 ? static_cast<uint64_t>(own) : innodbLockWaitSeconds(thd);
  if (!thd->lex->stmt_var_list.is_empty() && statementSaysHowLong(thd)) {
    seconds = thd->variables.lock_wait_timeout;
  }
  return static_cast<uint32_t>(std::min(seconds, mostLockWaitSeconds) * 1000);
}

uint32_t windowBytes(THD* thd) { return THDVAR(thd, window_bytes); }
bool pushesDown(THD* thd) { return THDVAR(thd, pushdown) != 0; }
uint32_t maxWindowBytes(THD* thd) { return std::max(THDVAR(thd, max_window_bytes), windowBytes(thd)); }

}  // namespace vamos::mariadb::variables
