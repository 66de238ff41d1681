#include "mariadb/session/status.hpp"

#include <atomic>
#include <cstdio>
#include <string>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/session_watch.hpp"

namespace vamos::mariadb {

namespace {

std::atomic<uint64_t> pushedConditions{0};
std::atomic<uint64_t> pushedAggregates{0};
std::atomic<uint64_t> pushedChanges{0};

double requestsPerFrame(const client::Counters& counters) {
  return counters.frames == 0 ? 0
                              : static_cast<double>(counters.requests) / static_cast<double>(counters.frames);
}

template <uint64_t client::Counters::*COUNTER>
int showCounter(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_ULONGLONG;
  variable->value = buffer;
  *static_cast<ulonglong*>(buffer) = host().counters().*COUNTER;
  return 0;
}

int showRequestsPerFrame(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_DOUBLE;
  variable->value = buffer;
  *static_cast<double*>(buffer) = requestsPerFrame(host().counters());
  return 0;
}

int showConnection(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_CHAR;
  variable->value = buffer;
  std::snprintf(static_cast<char*>(buffer), SHOW_VAR_FUNC_BUFF_SIZE, "%s", host().describe().c_str());
  return 0;
}

int showSessions(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_ULONGLONG;
  variable->value = buffer;
  *static_cast<ulonglong*>(buffer) = watch().count();
  return 0;
}

int showUnfinished(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_ULONGLONG;
  variable->value = buffer;
  *static_cast<ulonglong*>(buffer) = unfinishedPrepared();
  return 0;
}

template <std::atomic<uint64_t>& COUNTER>
int showPushed(THD*, SHOW_VAR* variable, void* buffer, system_status_var*, enum_var_type) {
  variable->type = SHOW_ULONGLONG;
  variable->value = buffer;
  *static_cast<ulonglong*>(buffer) = COUNTER;
  return 0;
}

void line(std::string& text, const char* name, uint64_t value) {
  text.append(name).append(": ").append(std::to_string(value)).append("\n");
}

}  // namespace

st_mysql_show_var statusVariables[] = {
    SHOW_FUNC_ENTRY("Vamos_connection", showConnection),
    SHOW_FUNC_ENTRY("Vamos_streams", showSessions),
    SHOW_FUNC_ENTRY("Vamos_requests", showCounter<&client::Counters::requests>),
    SHOW_FUNC_ENTRY("Vamos_frames", showCounter<&client::Counters::frames>),
    SHOW_FUNC_ENTRY("Vamos_requests_per_frame", showRequestsPerFrame),
    SHOW_FUNC_ENTRY("Vamos_frames_received", showCounter<&client::Counters::framesReceived>),
    SHOW_FUNC_ENTRY("Vamos_bytes_sent", showCounter<&client::Counters::bytesSent>),
    SHOW_FUNC_ENTRY("Vamos_bytes_received", showCounter<&client::Counters::bytesReceived>),
    SHOW_FUNC_ENTRY("Vamos_waits", showCounter<&client::Counters::waits>),
    SHOW_FUNC_ENTRY("Vamos_parked", showCounter<&client::Counters::parked>),
    SHOW_FUNC_ENTRY("Vamos_reconnects", showCounter<&client::Counters::reconnects>),
    SHOW_FUNC_ENTRY("Vamos_system_calls", showCounter<&client::Counters::systemCalls>),
    SHOW_FUNC_ENTRY("Vamos_pushed_conditions", showPushed<pushedConditions>),
    SHOW_FUNC_ENTRY("Vamos_pushed_aggregates", showPushed<pushedAggregates>),
    SHOW_FUNC_ENTRY("Vamos_pushed_changes", showPushed<pushedChanges>),
    SHOW_FUNC_ENTRY("Vamos_prepared_to_finish", showUnfinished),
    {NullS, NullS, SHOW_LONG},
};

void countPushedCondition() { pushedConditions.fetch_add(1, std::memory_order_relaxed); }
void countPushedAggregates() { pushedAggregates.fetch_add(1, std::memory_order_relaxed); }
void countPushedChange() { pushedChanges.fetch_add(1, std::memory_order_relaxed); }

bool showStatus(handlerton*, THD* thd, stat_print_fn* print, ha_stat_type type) {
  if (type != HA_ENGINE_STATUS) return false;
  const client::Counters counters = host().counters();
  std::string text;
  text.append("Host daemon: ").append(host().describe()).append("\n");
  text.append("Channel: ").append(variables::channel()).append("\n");
  line(text, "Session", host().epoch());
  line(text, "Reconnects", counters.reconnects);
  line(text, "Most bytes of a request", host().maxBodyBytes());
  line(text, "Open streams (connections)", watch().count());
  line(text, "Prepared transactions to finish when the host daemon is back", unfinishedPrepared());
  line(text, "Requests", counters.requests);
  line(text, "Frames sent", counters.frames);
  char ratio[32];
  std::snprintf(ratio, sizeof ratio, "%.2f", requestsPerFrame(counters));
  text.append("Requests a frame: ").append(ratio).append("\n");
  line(text, "Frames received", counters.framesReceived);
  line(text, "Bytes sent", counters.bytesSent);
  line(text, "Bytes received", counters.bytesReceived);
  line(text, "Waits for an answer", counters.waits);
  line(text, "Requests that the host reported as waiting", counters.parked);
  line(text, "System calls", counters.systemCalls);
  return print(thd, STRING_WITH_LEN("VAMOS"), STRING_WITH_LEN(""), text.data(), text.size());
}

}  // namespace vamos::mariadb
