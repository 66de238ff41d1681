#include "mariadb/session/attempt.hpp"

#include <my_base.h>

#include "mariadb/engine/engine.hpp"
#include "mariadb/session/retry.hpp"

namespace vamos::mariadb {

Session::Attempt::Ending Session::Attempt::make() {
  Ending ending = Ending::AGAIN;
  for (int number = 1; ending == Ending::AGAIN; ++number) ending = makeOnce(number);
  return ending;
}

Session::Attempt::Ending Session::Attempt::makeOnce(int number) {
  if (session_.mustRollBack_) return fail(HA_ERR_LOCK_DEADLOCK);
  wasRepeated_ = number > 1;
  isWhole_ = !session_.isOpenOnHost_;
  const uint32_t epoch = isWhole_ ? session_.connect(mayCancelConnect_) : session_.epoch_;
  if (epoch == 0) return fail(session_.errorOfLast());
  if (const int error = check()) return fail(error);
  if (lastBytes_ && !session_.waiting_.isEmpty() && session_.exceedsFrame(*lastBytes_)) {
    const int error = session_.flush();
    return error ? fail(error) : Ending::AGAIN;
  }
  client::CallOptions options;
  options.timeoutMs = timeoutMs_;
  options.epoch = epoch;
  std::vector<client::Request> chain = requests(options);
  session_.epoch_ = epoch;
  call_ = host().send(session_.stream_, std::move(chain), options);
  const bool isAnswered = session_.waitFor(call_, mayCancelAnswer_);
  failure_ = client::failureOf(call_);
  if (isAnswered) return Ending::DONE;
  const bool isSessionLost = isLost(failure_.code);
  if (!isSessionLost && !isGivenUp(failure_.code)) return Ending::REFUSED;
  bool isDone = false;
  if (const int error = findOutcome(isDone)) return fail(error);
  if (isDone) return Ending::DONE;
  if (!isSessionLost) return Ending::GIVEN_UP;
  return isWhole_ && isRepeatable_ && number < maxAttempts ? Ending::AGAIN : Ending::LOST;
}

Session::Attempt::Ending Session::Attempt::fail(int error) {
  error_ = error;
  return Ending::FAILED;
}

}  // namespace vamos::mariadb
