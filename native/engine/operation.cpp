#include "engine/operation.hpp"

namespace vamos::engine {
namespace {

std::string cancelMessage(ErrorCode code) {
  switch (code) {
    case ErrorCode::LOCK_TIMEOUT:
      return "waited too long for a row that another transaction has locked; the request is undone";
    case ErrorCode::DEADLINE_EXCEEDED:
      return "the deadline passed; the request is undone";
    default:
      return "cancelled; the request is undone";
  }
}

}  // namespace

Progress Operation::go(const Budget& budget) {
  const auto code = static_cast<ErrorCode>(cancelCode.load());
  if (code == ErrorCode::OK) {
    // One that is cancelled while it runs must not wait for a lock then: others would find circles through
    // it.
    if (transaction) transaction->setStopSign(&cancelCode);
    const Progress progress = runOrFail(budget);
    if (transaction) transaction->setStopSign(nullptr);
    return progress;
  }
  if (transaction) transaction->stopWaiting();
  undo();
  return done(Outcome::failure(code, cancelMessage(code)));
}

Progress Operation::runOrFail(const Budget& budget) {
  try {
    return run(budget);
  } catch (StoreError& error) {
    undo();
    return done(Outcome::failure(error.code, std::move(error.message)));
  }
}

Outcome deadlockOutcome() {
  return Outcome::failure(ErrorCode::DEADLOCK,
                          "deadlock: this transaction was chosen as victim and is rolled back; run it again");
}

Outcome lockedOutcome() {
  return Outcome::failure(ErrorCode::LOCK_NOT_AVAILABLE,
                          "another transaction has locked a row of this request, which asked not to wait");
}

}  // namespace vamos::engine
