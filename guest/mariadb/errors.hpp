#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>
#include <string>

#include "client/client.hpp"

namespace vamos::mariadb {

// Errors of the host that handler.h has no number for: this and the host's code. The text of the failure is
// what get_error_message gives.
constexpr int FIRST_ERROR = 2000;

// The number of handler.h, or one from FIRST_ERROR on.
int errorOf(const client::Failure& failure);

// For people: 'host daemon unreachable at unix:/x: …'.
std::string describe(const client::Failure& failure);

// handler::get_error_message: true for an error that passes by itself.
bool getErrorMessage(const client::Failure& failure, String* buffer);

// handler::print_error for what the server would word wrongly or not at all: true where it raised the error.
// (A transaction that died with its session is reported with a deadlock's number, so that clients retry it,
// and its own text.)
bool printError(int error, const client::Failure& failure, myf flags);

// Of DUPLICATE_KEY: the host's number of the index, and which row of the batch.
struct Duplicate {
  uint32_t index = 0;
  uint32_t row = 0;
};
bool duplicateOf(const client::Failure& failure, Duplicate& duplicate);

}  // namespace vamos::mariadb
