#include "mariadb/engine/errors.hpp"

#include <handler.h>
#include <mysqld_error.h>

#include "mariadb/engine/variables.hpp"

namespace vamos::mariadb {

namespace {

constexpr auto lastCode = static_cast<ErrorCode>(999);

}  // namespace

int errorOf(const client::Failure& failure) {
  switch (failure.code) {
    case ErrorCode::OK:
      return 0;
    case ErrorCode::DUPLICATE_KEY:
      return HA_ERR_FOUND_DUPP_KEY;
    case ErrorCode::NOT_FOUND:
      return HA_ERR_KEY_NOT_FOUND;
    case ErrorCode::LOCK_TIMEOUT:
    case ErrorCode::LOCK_NOT_AVAILABLE:
      return HA_ERR_LOCK_WAIT_TIMEOUT;
    case ErrorCode::DEADLOCK:
      return HA_ERR_LOCK_DEADLOCK;
    case ErrorCode::TABLE_EXISTS:
      return HA_ERR_TABLE_EXIST;
    case ErrorCode::TABLE_MISSING:
      return HA_ERR_NO_SUCH_TABLE;
    case ErrorCode::TABLE_CHANGED:
    case ErrorCode::SNAPSHOT_TOO_OLD:
      return HA_ERR_TABLE_DEF_CHANGED;
    case ErrorCode::ROW_CHANGED:
      return HA_ERR_RECORD_CHANGED;
    case ErrorCode::FRAME_TOO_LARGE:
      return HA_ERR_TO_BIG_ROW;
    default:
      // A host may send any number. None may become 0, or the number of an error of the server's.
      return firstError + static_cast<int>(failure.code <= lastCode ? failure.code : ErrorCode::INTERNAL);
  }
}

std::string describe(const client::Failure& failure) {
  if (isUnreachable(failure.code)) {
    const std::string channel = std::string(variables::channel()) + ": ";
    const bool hasIt = failure.message.starts_with(channel);
    return "host daemon unreachable at " + (hasIt ? "" : channel) + failure.message;
  }
  if (failure.code == ErrorCode::DEADLINE_EXCEEDED) {
    return std::string("no answer in time from the host daemon at ") + variables::channel();
  }
  return failure.message;
}

bool getErrorMessage(int error, const client::Failure& failure, String* buffer) {
  const bool isDeadlock = error == HA_ERR_LOCK_DEADLOCK;
  if (!isDeadlock && error < firstError) return false;
  // The server's own text about a deadlock comes before this one.
  std::string text = isDeadlock ? "" : describe(failure);
  if (isDeadlock && failure.code != ErrorCode::DEADLOCK && failure.code != ErrorCode::OK) {
    text = " (the transaction was rolled back: " + describe(failure) + ")";
  }
  buffer->copy(text.data(), text.size(), system_charset_info);
  return isPassing(failure.code);
}

void raiseError(THD* thd, int error, const client::Failure& failure) {
  String text;
  const bool passes = getErrorMessage(error, failure, &text);
  switch (error) {
    case HA_ERR_LOCK_DEADLOCK:
      my_printf_error(ER_LOCK_DEADLOCK, "%s%s", MYF(0), ER_THD(thd, ER_LOCK_DEADLOCK), text.c_ptr_safe());
      break;
    case HA_ERR_LOCK_WAIT_TIMEOUT:
      my_error(ER_LOCK_WAIT_TIMEOUT, MYF(0));
      break;
    case HA_ERR_ABORTED_BY_USER:
      thd->send_kill_message();
      break;
    default:
      if (text.is_empty()) {
        const std::string reason = describe(failure);
        text.copy(reason.data(), reason.size(), system_charset_info);
      }
      my_error(passes ? ER_GET_TEMPORARY_ERRMSG : ER_GET_ERRMSG, MYF(0), error, text.c_ptr_safe(), "VAMOS");
  }
}

bool duplicateOf(const client::Failure& failure, Duplicate& duplicate) {
  if (failure.code != ErrorCode::DUPLICATE_KEY || failure.detail.size() < 8) return false;
  const char* bytes = failure.detail.data();
  duplicate.index = uint4korr(bytes);
  duplicate.row = uint4korr(bytes + 4);
  return true;
}

}  // namespace vamos::mariadb
