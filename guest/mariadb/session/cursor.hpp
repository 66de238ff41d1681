#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

class Session;
struct Reply;

// A row as the host gave it. The bytes stand in the window that it came in.
struct Row {
  std::string_view bytes;
  std::string_view primaryKey;  // where the request asked for keys
  bool isUnlocked = false;      // a semi-consistent scan gave it without a lock: another transaction has it
};

// Takes a window (FORMATS.md) apart. It is checked row by row: the host may send anything.
class Window {
 public:
  // The bytes live as long as the call.
  void assign(client::CallPointer call, std::string_view bytes, bool withKeys, bool lastUnlocked = false) {
    call_ = std::move(call);
    bytes_ = bytes;
    offset_ = 0;
    withKeys_ = withKeys;
    lastUnlocked_ = lastUnlocked;
  }
  bool atEnd() const { return offset_ == bytes_.size(); }
  // Bytes that were taken, and all.
  size_t offset() const { return offset_; }
  size_t size() const { return bytes_.size(); }
  // 0; HA_ERR_KEY_NOT_FOUND: no such row (GET); HA_ERR_INTERNAL_ERROR: not a window. Not at its end.
  int next(Row& row);

 private:
  client::CallPointer call_;
  std::string_view bytes_;
  size_t offset_ = 0;
  bool withKeys_ = false;
  bool lastUnlocked_ = false;
};

// A scan of one index on the host, in windows of rows that grow. A plain one has its next window asked for
// while the rows of this one are read; a locking one asks for a row first, then for a little more each time,
// so that few rows are locked which nobody reads.
class Cursor {
 public:
  // Opens it and reads the first window; windowBytes of the request says how large that is, and whether it is
  // read in the transaction its scope. Where that window has firstRows nobody may want more, so the next one
  // is not asked for ahead. 0 or an error of handler.h.
  int open(Session& session, const wire::OpenCursor& request);
  // The same without waiting, where nothing has to go first: the first next() meets its error.
  void openAhead(Session& session, const wire::OpenCursor& request);
  // HA_ERR_END_OF_FILE: no more.
  int next(Session& session, Row& row);
  // Rows of the window that nobody took: a locking scan gives them back where the isolation lets it.
  Window& rest() { return window_; }
  // The host hears of it with what is sent next.
  void close(Session& session);
  bool isOpen() const { return isOpen_; }

 private:
  void begin(const wire::OpenCursor& request);
  int take(const Reply& reply);
  uint32_t nextWindowBytes(Session& session);

  Window window_;
  client::CallPointer ahead_;
  uint32_t number_ = 0;  // at the host; 0: it is at its end
  uint32_t windowBytes_ = 0;
  bool isOpen_ = false;
  bool isLocking_ = false;
  bool inTransaction_ = false;
  bool withKeys_ = false;
  bool asksAhead_ = true;
};

}  // namespace vamos::mariadb
