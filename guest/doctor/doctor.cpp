// vamos-doctor: says whether ENGINE=VAMOS can work in this guest, and how to mend what is wrong. Changes
// nothing.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.hpp"
#include "command.hpp"

namespace vamos::doctor {
namespace {

constexpr const char* kDefaultChannel = "virtio-serial:vamos.0";  // as the plugin's
constexpr const char* kUsage =
    "usage: vamos-doctor [OPTION...]\n"
    "Checks what ENGINE=VAMOS needs in this guest, and says how to mend what is wrong. Run it as root.\n"
    "  --channel ADDRESS   virtio-serial:NAME, unix:PATH or vsock:CID:PORT (default: vamos_channel of the\n"
    "                      server's configuration)\n"
    "  --server FILE       default /usr/sbin/mariadbd\n"
    "  --defaults-file FILE  the server's configuration (default: what the server reads by itself)\n"
    "  --plugin-dir DIR    default /usr/lib/mysql/plugin\n"
    "  --user NAME         whom the server runs as (default mysql)\n"
    "  --client COMMAND    asks a running server, options included (default mariadb)\n"
    "  --timeout SECONDS   that the host may take to answer (default 5)\n"
    "Exit status: 0 all is well, 1 something is wrong, 2 usage.\n";

struct Options {
  std::string channel;
  std::string tokenFile;
  std::string server = "/usr/sbin/mariadbd";
  std::string defaultsFile;
  std::string pluginFolder = "/usr/lib/mysql/plugin";
  std::string user = "mysql";
  std::string client = "mariadb";
  uint32_t timeoutMs = 5000;
};

// What was looked at, how it is, and what helps.
class Report {
 public:
  void good(const std::string& what) { print("ok   ", what, {}); }
  void note(const std::string& what, const std::string& advice = {}) { print("note ", what, advice); }
  void bad(const std::string& what, const std::string& advice) {
    print("WRONG", what, advice);
    isWell_ = false;
  }
  bool isWell() const { return isWell_; }

 private:
  static void print(const char* mark, const std::string& what, const std::string& advice) {
    std::printf("%s  %s\n", mark, what.c_str());
    std::istringstream lines(advice);
    for (std::string line; std::getline(lines, line);) std::printf("         %s\n", line.c_str());
  }
  bool isWell_ = true;
};

// '10.11.18-MariaDB-0+deb12u1' of 'mariadbd  Ver 10.11.18-MariaDB-0+deb12u1 for debian-linux-gnu …'.
std::string serverVersion(const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == "Ver" && words >> word) return word;
  }
  return {};
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}

bool startsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// The last value of an option that the server is given by its configuration, '-' and '_' being the same.
std::optional<std::string> configured(const std::string& arguments, std::string_view name) {
  std::istringstream words(arguments);
  std::optional<std::string> value;
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    std::string option = word.substr(0, equals);
    for (char& letter : option) letter = letter == '_' ? '-' : letter;
    if (startsWith(option, "--loose-")) option.erase(2, 6);
    if (option == "--" + std::string(name) && equals != std::string::npos) value = word.substr(equals + 1);
  }
  return value;
}

void checkServer(const Options& options, Report& report) {
  const CommandResult result = runCommand({options.server, "--no-defaults", "--version"});
  const std::string version = serverVersion(result.output);
  if (version.empty()) {
    report.bad("no MariaDB server at " + options.server,
               "apt install mariadb-server, or give --server where it is another one");
    return;
  }
  if (!startsWith(version, VAMOS_SERVER_VERSION)) {
    report.bad(
        "the server is " + version + ", the plugin is built for " VAMOS_SERVER_VERSION,
        "A server takes only plugins of its own version ('API version … not supported'). Either install\n"
        "the vamos-mariadb package built for " +
            version +
            " (npm run build:mariadb -- --newest, then\n"
            "npm run package:mariadb), or the server of the plugin's version:\n"
            "apt install --allow-downgrades mariadb-server-core=" VAMOS_SERVER_PACKAGE
            " mariadb-server=" VAMOS_SERVER_PACKAGE);
    return;
  }
  report.good("server " + version + ", plugin for " VAMOS_SERVER_VERSION);
}

