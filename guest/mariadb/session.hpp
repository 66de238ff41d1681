#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "wire/tables.hpp"

namespace vamos::mariadb {

class Table;
class ha_vamos;

// The body of an answer, and what keeps its bytes.
struct Reply {
  client::CallPointer call;
  std::string_view body;
};

// What a statement does with a table.
enum class Use { READ, LOCK, WRITE };

// How late an error of a write may surface.
enum class Surfaces {
  AT_ONCE,       // it is sent, and its outcome known, before write() returns
  IN_STATEMENT,  // at the next request, or when its statement ends
  LATER,         // even after its statement: of rows that are locked, where no unique key changes
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
// same chain. Writes whose errors may surface later wait here and go ahead of the next request, too: of
// COMMIT, so that a plain autocommit insert is one frame. The end of a transaction that neither wrote nor
// locked is sent with what comes next.
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

  // A transaction is open on the host, which then changes no definitions for this stream.
  bool hasBegun() const { return begun_; }
  // It was open, and ended without the server, which has not rolled back yet: until then all calls fail.
  bool isDead() const { return dead_; }
  // A temporary table that the open transaction may use goes with its end.
  void dropAfterTransaction(std::string table) { doomed_.push_back(std::move(table)); }

  // Rows of a write batch (FORMATS.md). Rows of the same handler, statement and kind join the batch before.
  // duplicateLock: on the row whose key an inserted one has, as Write.duplicate_lock.
  // Where rows that waited are refused, the handler's raiseRefusal says so to the client, and the call that
  // met it returns what raiseRefusal did.
  int write(ha_vamos& handler, uint32_t method, std::string_view rows, uint64_t autoIncrementSeen,
            Surfaces surfaces, wire::Lock duplicateLock);
  // A transaction of its own, committed once even where its answer is lost: rows for a table that nobody sees
  // yet. Their errors are returned; raiseRefusal is not called.
  int writeAlone(Table& table, uint32_t method, std::string_view rows, uint64_t autoIncrementSeen);
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
  // The handler is about to go: rows of its that may wait no longer than their statement do so no more.
  void forget(ha_vamos& handler);

  // Of the last call that failed.
  const client::Failure& failure() const { return failure_; }
  THD* thd() const { return thd_; }
  uint32_t stream() const { return stream_; }

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
  static constexpr size_t MOST_BLOBS = 16;

  // What goes ahead of the next request.
  struct Waiting {
    uint32_t method = 0;
    uint32_t statement = 0;       // that it is part of; 0: none, it is a savepoint's
    std::string body;             // of a write: its rows
    std::vector<uint64_t> blobs;  // that the rows refer to
    ha_vamos* handler = nullptr;
    uint32_t table = 0;  // 0: no write
    uint32_t version = 0;
    uint64_t autoIncrementSeen = 0;
    uint64_t savepoint = 0;  // that it sets
    Surfaces surfaces = Surfaces::LATER;
    wire::Lock duplicateLock = wire::Lock::NO_LOCK;
  };

  bool isInMultiStatement() const;
  uint32_t timeoutMs(Work work = Work::SHORT) const;
  // A session with the host, with its number; 0: failure_ says why not.
  uint32_t connect(bool mayCancel);
  wire::Begin begin() const;
  client::Request requestOf(const Waiting& waiting, wire::Scope scope) const;
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
  wire::Scope commitScope(uint64_t number) const;
  bool isWholeTransaction() const;
  int changeAlone(uint32_t method, wire::ChangeWhere request, bool isOneRow, wire::Changed& changed);
  bool findCommit(uint64_t number, bool& isDone);
  int failUnknown();
  void rollbackOnHost();
  int raise(int error);
  void forgetTransaction();

  THD* const thd_;
  const uint32_t stream_;
  client::Failure failure_;
  bool isRaised_ = false;  // the failure was told to the client

  // The transaction.
  bool begun_ = false;  // on the host
  bool dead_ = false;   // it was rolled back on the host; the server is to do so, too
  bool locked_ = false;
  bool wrote_ = false;  // or has writes waiting
  bool wantsSnapshot_ = false;
  uint32_t epoch_ = 0;  // the session that it, or the last call, travelled in
  std::string prepared_;
  uint32_t statement_ = 0;
  bool inStatement_ = false;
  bool statementSent_ = false;  // writes of this statement may be on the host
  Use statementUse_ = Use::READ;
  std::vector<Waiting> waiting_;
  size_t waitingBytes_ = 0;
  size_t waitingBlobs_ = 0;
  std::vector<uint64_t> newBlobs_;  // of rows that do not wait yet
  struct Savepoint {
    uint64_t number;
    bool isReleased;
  };
  std::vector<Savepoint> savepoints_;  // a stack, as on the host
  uint64_t nextSavepoint_ = 1;
  uint64_t nextCommit_ = 1;
  std::vector<std::string> doomed_;

  std::mutex mutex_;  // of what follows
  bool replicates_ = false;
  client::CallPointer current_;
  uint64_t sinceMs_ = 0;
};

}  // namespace vamos::mariadb
