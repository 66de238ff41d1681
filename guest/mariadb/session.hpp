#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "client/client.hpp"
#include "mariadb/table.hpp"
#include "wire/tables.hpp"

namespace vamos::mariadb {

class ha_vamos;

// One connection's stream and its transaction on the host. Made at a THD's first use of the engine
// (thd_set_ha_data), gone with close_connection. Owned by the connection's thread; kill_query may cancel what
// it waits for.
//
// The transaction begins on the host with the first request of it: BEGIN goes ahead of that request in the
// same chain. Writes whose errors may surface later wait here and go ahead of the next request, too: of
// COMMIT, so that a plain autocommit insert is one frame. The end of a transaction that wrote nothing is sent
// with what comes next.
class Session {
 public:
  static Session& of(THD* thd);

  // external_lock and start_stmt: registers with the server; 0 or an error.
  int beginStatement(THD* thd, bool isWrite);

  // The fields of a request in this statement. A read outside any transaction that sees its own snapshot: see
  // readsAlone.
  wire::Scope scope() const;
  // A plain read of a constant table in autocommit, or the one scan of a one-table statement, needs no
  // transaction: the host reads at one moment anyhow.
  bool readsAlone(bool isOnlyRead) const;

  // Sends the request behind what has to go first, and waits. 0: `reply` is its body, valid until the next
  // call of this session. Else an error of handler.h; its text is kept for get_error_message.
  int call(uint32_t method, std::string body, std::string_view& reply);
  // The same without waiting: for the next window of a cursor. Nothing else may need to go first.
  client::CallPointer ahead(uint32_t method, std::string body);
  int wait(const client::CallPointer& call, std::string_view& reply);
  // With whatever is sent next.
  void later(uint32_t method, std::string body);

  // Rows of a write batch (FORMATS.md). mayWait: an error of theirs may surface at the next request or at the
  // end of the statement; else they are sent now. Rows of the same handler and kind join the batch before.
  // Where rows that waited are refused, the handler's raiseRefusal says so to the client, and the call that
  // met it returns what raiseRefusal did.
  int write(ha_vamos& handler, uint32_t method, std::string_view rows, uint64_t autoIncrementSeen,
            bool mayWait);
  // The handler is about to go: no rows of its are waiting any more.
  void forget(ha_vamos& handler);
  // What waits is sent, and its outcome known.
  int flush();

  // Statement or transaction end, savepoints, two-phase commit: commit.hpp.

  // Of the last failure, for get_error_message and the duplicate key's index.
  const client::Failure& failure() const;
};

}  // namespace vamos::mariadb
