#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "mariadb/session/added_rows.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

// The body of an answer, and what keeps its bytes.
struct Reply {
  client::CallPointer call;
  std::string_view body;
};

// What a statement does with a table.
enum class Use { READ, LOCK, WRITE };

// Which of its stream's commits one is: numbers rise, and no other commit has the token.
struct CommitMark {
  uint64_t number = 0;
  std::string token;
  std::string session;  // the bytes of the session in which it was marked
};

// How long a written row may wait in the session for the next request.
enum class MayWait {
  NOT,              // it is sent, and its outcome known, before write() returns
  UNTIL_STATEMENT,  // until its statement ends: the row takes locks that other connections meet, or may be
                    // refused
  UNTIL_COMMIT,  // the transaction holds all of its locks already, so neither its own client nor others can
                 // tell
};

// Rows that a statement writes to a table.
struct RowsToWrite {
  uint32_t table = 0;  // the host's number of it
  uint32_t version = 0;
  uint32_t method = 0;
  std::string_view rows;  // a write batch (FORMATS.md)
  uint64_t autoIncrementSeen = 0;
  MayWait mayWait = MayWait::NOT;
  // On the row whose key an inserted one has, as Write.duplicate_lock.
  wire::Lock duplicateLock = wire::Lock::NONE;
  // The session that values of the rows were reserved in (Table::reserve), 0: none were. Where another
  // session's rows have them, that is no duplicate key but the loss of their session.
  uint32_t valuesEpoch = 0;
  // The server generated a value for a column of the first row.
  bool hasInsertId = false;
};

// What wrote rows, and is told when some that waited are refused.
class RowOwner {
 public:
  // Raises the error that the statement shows, with the values of the row that the failure names; the server
  // is to add nothing. `batch` is what was sent. Called in the connection's thread, before the session
  // reports the failure as the error returned.
  virtual int raiseRefusal(const client::Failure& failure, uint32_t method, std::string_view batch) = 0;

 protected:
  ~RowOwner() = default;
};

// What a request asks of the host.
enum class Work {
  SHORT,  // a window of rows at most: vamos_request_timeout_ms bounds it
  LONG,   // all rows in a range, however many
};

// One connection's stream and its transaction on the host. Made at a THD's first use of the engine, gone with
// close_connection. Used by the connection's thread; others only interrupt what it waits for.
//
// The transaction begins on the host with the first request of it: BEGIN goes ahead of that request in the
// same chain. Written rows that may wait (MayWait) go ahead of the next request, too: of COMMIT, so that a
// plain autocommit insert is one frame. In a longer transaction, rows that take locks are sent when their
// statement ends at the latest. The end of a transaction that neither wrote nor locked is sent with what
// comes next.
class Session {
 public:
  static Session& of(THD* thd);
  // Nothing where the connection has not used the engine.
  static Session* find(THD* thd);

  Session(THD* thd);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // external_lock and start_stmt: registers with the server, and begins the statement if it hasn't.
  void beginStatement(Use use);

  // The fields of a request in the transaction.
  wire::Scope scope(bool skipLocked = false) const;
  // A plain read of a constant table in autocommit, or the one scan of a one-table statement, needs no
  // transaction: the host reads at one moment anyhow. Then scopeAlone() and callAlone().
  bool readsAlone() const;
  wire::Scope scopeAlone() const { return {}; }

  // All calls: 0, or an error of handler.h or errors.hpp; failure() says more. Bytes of a reply live as long
  // as the Reply.