// What the server's files say (my.cnf and what it includes), as arguments.
std::string serverArguments(const Options& options) {
  std::vector<std::string> command{options.server};
  if (!options.defaultsFile.empty()) command.push_back("--defaults-file=" + options.defaultsFile);
  command.emplace_back("--print-defaults");
  return runCommand(command).output;
}

void checkPlugin(const Options& options, const std::string& arguments, Report& report) {
  const std::string file = options.pluginFolder + "/ha_vamos.so";
  if (!std::filesystem::exists(file)) {
    report.bad("no plugin at " + file, "apt install --reinstall vamos-mariadb, or give --plugin-dir");
    return;
  }
  // The server loads it, prints what it would do, and ends; nothing is started.
  const CommandResult result =
      runCommand({options.server, "--no-defaults", "--plugin-dir=" + options.pluginFolder,
                  "--plugin-maturity=experimental", "--plugin-load-add=ha_vamos.so", "--verbose", "--help"});
  if (result.output.find("vamos-channel") == std::string::npos) {
    std::string why;
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);) {
      if (line.find("[ERROR]") != std::string::npos) why += line + "\n";
    }
    report.bad("the server does not load " + file,
               why + "The server's version and the plugin's must be the same.");
    return;
  }
  report.good("the server can load " + file);
  if (arguments.find("ha_vamos") == std::string::npos) {
    report.bad("the server's configuration does not load the plugin",
               "In /etc/mysql/mariadb.conf.d/vamos.cnf, section [mariadbd]: plugin_load_add = ha_vamos");
  }
}

// Whether the running server has the engine. True: it has, so the channel is its own.
bool checkRunning(const Options& options, Report& report) {
  std::vector<std::string> command = words(options.client);
  for (const char* argument : {"--batch", "--skip-column-names", "--connect-timeout=3", "-e"})
    command.emplace_back(argument);
  command.emplace_back(
      "SELECT 'status', plugin_status FROM information_schema.plugins WHERE plugin_name = 'VAMOS'");
  const CommandResult result = runCommand(command);
  if (result.status < 0) {
    report.note("no client '" + options.client + "' to ask the running server", "apt install mariadb-client");
    return false;
  }
  if (result.status != 0) {
    std::string why = result.output.substr(0, result.output.find('\n'));
    report.note("the server can't be asked (not running, or no right): " + why,
                "systemctl status mariadb; journalctl -u mariadb");
    return false;
  }
  if (result.output.find("status\tACTIVE") == std::string::npos) {
    report.bad("the running server has not loaded the engine",
               "systemctl restart mariadb; journalctl -u mariadb says why if it still has not");
    return false;
  }
  report.good("the running server has ENGINE=VAMOS");
  return true;
}

bool mayOpen(const struct stat& file, const passwd& user) {
  if (user.pw_uid == 0) return true;
  if (file.st_uid == user.pw_uid) return (file.st_mode & 0600) == 0600;
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) < 0) count = 0;
  for (int index = 0; index < count; index++) {
    if (groups[static_cast<size_t>(index)] == file.st_gid) return (file.st_mode & 0060) == 0060;
  }
  return (file.st_mode & 0006) == 0006;
}

std::string portsThere() {
  std::string names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/virtio-ports", error)) {
    names += (names.empty() ? "" : ", ") + entry.path().filename().string();
  }
  return names.empty() ? "none" : names;
}

