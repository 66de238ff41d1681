#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "client/client.hpp"
#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

// Something that a session wants the host to do. make() connects if need be, sends the requests and waits for
// the answer. If the session with the host is lost meanwhile, it does so again, unless the host could then do
// something twice. Derived classes say what is sent, whether it may be sent again, and how to find out what
// the host has done if its answer never came.
class Session::Attempt {
 public:
  enum class Ending {
    DONE,      // The host has done it.
    AGAIN,     // The session was lost and the host has not done it. It is made again.
    LOST,      // The session was lost and the host has not done it, but it can't be made again.
    GIVEN_UP,  // The statement was killed, or waited for too long. The session goes on.
    REFUSED,   // The host says that it failed.
    FAILED,    // It was not sent, or whether the host has done it is not known: error() says more.
  };

  // A request inside the transaction, and one outside of it.
  class InTransaction;
  class Outside;
  // A commit: of the transaction, or of a request that is a transaction of its own.
  class Commit;
  class TransactionCommit;
  class RequestCommit;
  class Prepare;

  Attempt(Session& session, uint32_t timeoutMs) : session_(session), timeoutMs_(timeoutMs) {}
  virtual ~Attempt() = default;
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Attempts it until it ends in something else than AGAIN.
  Ending make();

  // No transaction was open on the host when the requests were sent, so they are all of their transaction.
  bool isWhole() const { return isWhole_; }
  const client::CallPointer& call() const { return call_; }
  // The host answered that it has done it. Otherwise failure() says why it did not, or why no answer came.
  bool isAnswered() const { return failure_.code == ErrorCode::OK; }
  const client::Failure& failure() const { return failure_; }
  // It was attempted before in a session that was lost.
  bool wasRepeated() const { return wasRepeated_; }
  // The server's error, if the attempt ended in FAILED.
  int error() const { return error_; }

 protected:
  // Is called before the requests are sent in the present session. An error keeps them from being sent.
  virtual int check() { return 0; }
  virtual std::vector<client::Request> requests(client::CallOptions& options) = 0;
  // Finds out whether the host has done it after no answer came (failure_). Returns an error if that can't be
  // known.
  virtual int findOutcome(bool& /*isDone*/) { return 0; }

  Session& session_;
  client::Failure failure_;
  // A kill of the statement ends the wait for a session, and the wait for the answer.
  bool mayCancelConnect_ = true;
  bool mayCancelAnswer_ = true;
  // It may be made again after a loss. This counts for what isWhole() only: what an open transaction did
  // before can't be made again.
  bool isRepeatable_ = false;
  // The last request's bytes, if what waits in the session goes ahead of it in the same chain.
  std::optional<size_t> lastBytes_;

 private:
  Ending makeOnce(int number);
  Ending fail(int error);

  const uint32_t timeoutMs_;
  bool isWhole_ = false;
  bool wasRepeated_ = false;
  client::CallPointer call_;
  int error_ = 0;
};

}  // namespace vamos::mariadb