  // In the transaction, behind what has to go first.
  int call(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  // Outside of it, and ahead of what waits: reads alone, definitions, statistics, auto-increment, blobs.
  // Those that change nothing are made again where the session was lost and is back in time.
  int callAlone(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  // Without waiting, and ahead of what waits: the next window of a cursor that call() or callAlone() opened.
  client::CallPointer ahead(uint32_t method, std::string body);
  // With whatever is sent next: its answer is not wanted soon.
  client::CallPointer askLater(uint32_t method, std::string body);
  int wait(const client::CallPointer& call, Reply& reply);
  // The same where a failure means nothing to the transaction: another session may have made the call.
  bool take(const client::CallPointer& call, Reply& reply);
  // With whatever is sent next, no answer wanted: the close of a cursor, an unlock.
  void later(uint32_t method, std::string body);

  // The transaction goes on when its statement ends.
  bool isInMultiStatement() const;
  // A transaction is open on the host, which then changes no definitions for this stream.
  bool hasBegun() const { return begun_; }
  // It was open, and ended without the server, which has not rolled back yet: until then all calls fail.
  bool isDead() const { return dead_; }
  // A temporary table that the open transaction may use goes with its end.
  void dropAfterTransaction(std::string table) { doomed_.push_back(std::move(table)); }

  // Rows of the same owner, statement and kind join the batch before. Where rows that waited are refused,
  // their owner's raiseRefusal says so to the client, and the call that met it returns what raiseRefusal did.
  int write(RowOwner& owner, const RowsToWrite& rows);
  // Rows that the transaction adds to a table, which counts them until the host tells how many there are; a
  // rollback takes them back.
  void countRows(const std::shared_ptr<AddedRows>& counter, int64_t added);
  // A transaction of its own, committed once even where its answer is lost: rows for a table that nobody sees
  // yet. Their errors are returned; raiseRefusal is not called.
  int writeAlone(const RowsToWrite& rows);
  // UPDATE_WHERE or DELETE_WHERE, whose scope is set here. In autocommit it is a transaction of its own, done
  // once even where its answer is lost. isOneRow: it finds no more than one.
  int change(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed);
  // A blob that a row is about to refer to: the next that write() gets, or that writeAlone() sends. Where it
  // is not sent, or write()'s is refused, the host is told.
  void noteBlob(uint64_t blob) { newBlobs_.push_back(blob); }
  // Those of rows that writeAlone() sent; what is wanted of a refused row was read.
  void discardNewBlobs() { discardBlobs(newBlobs_); }
  // So many that their rows should be sent: of blobs that no row refers to the host keeps a number.
  bool hasManyBlobs() const { return newBlobs_.size() >= MOST_BLOBS; }
  // Bytes of rows that wait.
  size_t waitingBytes() const { return waitingBytes_; }
  // What waits is sent, and its outcome known.
  int flush();
  // All rows of a statement were written. In a transaction that goes on after it, those that may wait no
  // longer than the statement are sent; in autocommit they go with COMMIT.
  int flushStatement();
  // The owner is about to go: it is not told any more of rows that are refused.
  void forget(const RowOwner& owner);

  // Of the last call that failed.
  const client::Failure& failure() const { return failure_; }
  // It was told to the client already.
  bool isRaised() const { return isRaised_; }
  // The server's number of the index that the last duplicate key was found in; -1: of none. Any handler tells
  // it: where an UPDATE moves a row, the server asks the partition that it leaves, not the one that refused
  // it.
  uint duplicateIndex() const { return duplicateIndex_; }
  void setDuplicateIndex(uint index) { duplicateIndex_ = index; }
  THD* thd() const { return thd_; }
  uint32_t stream() const { return stream_; }
  // Number of the session in which the last call travelled.
  uint32_t epoch() const { return epoch_; }

  // For the handlerton (commit.cpp): 0, or an error that was raised.
  int endStatement();
  void rollbackStatement();
  int commit();
  void rollback();
  // Behind it the transaction is known by its xid alone.
  int prepare(const std::string& xid);
  int beginWithSnapshot();
  uint64_t setSavepoint();
  void rollbackToSavepoint(uint64_t number);
  void releaseSavepoint(uint64_t number);
  bool holdsLocks() const { return locked_ || wrote_; }

  // From other threads: what waits for an answer fails with CANCELLED.
  void interrupt();
  // It applies a transaction for replication, and has it open: another that has to be committed before waits,
  // perhaps for locks of this one. The server has this one made again if so.
  bool replicates();
  void mayBlock(THD* waiting);
  // Since when it waits for an answer that may be cancelled (ms of the steady clock); 0: it doesn't.
  uint64_t waitingSinceMs();

 private:
  class Attempt;

  static constexpr size_t MOST_BLOBS = 16;

  // What goes ahead of the next request.
  struct Waiting {
    uint32_t method = 0;
    uint32_t statement = 0;       // that it is part of; 0: none, it is a savepoint's
    std::string body;             // of a write: its rows
    std::vector<uint64_t> blobs;  // that the rows refer to
    // Told when these rows are refused. Nothing: write() waits for their outcome, and returns it.
    RowOwner* owner = nullptr;
    uint32_t table = 0;  // 0: no write
    uint32_t version = 0;
    uint64_t autoIncrementSeen = 0;
    uint64_t savepoint = 0;  // that it sets
    uint32_t valuesEpoch = 0;
    MayWait mayWait = MayWait::UNTIL_COMMIT;
    wire::Lock duplicateLock = wire::Lock::NONE;
    uint32_t rows = 0;
    ulong firstRowNumber = 0;  // of its first row, as conditions have it
    // The row whose generated value the server takes for LAST_INSERT_ID(), if it is one of these.
    std::optional<uint32_t> insertIdRow;
  };

  // Hears of each warning and error before it is stored, as long as rows wait that may be refused: an error
  // of theirs comes first, and the server would have evaluated no row behind it.
  class Conditions final : public Internal_error_handler {
   public:
    explicit Conditions(Session& session) : session_(session) {}
    bool handle_condition(THD*, uint, const char*, Sql_condition::enum_warning_level* level, const char*,
                          Sql_condition**) override {
      return session_.isForestalled(*level);
    }

   private:
    Session& session_;
  };

  bool hasDueRows() const;
  // Sends rows that wait. True: one was refused, which was raised instead of the condition.
  bool isForestalled(Sql_condition::enum_warning_level level);
  void listen();
  void stopListening();
  void noteRow(Waiting& waiting, bool hasInsertId);
  void forgetInsertId(size_t place);
  uint32_t timeoutMs(Work work = Work::SHORT) const;
  // A session with the host, with its number; 0: failure_ says why not.
  uint32_t connect(bool mayCancel);
  wire::Begin begin() const;
  client::Request requestOf(const Waiting& waiting, const wire::Scope& scope) const;
  // BEGIN if the transaction has not begun, what waits, and the last request (0: none).
  std::vector<client::Request> chain(uint32_t lastMethod, std::string lastBody) const;
  bool exceedsFrame(size_t lastBytes) const;
  int run(uint32_t method, std::string body, Reply& reply, Work work = Work::SHORT);
  int callOutside(uint32_t method, std::string body, Reply& reply, Work work);
  bool waitFor(const client::CallPointer& call, bool mayCancel);
  // What was sent. Where it failed, some of it may not have been done.
  void dropSent(bool hasFailed = false);
  // From this one on: it never will be sent.
  void dropUnsent(size_t from = 0);
  void discardBlobs(std::vector<uint64_t>& blobs);

  // Failures: the error for the server.
  int errorOfLast() const;
  int fail(const client::Failure& failure);
  // The host has undone the transaction, or can't have it go on: so must the server.
  int die(int error);
  int failedChain(bool begins, size_t index, const client::Failure& failure);
  int failedWaiting(size_t place, int error);
  int failedAlone(const client::Failure& failure);

  // commit.cpp.
  int commitOnHost();
  CommitMark nextCommit() const;
  // Before a commit is sent in the session that is there. Where this guest's memory was rolled back since the
  // last one, the host is asked whether the commit, or one behind it, was made in the state that is gone.
  int checkRolledBack(const CommitMark& mark);
  // A transaction that is prepared leaves no number by which the host could tell whether it was made before.
  int checkRolledBack();
  void noteStored(const CommitMark& mark);
  wire::Scope commitScope(const CommitMark& mark) const;
  bool isWholeTransaction() const;
  int changeAlone(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed);
  bool findCommit(const CommitMark& mark, const std::string& session, bool& isDone);
  int failUnknown();
  void rollbackOnHost();
  int raise(int error);
  void forgetTransaction();
  void takeRowsBack(size_t from);
  // The transaction is over, and was not rolled back.
  void keepRows();

  THD* const thd_;
  const uint32_t stream_;
  client::Failure failure_;
  bool isRaised_ = false;  // the failure was told to the client
  uint duplicateIndex_ = static_cast<uint>(-1);

  // The transaction.
  bool begun_ = false;  // on the host
  bool dead_ = false;   // it was rolled back on the host; the server is to do so, too
  bool locked_ = false;
  bool wrote_ = false;  // or has writes waiting
  bool wantsSnapshot_ = false;
  uint32_t epoch_ = 0;  // the session that it, or the last call, travelled in
  // How many renewed sessions it has asked the host about: one is renewed when the guest's memory was rolled
  // back.
  uint32_t renewals_;
  std::optional<PreparedXid> prepared_;
  uint32_t statement_ = 0;
  bool inStatement_ = false;
  bool statementSent_ = false;  // writes of this statement may be on the host
  Use statementUse_ = Use::READ;
  std::vector<Waiting> waiting_;
  Conditions conditions_{*this};
  bool isListening_ = false;  // conditions_ is one of the THD's handlers
  bool isForestalling_ = false;
  size_t waitingBytes_ = 0;
  size_t waitingBlobs_ = 0;
  std::vector<uint64_t> newBlobs_;  // of rows that do not wait yet
  struct Savepoint {
    uint64_t number;
    bool isReleased;
    size_t countedRows;  // entries of countedRows_ that it keeps
  };
  struct CountedRows {
    std::shared_ptr<AddedRows> counter;
    uint32_t statement;
    int64_t added;
  };
  std::vector<CountedRows> countedRows_;  // of the transaction
  std::vector<Savepoint> savepoints_;     // a stack, as on the host
  uint64_t nextSavepoint_ = 1;
  uint64_t lastCommit_ = 0;
  // Rows of the transaction were written for certain, and not undone: the host keeps its commit's number.
  bool leavesNumber_ = false;
  CommitMark stored_;  // the last commit whose number the host has for certain
  std::vector<std::string> doomed_;

  std::mutex mutex_;  // of what follows
  bool replicates_ = false;
  client::CallPointer current_;
  uint64_t sinceMs_ = 0;
};

}  // namespace vamos::mariadb
