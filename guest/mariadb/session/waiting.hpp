#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "protocol/tables_messages.hpp"

// Requests of a session that wait to be sent ahead of the next one, in the same chain.
namespace vamos::mariadb {

// How long a written row may wait in the session for the next request.
enum class MayWait {
  // It does not wait: write() sends it and returns its outcome.
  NOT,
  // Until its statement ends, because it takes locks that other connections meet, or may be refused.
  UNTIL_STATEMENT,
  // Until the transaction ends. It holds all locks of the row already, so neither its client nor another
  // connection can tell that the row was not sent.
  UNTIL_COMMIT,
};

// Rows that a statement writes to a table.
struct RowsToWrite {
  uint32_t table = 0;  // the host's number for the table
  uint32_t version = 0;
  uint32_t method = 0;
  std::string_view rows;  // a write batch (FORMATS.md)
  uint64_t autoIncrementSeen = 0;
  MayWait mayWait = MayWait::NOT;
  // How the row is locked that has an inserted row's key already, as Write.duplicate_lock says.
  wire::Lock duplicateLock = wire::Lock::NONE;
  // The session in which values of the rows were reserved (Table::reserve); 0: none were. If the rows are
  // sent in another session, a duplicate key means that these values were lost with their session, and is
  // reported as that.
  uint32_t valuesEpoch = 0;
  // The server generated a value for a column of the first row.
  bool hasInsertId = false;
};

// A handler that wrote rows. It is told when some are refused after they have waited.
class RowOwner {
 public:
  // Raises the error that the statement shows, with the values of the row that the failure names, so that the
  // server adds nothing, and returns the error's number. `batch` is what was sent. The session calls this in
  // the connection's thread, before it returns the error itself.
  virtual int raiseRefusal(const client::Failure& failure, uint32_t method, std::string_view batch) = 0;

 protected:
  ~RowOwner() = default;
};

// A batch of rows, or a request about a savepoint.
struct WaitingRequest {
  uint32_t method = 0;
  std::string body;        // the write batch, or the whole body of a request about a savepoint
  uint64_t savepoint = 0;  // the savepoint that the request sets; 0: it sets none
  uint32_t statement = 0;  // the statement that wrote the rows; 0: there are none
  uint32_t table = 0;      // 0: there are no rows
  uint32_t version = 0;
  uint32_t rows = 0;            // how many there are
  ulong firstRowNumber = 0;     // the first row's number in its statement, as warnings name it
  std::vector<uint64_t> blobs;  // the blobs that the rows refer to
  RowOwner* owner = nullptr;    // nullptr: write() waits for the rows' outcome and returns it
  uint64_t autoIncrementSeen = 0;
  uint32_t valuesEpoch = 0;
  MayWait mayWait = MayWait::UNTIL_COMMIT;
  wire::Lock duplicateLock = wire::Lock::NONE;
  // The row whose generated value the server takes for LAST_INSERT_ID(), if it is one of these.
  std::optional<uint32_t> insertIdRow;

  bool hasRows() const { return table != 0; }
  client::Request request(const wire::Scope& scope) const;
};

// What waits, in the order in which it is sent.
class WaitingRequests {
 public:
  bool isEmpty() const { return requests_.empty(); }
  size_t size() const { return requests_.size(); }
  const WaitingRequest& operator[](size_t place) const { return requests_[place]; }
  auto begin() const { return requests_.begin(); }
  auto end() const { return requests_.end(); }
  // The bytes of all rows, and the number of all blobs that they refer to.
  size_t bytes() const { return bytes_; }
  size_t blobs() const { return blobs_; }

  // Adds rows to the last batch if they are of the same kind, owner and statement, or else begins another
  // one. What is added has an owner unless write() waits for its outcome.
  struct RowsOfStatement {
    RowOwner* owner;
    uint32_t statement;
    ulong rowNumber;     // the first row's number in the statement
    bool givesInsertId;  // the server takes a value of the first row for LAST_INSERT_ID()
  };
  void addRows(const RowsToWrite& write, const RowsOfStatement& of, std::vector<uint64_t> blobs);
  // `sets`: the savepoint that the request sets, if it sets one.
  void addSavepoint(std::string body, uint64_t sets = 0);

  // Requests wait that are not part of this statement.
  bool hasOthersThan(uint32_t statement) const;
  // Rows wait that may not wait until the transaction's end.
  bool hasDueRows() const;
  // LAST_INSERT_ID() has its value from this row of the batch, or from a row behind it.
  bool givesInsertIdFrom(size_t place, uint32_t row) const;
  std::optional<size_t> placeOfSavepoint(uint64_t savepoint) const;

  // The owner goes away: it is told of no refusal any more.
  void forgetOwner(const RowOwner& owner);
  // Moves bytes and blobs of a request out of the list. The rest of it stays.
  WaitingRequest take(size_t place);
  // Removes all requests from this place on, or the rows of a statement. Returns the blobs that they refer
  // to.
  std::vector<uint64_t> remove(size_t from = 0);
  std::vector<uint64_t> removeStatement(uint32_t statement);

 private:
  std::vector<WaitingRequest> requests_;
  size_t bytes_ = 0;
  size_t blobs_ = 0;
};

}  // namespace vamos::mariadb
