#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/client.hpp"
#include "mariadb/session/added_rows.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/waiting.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// An answer of the host. The body's bytes live as long as the call.
struct Reply {
  client::CallPointer call;
  std::string_view body;
};

// What a statement does with a table.
enum class Use { READ, LOCK, WRITE };

// Tells a commit from all others of its stream: their numbers rise, and no two have the same token.
struct CommitMark {
  uint64_t number = 0;
  std::string token;
  std::string session;  // the bytes of the session in which the commit got this mark
};

// How much a request may ask the host to do.
enum class Work {
  SHORT,  // a window of rows at most; vamos_request_timeout_ms bounds the wait for the answer
  LONG,   // all rows in a range, however many; nothing bounds the wait
};

// The stream of one connection of the server's, and the connection's transaction on the host. A session is
// made when its connection (THD) first uses the engine, and deleted by close_connection. The connection's
// thread uses it; other threads only interrupt what it waits for.
//
// The transaction begins on the host with its first request: BEGIN goes ahead of that request in the same
// chain. Written rows that may wait (MayWait) go ahead of the next request, too. That may be COMMIT, so a
// plain INSERT in autocommit is one frame. In a longer transaction, rows that take locks are sent when their
// statement ends at the latest. The end of a transaction that neither wrote nor locked is sent with whatever
// is sent next.
//
// Functions that return an int return 0, or an error of handler.h or errors.hpp. failure() then says more.
class Session {
 public:
  static Session& of(THD* thd);
  // Returns nullptr if the connection has not used the engine.
  static Session* find(THD* thd);

  Session(THD* thd);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Registers the transaction with the server, and begins a statement if none has begun. For external_lock
  // and start_stmt.
  void beginStatement(Use use);

  // The scope for a request in the transaction.
  wire::Scope scope(bool skipLocked = false) const;
  // The statement's reads need no transaction: in autocommit, a plain read of a constant table and the only
  // scan of a statement see one moment of the host's data anyhow. Then use scopeAlone() and callAlone().
  bool readsAlone() const;
  wire::Scope scopeAlone() const { return {}; }

