#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "client/client.hpp"

namespace vamos::mariadb {

// Errors of the host that handler.h has no number for: this and the host's code. The text of the failure is
// what get_error_message gives.
constexpr int firstError = 2000;

// The number of handler.h, or one from firstError on.
int errorOf(const client::Failure& failure);

// For people: 'host daemon unreachable at unix:/x: …'.
std::string describe(const client::Failure& failure);

// handler::get_error_message for what errorOf() gave: true for an error that passes by itself.
bool getErrorMessage(int error, const client::Failure& failure, String* buffer);

// Where no handler prints it (commit, definitions): raises the error for the client.
void raiseError(THD* thd, int error, const client::Failure& failure);

// Of DUPLICATE_KEY: the host's number of the index, and which row of the batch.
struct Duplicate {
  uint32_t index = 0;
  uint32_t row = 0;
};
bool duplicateOf(const client::Failure& failure, Duplicate& duplicate);

}  // namespace vamos::mariadb
