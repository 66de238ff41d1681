#include "mariadb/session/session_watch.hpp"

#include <my_global.h>
#include <sql_class.h>
#include <violite.h>

#include <memory>

#include "mariadb/engine/engine.hpp"
#include "mariadb/session/commit_prepared.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

namespace {

// How often the thread looks at the sessions.
constexpr std::chrono::milliseconds lookInterval{500};
constexpr std::chrono::milliseconds replicationLookInterval{50};
// How long a session has waited when the thread looks whether its client is gone.
constexpr uint64_t patienceMs = 500;
// The host does not say whose lock a request waits for. A wait of this length is taken for a wait for a lock.
constexpr uint64_t replicationPatienceMs = 50;

bool isClientGone(THD* thd) {
  mysql_mutex_lock(&thd->LOCK_thd_data);
  const bool isGone = !thd->system_thread && thd->net.vio && !vio_is_connected(thd->net.vio);
  mysql_mutex_unlock(&thd->LOCK_thd_data);
  return isGone;
}

std::unique_ptr<SessionWatch> theWatch;

}  // namespace

SessionWatch& watch() { return *theWatch; }
void startWatch() { theWatch = std::make_unique<SessionWatch>(); }
void stopWatch() { theWatch.reset(); }

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
  auto each = lookInterval;
  while (!ending_.wait_for(lock, each, [this] { return isEnding_; })) {
    const uint64_t now = nowMs();
    each = unblockReplication(now) ? replicationLookInterval : lookInterval;
    endAbandoned(now);
    lock.unlock();
    finishPreparedIfConnected();
    lock.lock();
  }
  my_thread_end();
}

// Statements finish prepared transactions, too, before they use a session. But statements that wait for the
// locks of such a transaction can't, and an idle server has no statements.
void SessionWatch::finishPreparedIfConnected() {
  if (!hasPreparedToFinish()) return;
  client::Failure ignored;
  if (host().connect(1, ignored) != 0) finishPrepared();
}

// A session is in sessions_ no longer than its THD lives.

void SessionWatch::endAbandoned(uint64_t nowMs) {
  for (Session* session : sessions_) {
    const uint64_t since = session->waitingSinceMs();
    if (since == 0 || nowMs < since + patienceMs) continue;
    THD* thd = session->thd();
    if (thd->killed == NOT_KILLED && isClientGone(thd)) thd->awake(KILL_CONNECTION);
  }
}

bool SessionWatch::unblockReplication(uint64_t nowMs) {
  bool isReplicating = false;
  for (Session* session : sessions_) {
    if (!session->isReplicating()) continue;
    isReplicating = true;
    const uint64_t since = session->waitingSinceMs();
    if (since == 0 || nowMs < since + replicationPatienceMs) continue;
    for (Session* other : sessions_) {
      if (other != session) other->reportWait(session->thd());
    }
  }
  return isReplicating;
}

}  // namespace vamos::mariadb
