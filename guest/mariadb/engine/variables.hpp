#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

// System variables, all named vamos_…; those with a THD have a value of each connection.
namespace vamos::mariadb::variables {

extern st_mysql_sys_var* all[];

const char* channel();
const char* tokenFile();
client::Options clientOptions();
uint32_t connectTimeoutMs();
uint32_t recoveryTimeoutSeconds();
// Bytes of rows that may wait in a session before they are sent.
size_t writeBufferBytes();

wire::Durability durability(THD* thd);
// The host's time for a request, lock waits aside.
uint32_t requestTimeoutMs(THD* thd);
// vamos_lock_wait_timeout, or what WAIT n and NOWAIT of the statement say; 0: doesn't wait.
uint32_t lockTimeoutMs(THD* thd);
// vamos_pushdown.
bool pushesDown(THD* thd);
// The first window of a cursor, and the most that later ones grow to.
uint32_t windowBytes(THD* thd);
uint32_t maxWindowBytes(THD* thd);

}  // namespace vamos::mariadb::variables
