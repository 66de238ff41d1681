#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <unordered_set>

namespace vamos::mariadb {

class Session;

// All sessions. A thread here looks after those that wait for the host: the server looks at a client's socket
// only between statements, so what a client waited for that went away is ended here; and threads of parallel
// replication must not wait for locks of those that are to be committed after them. It also ends prepared
// transactions whose end found no host, once the host is back.
class SessionWatch {
 public:
  SessionWatch();
  ~SessionWatch();
  void add(Session* session);
  void remove(Session* session);
  size_t count();

 private:
  void run();
  static void finishPreparedIfConnected();
  void endAbandoned(uint64_t nowMs);
  // Whether there is replication at all.
  bool unblockReplication(uint64_t nowMs);

  std::mutex mutex_;  // of what follows
  std::unordered_set<Session*> sessions_;
  bool isEnding_ = false;
  std::condition_variable ending_;
  std::thread thread_;
};

// From the plugin's start to its end.
SessionWatch& watch();

}  // namespace vamos::mariadb
