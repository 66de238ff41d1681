#include <my_global.h>
#include <sql_class.h>
#include <violite.h>

// The server's headers come first: they define what the standard's must not see.
#include <chrono>

#include "mariadb/session.hpp"
#include "mariadb/session_watch.hpp"

namespace vamos::mariadb {

namespace {

constexpr std::chrono::milliseconds LOOK_EACH{500};
constexpr uint64_t PATIENCE_MS = 500;

uint64_t nowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

bool isClientGone(THD* thd) {
  mysql_mutex_lock(&thd->LOCK_thd_data);
  const bool isGone = !thd->system_thread && thd->net.vio && !vio_is_connected(thd->net.vio);
  mysql_mutex_unlock(&thd->LOCK_thd_data);
  return isGone;
}

}  // namespace

SessionWatch::SessionWatch() : thread_([this] { run(); }) {}

SessionWatch::~SessionWatch() {
  {
    std::lock_guard lock(mutex_);
    isEnding_ = true;
  }
  ending_.notify_one();
  thread_.join();
}

void SessionWatch::add(Session* session) {
  std::lock_guard lock(mutex_);
  sessions_.insert(session);
}

void SessionWatch::remove(Session* session) {
  std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

size_t SessionWatch::count() {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

void SessionWatch::run() {
  my_thread_init();
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, LOOK_EACH, [this] { return isEnding_; })) {
    const uint64_t now = nowMs();
    for (Session* session : sessions_) {
      const uint64_t since = session->waitingSinceMs();
      if (since == 0 || now < since + PATIENCE_MS) continue;
      // The session is among these while its THD lives.
      THD* thd = session->thd();
      if (thd->killed == NOT_KILLED && isClientGone(thd)) thd->awake(KILL_CONNECTION);
    }
  }
  my_thread_end();
}

}  // namespace vamos::mariadb
