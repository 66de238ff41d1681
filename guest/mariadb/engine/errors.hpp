#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "client/client.hpp"

namespace vamos::mariadb {

// An error of the host that handler.h has no number for has this number, and the host's code added to it.
// get_error_message returns its text.
constexpr int firstError = 2000;

// Returns the failure's number in handler.h, or one from firstError on.
int errorOf(const client::Failure& failure);

// Returns a text for people: 'host daemon unreachable at unix:/x: …'.
std::string describe(const client::Failure& failure);

// Does what handler::get_error_message does for an error that errorOf() returned. Returns true for an error
// that passes by itself.
bool getErrorMessage(int error, const client::Failure& failure, String* buffer);

// Raises the error for the client, for calls whose errors no handler prints (commit, definitions).
void raiseError(THD* thd, int error, const client::Failure& failure);

// What a failure with DUPLICATE_KEY tells: the host's number of the index, and the number of the row in the
// batch.
struct Duplicate {
  uint32_t index = 0;
  uint32_t row = 0;
};
// Returns false if the failure is another one.
bool duplicateOf(const client::Failure& failure, Duplicate& duplicate);

}  // namespace vamos::mariadb
