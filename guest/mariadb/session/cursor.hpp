#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

class Session;
struct Reply;

// A row as the host sent it. Its bytes live in the window that it came in.
struct Row {
  std::string_view bytes;
  std::string_view primaryKey;  // empty unless the request asked for keys
  // A semi-consistent scan read the row without a lock, since another transaction has locked it.
  bool isUnlocked = false;
};

// Reads the rows of a window (FORMATS.md) that came from the host, and checks each: the host may send
// anything.
class Window {
 public:
  // `bytes` live as long as the call.
  void assign(client::CallPointer call, std::string_view bytes, bool withKeys, bool lastUnlocked = false) {
    call_ = std::move(call);
    bytes_ = bytes;
    offset_ = 0;
    withKeys_ = withKeys;
    lastUnlocked_ = lastUnlocked;
  }
  bool atEnd() const { return offset_ == bytes_.size(); }
  // How many bytes were read, and how many there are.
  size_t offset() const { return offset_; }
  size_t size() const { return bytes_.size(); }
  // Reads the next row. Returns 0, HA_ERR_KEY_NOT_FOUND if a GET found no such row, or HA_ERR_INTERNAL_ERROR
  // if the bytes are no window. Must not be called at the window's end.
  int next(Row& row);

 private:
  client::CallPointer call_;
  std::string_view bytes_;
  size_t offset_ = 0;
  bool withKeys_ = false;
  bool lastUnlocked_ = false;
};

// A scan of one index on the host, in windows of rows that grow. A plain scan asks for the next window while
// the rows of this one are read. A locking scan asks for one row first, and then for a little more each time,
// so that it locks few rows which are not read.
class Cursor {
 public:
  // Opens the cursor and reads the first window. The request's windowBytes says how large that is, and its
  // scope whether it is read in the transaction. If the request has firstRows, the statement may want no
  // more, so the next window is not asked for ahead. Returns 0 or an error of handler.h.
  int open(Session& session, const wire::OpenCursor& request);
  // Opens the cursor without waiting for an answer. No other request must have to go first. The first next()
  // returns an error of it.
  void openAhead(Session& session, const wire::OpenCursor& request);
  // Reads the next row. Returns HA_ERR_END_OF_FILE if there is none.
  int next(Session& session, Row& row);
  // The rows of the window that were not read. A locking scan unlocks them if the isolation allows it.
  Window& rest() { return window_; }
  // The host is told with what is sent next.
  void close(Session& session);
  bool isOpen() const { return isOpen_; }

 private:
  void begin(const wire::OpenCursor& request);
  int take(const Reply& reply);
  uint32_t nextWindowBytes(Session& session);

  Window window_;
  client::CallPointer ahead_;
  uint32_t number_ = 0;  // the host's number for the cursor; 0: it has no more rows
  uint32_t windowBytes_ = 0;
  bool isOpen_ = false;
  bool isLocking_ = false;
  bool inTransaction_ = false;
  bool withKeys_ = false;
  bool asksAhead_ = true;
};

}  // namespace vamos::mariadb
