#include "mariadb/session/cursor.hpp"

#include <my_base.h>
#include <my_global.h>

#include <algorithm>
#include <utility>

#include "mariadb/engine/variables.hpp"
#include "mariadb/session/session.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
int Window::next(Row& row) {
  Reader reader(bytes_, offset_);
  const uint32_t lengthBytes = reader.u32();
  if (reader.failed()) return HA_ERR_INTERNAL_ERROR;
  if (lengthBytes == missingRow) {
    offset_ = reader.offset();
    return HA_ERR_KEY_NOT_FOUND;
  }
  row.bytes = reader.take(lengthBytes);
  row.primaryKey = withKeys_ ? reader.lengthPrefixed(maxKeyBytes) : std::string_view{};
  if (reader.failed()) return HA_ERR_INTERNAL_ERROR;
  offset_ = reader.offset();
  row.isUnlocked = lastUnlocked_ && atEnd();
  return 0;
}

void Cursor::begin(const wire::OpenCursor& request) {
  isOpen_ = true;
  isLocking_ = request.lock != wire::Lock::NONE;
  asksAhead_ = !isLocking_ && request.firstRows == 0;
  inTransaction_ = request.scope.inTransaction;
  withKeys_ = request.withKeys;
  windowBytes_ = request.firstRows == 0 ? request.windowBytes : 0;
}

int Cursor::open(Session& session, const wire::OpenCursor& request) {
  close(session);
  begin(request);
  Reply reply;
  const int error = inTransaction_ ? session.call(wire::Method::OPEN_CURSOR, request.encode(), reply)
                                   : session.callAlone(wire::Method::OPEN_CURSOR, request.encode(), reply);
  if (!error) return take(reply);
  // It may be open on the host, under a number that was not heard. Without a number
  // the host closes all cursors that the stream has open outside of a transaction.
  if (!inTransaction_ && isGivenUp(session.failure().code)) {
    session.sendLater(wire::Method::CLOSE_CURSOR, wire::CloseCursor{}.encode());
  }
  return error;
}

void Cursor::openAhead(Session& session, const wire::OpenCursor& request) {
  close(session);
  begin(request);
  ahead_ = session.sendAhead(wire::Method::OPEN_CURSOR, request.encode());
}

int Cursor::take(const Reply& reply) {
  wire::Rows rows;
  if (!wire::Rows::decode(reply.body, rows)) return HA_ERR_INTERNAL_ERROR;
  window_.assign(reply.call, rows.window, withKeys_, rows.lastUnlocked);
  number_ = rows.cursor;
  return 0;
}

// The windows of a locking scan double in size. They begin small if the first window was to hold all rows of
// a LIMIT. The windows of other scans grow faster, to a size that suits the channel.
uint32_t Cursor::nextWindowBytes(Session& session) {
  const uint32_t most = variables::maxWindowBytes(session.thd());
  const size_t size = windowBytes_ == 0 ? 0 : window_.size();
  const auto came = static_cast<uint32_t>(std::min<size_t>(size, most));
  windowBytes_ = std::min(isLocking_ ? std::max(came, 1u) * 2 : std::max(windowBytes_, 1024u) * 4, most);
  return windowBytes_;
}

int Cursor::next(Session& session, Row& row) {
  while (window_.atEnd()) {
    Reply reply;
    int error = 0;
    if (ahead_) {
      error = session.wait(std::exchange(ahead_, nullptr), reply);
    } else {
      if (number_ == 0) return HA_ERR_END_OF_FILE;
      asksAhead_ = !isLocking_;
      std::string body = wire::Fetch{number_, nextWindowBytes(session)}.encode();
      error = inTransaction_ ? session.call(wire::Method::FETCH, std::move(body), reply)
                             : session.callAlone(wire::Method::FETCH, std::move(body), reply);
    }
    // After a request that was given up the cursor is still open.
    if (!error) error = take(reply);
    if (error) return error;
  }
  const int error = window_.next(row);
  if (asksAhead_ && !ahead_ && number_ != 0 && window_.offset() * 2 > window_.size()) {
    ahead_ = session.sendAhead(wire::Method::FETCH, wire::Fetch{number_, nextWindowBytes(session)}.encode());
  }
  return error;
}

void Cursor::close(Session& session) {
  if (ahead_ && number_ == 0) {
    // It may be open on the host, and only the answer tells its number.
    Reply reply;
    if (session.wait(ahead_, reply) == 0) take(reply);
  }
  if (number_ != 0) session.sendLater(wire::Method::CLOSE_CURSOR, wire::CloseCursor{number_}.encode());
  ahead_.reset();
  number_ = 0;
  isOpen_ = false;
  window_.assign(nullptr, {}, false);
}

}  // namespace vamos::mariadb