// The device or socket behind the address: there, and the server's user may open it.
bool checkPort(const Options& options, Report& report) {
  std::string file;
  const bool isPort = startsWith(options.channel, "virtio-serial:");
  if (isPort) {
    file = "/dev/virtio-ports/" + options.channel.substr(std::strlen("virtio-serial:"));
  } else if (startsWith(options.channel, "unix:")) {
    file = options.channel.substr(std::strlen("unix:"));
  } else {
    return true;  // nothing to see but by connecting
  }
  struct stat about {};
  if (stat(file.c_str(), &about) != 0) {
    const std::string why = file + ": " + std::strerror(errno);
    if (isPort) {
      report.bad(why + " (ports here: " + portsThere() + ")",
                 "The domain has no such channel. In its XML, under <devices>:\n"
                 "  <channel type='unix'><source mode='bind' path='/run/vamos/NAME.sock'/>\n"
                 "    <target type='virtio' name='THE PORT'/></channel>\n"
                 "(`vamos vm snippet` on the host prints it). A port that is there without a name in\n"
                 "/dev/virtio-ports: udevadm trigger --subsystem-match=virtio-ports");
    } else {
      report.bad(why, "The host daemon that makes this socket is not running: `vamos host status`");
    }
    return false;
  }
  const passwd* user = getpwnam(options.user.c_str());
  if (user == nullptr) {
    report.note("no user '" + options.user + "' here: who may open " + file + " was not checked");
    return true;
  }
  if (!mayOpen(about, *user)) {
    report.bad("user " + options.user + " may not open " + file,
               "The package's udev rule gives ports named vamos* to group mysql:\n"
               "  udevadm control --reload && udevadm trigger --subsystem-match=virtio-ports\n"
               "For a port of another name copy /usr/lib/udev/rules.d/60-vamos.rules to /etc/udev/rules.d "
               "and change\n"
               "it.");
    return false;
  }
  report.good("user " + options.user + " may open " + file);
  return true;
}

void checkHost(const Options& options, bool isServers, Report& report) {
  client::Options connection;
  connection.address = options.channel;
  connection.program = "vamos-doctor";
  connection.connectTimeoutMs = options.timeoutMs;
  if (!options.tokenFile.empty()) {
    std::ifstream file(options.tokenFile);
    if (!std::getline(file, connection.token)) {
      report.bad("no token can be read from " + options.tokenFile,
                 "It is vamos_token_file of the server's configuration.");
    }
  }
  client::Client session(connection);
  client::Failure failure;
  if (session.connect(options.timeoutMs, failure) != 0) {
    report.good("the host answers on " + options.channel);
    return;
  }
  if (isServers && startsWith(options.channel, "virtio-serial:")) {
    report.note("the port is the server's, so only the server can ask the host over it",
                "SHOW ENGINE VAMOS STATUS tells how it is connected");
    return;
  }
  report.bad(
      "the host does not answer on " + options.channel + ": " + failure.message,
      "On the host: is the daemon running, and is this guest's state 'serving'? `vamos host status`;\n"
      "journalctl -u vamos-host. Its channel must be the socket in the domain's XML. A token that the host\n"
      "asks for: set VAMOS_TOKEN for this program, vamos_token for the server.");
}

// False: not understood.
bool parse(int count, char** values, Options& options) {
  for (int index = 1; index < count; index++) {
    const std::string_view name = values[index];
    if (index + 1 == count) return false;
    const std::string value = values[++index];
    if (name == "--channel")
      options.channel = value;
    else if (name == "--server")
      options.server = value;
    else if (name == "--defaults-file")
      options.defaultsFile = value;
    else if (name == "--plugin-dir")
      options.pluginFolder = value;
    else if (name == "--user")
      options.user = value;
    else if (name == "--client")
      options.client = value;
    else if (name == "--timeout")
      options.timeoutMs = static_cast<uint32_t>(std::atoi(value.c_str())) * 1000;
    else
      return false;
  }
  return options.timeoutMs > 0;
}

bool examine(Options options) {
  Report report;
  checkServer(options, report);
  const std::string arguments = serverArguments(options);
  checkPlugin(options, arguments, report);
  const bool isServers = checkRunning(options, report);
  if (options.channel.empty())
    options.channel = configured(arguments, "vamos-channel").value_or(kDefaultChannel);
  options.tokenFile = configured(arguments, "vamos-token-file").value_or("");
  if (checkPort(options, report)) checkHost(options, isServers, report);
  std::printf(report.isWell() ? "All is well.\n" : "Something is wrong: see above.\n");
  return report.isWell();
}

}  // namespace
}  // namespace vamos::doctor

int main(int count, char** values) {
  vamos::doctor::Options options;
  if (count == 2 && std::string_view(values[1]) == "--help") {
    std::fputs(vamos::doctor::kUsage, stdout);
    return 0;
  }
  if (!vamos::doctor::parse(count, values, options)) {
    std::fputs(vamos::doctor::kUsage, stderr);
    return 2;
  }
  return vamos::doctor::examine(options) ? 0 : 1;
}
