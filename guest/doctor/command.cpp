#include "command.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace vamos::doctor {

CommandResult runCommand(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  CommandResult result;
  if (pipe(ends.data()) != 0) return result;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  if (child > 0) {
    std::array<char, 4096> bytes{};
    for (ssize_t count; (count = read(ends[0], bytes.data(), bytes.size())) != 0;) {
      if (count > 0)
        result.output.append(bytes.data(), static_cast<size_t>(count));
      else if (errno != EINTR)
        break;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 127) result.status = WEXITSTATUS(status);
  }
  close(ends[0]);
  return result;
}

}  // namespace vamos::doctor
