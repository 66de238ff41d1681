#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "client/client.hpp"
#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

// Something that a session wants the host to do. make() connects where that is needed, sends the requests and
// waits for the answer; where the session with the host was lost, it does so again if the host then does
// nothing twice. Derived classes say what is sent, and how it is found out whether the host has done
// something whose answer never came.
class Session::Attempt {
 public:
  enum class Ending {
    DONE,      // The host has done it.
    AGAIN,     // The session was lost and the host has not done it: it is made again.
    LOST,      // The same, but it can't be made again.
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

  // Returns no AGAIN.
  Ending make();

  // No transaction was open on the host when the requests were sent: they are all there is of one.
  bool isWhole() const { return isWhole_; }
  const client::CallPointer& call() const { return call_; }
  // The host answered that it has done it. Otherwise failure() says why it did not, or why no answer came.
  bool isAnswered() const { return failure_.code == ErrorCode::OK; }
  const client::Failure& failure() const { return failure_; }
  // It was sent in an earlier session, too.
  bool wasRepeated() const { return wasRepeated_; }
  // FAILED: the error for the server.
  int error() const { return error_; }

 protected:
  // Before it is sent in the session that is there: an error lets it fail.
  virtual int check() { return 0; }
  virtual std::vector<client::Request> requests(client::CallOptions& options) = 0;
  // No answer came (failure_). Finds out whether the host has done it, or fails with an error if that can't
  // be known.
  virtual int findOutcome(bool& /*isDone*/) { return 0; }

  Session& session_;
  client::Failure failure_;
  // Whether a kill of the statement ends the wait for a session, and that for the answer.
  bool mayCancelConnect_ = true;
  bool mayCancelAnswer_ = true;
  // Made again after a loss, it is done once. Nothing that an open transaction did can be made again.
  bool isRepeatable_ = false;
  // The bytes of the last request, where what waits in the session goes ahead of it.
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
