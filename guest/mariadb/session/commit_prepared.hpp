#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

// Two-phase commit. A prepared transaction is known by its xid alone, and outlives connection, server and
// worker. It ends when this server says how, or its recovery after a crash does.
namespace vamos::mariadb {

// The bytes by which the host knows an xid: i64 format, u8 lengths of its two parts, the parts.
std::string bytesOf(const XID& xid);
// Returns false if the bytes are no xid.
bool xidOf(std::string_view bytes, XID& xid);

// The xid under which a connection prepares a transaction, until it has ended the transaction. While an
// object of this class lives, the host's transaction with its xid belongs to this server. Any other that the
// host has was prepared by another server, or by this one before its guest's memory was rolled back.
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

enum class Ended {
  NOW,      // This call has ended the transaction.
  BEFORE,   // The host has none with this xid: it was ended before, and it is not known how.
  NOT_YET,  // The host did not answer. The end is remembered, and made when the host is back.
};

// Ends a prepared transaction, and waits for the host for this time. NOT_YET: `failure` says why.
Ended endPrepared(uint32_t stream, const std::string& xid, bool isCommit, wire::Durability durability,
                  uint32_t timeoutMs, client::Failure& failure);
// Makes the ends that are remembered, and what was left undone by a start without the host or a rollback of
// the guest's memory. Called when there is a session, before statements use it.
void finishPrepared();
// finishPrepared() has something to do.
bool hasPreparedToFinish();
// How many ends are remembered.
size_t unfinishedPrepared();

// Functions of the handlerton. recover() returns how many xids it has put into the list.
int recover(handlerton* hton, XID* list, uint length);
int commitByXid(handlerton* hton, XID* xid);
int rollbackByXid(handlerton* hton, XID* xid);

}  // namespace vamos::mariadb
