#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <unordered_set>

namespace vamos::mariadb {

class Session;

// Knows all sessions, and has a thread that looks after those that wait for the host:
// - The server looks at a client's socket only between statements. The thread ends a statement whose client
// has
//   gone away.
// - Threads of parallel replication must not wait for locks of transactions that are to be committed after
//   theirs. The thread tells the server who waits.
// The thread also ends prepared transactions whose end found no host, once the host is back.
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
  // Returns whether any session applies transactions for replication.
  bool unblockReplication(uint64_t nowMs);

  std::mutex mutex_;  // guards what follows
  std::unordered_set<Session*> sessions_;
  bool isEnding_ = false;
  std::condition_variable ending_;
  std::thread thread_;
};

// The watch exists from the plugin's start to its end.
SessionWatch& watch();
void startWatch();
void stopWatch();

}  // namespace vamos::mariadb