  // Calls in the transaction, behind the requests that wait.
  int call(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  // Calls outside of the transaction, and ahead of the requests that wait: reads alone, definitions,
  // statistics, auto-increment, blobs. A request that changes nothing is sent again if its session was lost
  // and the next one begins in time.
  int callAlone(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  // Sends a request without waiting for its answer, ahead of the requests that wait: the next window of a
  // cursor that call() or callAlone() opened.
  client::CallPointer sendAhead(uint32_t method, std::string body);
  // Sends a request with whatever is sent next, since its answer is not wanted soon.
  client::CallPointer askLater(uint32_t method, std::string body);
  int wait(const client::CallPointer& call, Reply& reply);
  // The same for a call whose failure means nothing to the transaction, and that another session may have
  // sent. Returns false if it failed.
  bool waitAlone(const client::CallPointer& call, Reply& reply);
  // Sends a request with whatever is sent next. Its answer is not wanted: the close of a cursor, an unlock.
  void sendLater(uint32_t method, std::string body);

  // The transaction goes on when its statement ends.
  bool isInMultiStatement() const;
  // The transaction is open on the host, which meanwhile changes no definitions for this stream.
  bool isOpenOnHost() const { return isOpenOnHost_; }
  // The transaction was open on the host and is not any more, and the server has not rolled it back yet. All
  // calls fail until it does.
  bool mustRollBack() const { return mustRollBack_; }
  // Drops a table when the transaction ends, which may use it until then.
  void dropAfterTransaction(std::string table) { tablesToDrop_.push_back(std::move(table)); }

  // Writes rows, or lets them wait. If rows are refused that have waited, their owner's raiseRefusal() tells
  // the client, and the call which met the refusal returns what raiseRefusal() returned.
  int write(RowOwner& owner, const RowsToWrite& rows);
  // Counts rows that the transaction adds to a table, until a rollback takes them back.
  void countRows(const std::shared_ptr<AddedRows>& table, int64_t added);
  // Writes rows in a transaction of their own, which is committed once even if its answer is lost: rows of a
  // table that only this statement sees yet, or of a sequence. Does not call raiseRefusal().
  int writeAlone(const RowsToWrite& rows);
  // Sends UPDATE_WHERE or DELETE_WHERE, and sets its scope. In autocommit it is a transaction of its own,
  // which is done once even if its answer is lost. isOneRow: it finds one row at most.
  int change(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed);
  // Notes a blob that the next row of write() or writeAlone() refers to. If that row is not sent, or write()
  // is told that it is refused, the host is told to discard the blob.
  void addBlob(uint64_t blob) { newBlobs_.push_back(blob); }
  // Discards the blobs of rows that writeAlone() sent and the host refused, after the refusal was shown.
  void discardNewBlobs() { discardBlobs(std::exchange(newBlobs_, {})); }
  // The rows with new blobs should be sent: the host keeps few blobs that no row refers to.
  bool hasManyBlobs() const { return newBlobs_.size() >= maxNewBlobs; }
  // The bytes of the rows that wait.
  size_t waitingBytes() const { return waiting_.bytes(); }
  // Sends what waits, and waits for the outcome.
  int flush();
  // All rows of a statement are written. In a transaction that goes on after it, those that may not wait
  // longer are sent; in autocommit they go with COMMIT.
  int flushStatement();
  // The owner goes away: it is told of no refusal any more.
  void forgetOwner(const RowOwner& owner) { waiting_.forgetOwner(owner); }

  // Why the last call that failed did so.
  const client::Failure& failure() const { return failure_; }
  // The client has been told of the failure already.
  bool isRaised() const { return isRaised_; }
  // The server's number of the index in which the last duplicate key was found; -1: in none. Any handler
  // tells it: where an UPDATE moves a row, the server asks the partition that the row leaves, not the one
  // that refused it.
  uint duplicateIndex() const { return duplicateIndex_; }
  void setDuplicateIndex(uint index) { duplicateIndex_ = index; }
  THD* thd() const { return thd_; }
  uint32_t stream() const { return stream_; }
  // The number of the session in which the last call was sent.
  uint32_t epoch() const { return epoch_; }

  // For the handlerton. These raise the errors that they return.
  int endStatement();
  void rollbackStatement();
  int commit();
  void rollback();
  // Takes the transaction out of its stream. From then on it is known by its xid alone.
  int prepare(const std::string& xid);
  int beginWithSnapshot();
  uint64_t setSavepoint();
  void rollbackToSavepoint(uint64_t number);
  void releaseSavepoint(uint64_t number);
  bool holdsLocks() const { return hasLocked_ || hasWritten_; }

  // These are for other threads.

  // Lets what the session waits for fail with CANCELLED.
  void interrupt();
  // The session has a transaction open that it applies for replication.
  bool isReplicating();
  // Tells the server that another transaction waits, perhaps for a lock of this one. If the waiting one has
  // to be committed first, the server kills this one and applies it again later.
  void reportWait(THD* waiting);
  // Since when the session waits for an answer that may be cancelled, in ms of the steady clock; 0: it does
  // not wait.
  uint64_t waitingSinceMs();

 private:
  class Attempt;

  static constexpr size_t maxNewBlobs = 16;

  struct Savepoint {
    uint64_t number;
    bool isReleased;
    size_t rowsMark;  // rows that were counted behind it go with a rollback to it
  };

  // Hears of each warning and error before the server stores it, while rows wait that may be refused. If one
  // is refused, its error comes first, and the server would have evaluated no row behind it.
  class Conditions final : public Internal_error_handler {
   public:
    explicit Conditions(Session& session) : session_(session) {}
    bool handle_condition(THD*, uint, const char*, Sql_condition::enum_warning_level* level, const char*,
                          Sql_condition**) override {
      return session_.sendBeforeCondition(*level);
    }

   private:
    Session& session_;
  };

  // session.cpp: what is sent, and what a failure of it means for the transaction.

  uint32_t timeoutMs(Work work = Work::SHORT) const;
  // Waits for a session with the host and returns its number, or 0 if there is none (failure_).
  uint32_t connect(bool mayCancel);
  wire::Begin begin() const;
  // BEGIN if the transaction has not begun on the host, what waits, and the last request (0: there is none).
  std::vector<client::Request> chain(uint32_t lastMethod, std::string lastBody) const;
  // What waits does not fit into one frame with a last request of this size.
  bool exceedsFrame(size_t lastBytes) const;
  int callInTransaction(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  int callOutside(uint32_t method, std::string body, Reply& reply, Work work);
  // Returns false if the call failed.
  bool waitFor(const client::CallPointer& call, bool mayCancel);
  // Returns the server's error for failure_.
  int errorOfLast() const;
  // Keeps the failure, and returns the server's error for it.
  int fail(const client::Failure& failure);
  // The host has undone the transaction, or can't let it go on: neither may the server. Returns the error.
  int failTransaction(int error);
  // A chain failed at the request with this index. isWhole: it would have begun the transaction.
  int failChain(bool isWhole, size_t index, const client::Failure& failure);
  int failWaiting(size_t place, int error);
  // A call outside of the transaction failed.
  int failAlone(const client::Failure& failure);

  // rows.cpp: rows that wait, and their blobs.

  // Forgets what waited and was sent. If it failed, some of it may not have been done.
  void forgetSent(bool hasFailed = false);
  // Tells the host that no row will refer to these blobs. It keeps those that rows refer to all the same.
  void discardBlobs(const std::vector<uint64_t>& blobs);
  // Sends rows that wait. Returns true if one was refused, which was raised instead of the condition.
  bool sendBeforeCondition(Sql_condition::enum_warning_level level);
  void listen();
  void stopListening();

  // commit.cpp: the end of a transaction.

  int commitOnHost();
  CommitMark nextCommit() const;
  // Before a commit is sent in the present session. If this guest's memory was rolled back since the last
  // one, the host is asked whether the commit, or a later one, was made in the state that is gone.
  int checkRolledBack(const CommitMark& mark);
  // The same for a transaction that is prepared. It leaves no number by which the host could tell whether it
  // was made before, so its outcome is not known.
  int checkRolledBack();
  // A commit that wrote rows was answered.
  void noteStored(const CommitMark& mark);
  // The scope of a request that is a transaction of its own.
  wire::Scope commitScope(const CommitMark& mark) const;
  // The statement is all of its transaction, and no other engine and no binary log has a part in that, so the
  // commit may go with the statement's request.
  bool isWholeTransaction() const;
  int changeAlone(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed);
  // Finds out whether the host has made a commit whose answer never came. `session`: the bytes of the session
  // in which it was sent. Returns false if that can't be known (failure_).
  bool findCommit(const CommitMark& mark, const std::string& session, bool& isDone);
  // Makes of failure_ the error that the commit's outcome is not known.
  int failUnknown();
  // Leaves nothing of the transaction on the host.
  void rollbackOnHost();
  int raise(int error);
  void forgetTransaction();

  THD* const thd_;
  const uint32_t stream_;
  client::Failure failure_;
  bool isRaised_ = false;  // the client was told of the failure
  uint duplicateIndex_ = static_cast<uint>(-1);

  // The transaction.
  bool isOpenOnHost_ = false;
  bool mustRollBack_ = false;
  bool hasLocked_ = false;
  bool hasWritten_ = false;  // or its rows wait
  bool wantsSnapshot_ = false;
  uint32_t epoch_ = 0;  // the session in which the transaction is open, or the last call was sent
  // The client's renewals() that the transaction knows of: a session is renewed when this guest's memory was
  // rolled back.
  uint32_t renewals_;
  std::optional<PreparedXid> prepared_;
  RowsOfTransaction addedRows_;
  std::vector<Savepoint> savepoints_;  // a stack, as on the host
  uint64_t nextSavepoint_ = 1;
  std::vector<std::string> tablesToDrop_;

  // Its statement.
  uint32_t statement_ = 0;
  bool isInStatement_ = false;
  bool hasSentRows_ = false;  // rows of this statement may be on the host
  Use use_ = Use::READ;

  // What waits.
  WaitingRequests waiting_;
  std::vector<uint64_t> newBlobs_;  // the next row will refer to them
  Conditions conditions_{*this};
  bool isListening_ = false;  // conditions_ is one of the THD's handlers
  bool isSendingForCondition_ = false;

  // Commits.
  uint64_t lastCommit_ = 0;
  // The transaction has certainly written rows that are not undone, so the host keeps its commit's number.
  bool leavesNumber_ = false;
  CommitMark stored_;  // the last commit whose number the host certainly has

  std::mutex mutex_;  // guards what follows
  bool isReplicating_ = false;
  client::CallPointer current_;
  uint64_t sinceMs_ = 0;
};

}  // namespace vamos::mariadb
