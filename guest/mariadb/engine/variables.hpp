#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

// The system variables, whose names begin with vamos_. Each connection has its own value of those that take a
// THD.
namespace vamos::mariadb::variables {

extern st_mysql_sys_var* all[];

const char* channel();
const char* tokenFile();
client::Options clientOptions();
uint32_t connectTimeoutMs();
uint32_t recoveryTimeoutSeconds();
// How many bytes of rows may wait in a session before they are sent.
size_t writeBufferBytes();

wire::Durability durability(THD* thd);
// How long the host may take for a request, without waits for locks.
uint32_t requestTimeoutMs(THD* thd);
// How long the statement waits for a lock, as WAIT n or NOWAIT in it says, or else vamos_lock_wait_timeout;
// 0: it does not wait.
uint32_t lockTimeoutMs(THD* thd);
// The value of vamos_pushdown.
bool pushesDown(THD* thd);
// The size of a cursor's first window, and the size to which later ones may grow.
uint32_t windowBytes(THD* thd);
uint32_t maxWindowBytes(THD* thd);

}  // namespace vamos::mariadb::variables
