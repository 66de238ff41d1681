#include "mariadb/session/lone_commits.hpp"

#include <my_global.h>
#include <sql_class.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace vamos::mariadb {
namespace {

// How soon a backup that waits notices that it was killed.
constexpr std::chrono::milliseconds killCheck{100};

std::mutex mutex;
std::condition_variable ended;
int underWay = 0;
bool isBackupRunning = false;  // the server runs one at a time

bool begin() {
  const std::lock_guard lock(mutex);
  if (!isBackupRunning) underWay++;
  return !isBackupRunning;
}

}  // namespace

LoneCommit::LoneCommit() : isAllowed_(begin()) {}

LoneCommit::~LoneCommit() {
  if (!isAllowed_) return;
  const std::lock_guard lock(mutex);
  if (--underWay == 0) ended.notify_all();
}

void prepareForBackup() {
  const THD* thd = current_thd;
  std::unique_lock lock(mutex);
  isBackupRunning = true;
  while (underWay > 0 && !(thd && thd->killed)) ended.wait_for(lock, killCheck);
}

void endBackup() {
  const std::lock_guard lock(mutex);
  isBackupRunning = false;
}

}  // namespace vamos::mariadb
