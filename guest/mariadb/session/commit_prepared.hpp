#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

// Two-phase commit. A prepared transaction is known by its xid alone, outlives connection, server and worker,
// and is ended once somebody says how: this server, or its recovery after a crash.
namespace vamos::mariadb {

// An xid as the host knows it: i64 format, u8 lengths of its two parts, the parts.
std::string bytesOf(const XID& xid);
bool xidOf(std::string_view bytes, XID& xid);

// The xid under which a connection prepares a transaction, until it has ended that. While one lives the
// host's transaction of that xid is this server's; what the host has of others was prepared by another
// server, or by this one before its guest's memory was rolled back.
class PreparedXid {
 public:
  explicit PreparedXid(std::string xid);
  ~PreparedXid();
  PreparedXid(const PreparedXid&) = delete;
  PreparedXid& operator=(const PreparedXid&) = delete;

  const std::string& bytes() const { return bytes_; }

 private:
  const std::string bytes_;
};

// BEFORE: nobody knows by whom, nor how.
enum class Ended { NOW, BEFORE, NOT_YET };

// Waits so long for the host; NOT_YET (see failure): this is remembered, and done when the host is back.
Ended endPrepared(uint32_t stream, const std::string& xid, bool isCommit, wire::Durability durability,
                  uint32_t timeoutMs, client::Failure& failure);
// Does what is remembered, if anything; and what a start without the host, or a rollback of the guest's
// memory, left undone. Called when there is a session, before statements use it.
void finishPrepared();
bool hasPreparedToFinish();
size_t unfinishedPrepared();

// The handlerton's.
int recover(handlerton* hton, XID* list, uint length);
int commitByXid(handlerton* hton, XID* xid);
int rollbackByXid(handlerton* hton, XID* xid);

}  // namespace vamos::mariadb
