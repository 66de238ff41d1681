#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <unordered_set>

namespace vamos::mariadb {

class Session;

// All sessions. The server looks at a client's socket only between statements, so a thread here looks for
// clients that went away while their statement waits for the host, and ends what they waited for.
class SessionWatch {
 public:
  SessionWatch();
  ~SessionWatch();
  void add(Session* session);
  void remove(Session* session);
  size_t count();

 private:
  void run();

  std::mutex mutex_;  // of what follows
  std::unordered_set<Session*> sessions_;
  bool isEnding_ = false;
  std::condition_variable ending_;
  std::thread thread_;
};

// From the plugin's start to its end.
SessionWatch& watch();

}  // namespace vamos::mariadb
