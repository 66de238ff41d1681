#pragma once

#include <string>
#include <vector>

namespace vamos::doctor {

struct CommandResult {
  int status = -1;  // exit status; -1: it could not be run, or was killed
  std::string output;
};

// Runs a program (found on the path) to its end and keeps what it prints, standard error with it.
CommandResult runCommand(const std::vector<std::string>& arguments);

}  // namespace vamos::doctor
