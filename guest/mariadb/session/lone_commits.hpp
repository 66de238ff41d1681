#pragma once

namespace vamos::mariadb {

// A statement that commits along with its own request, outside of the server's COMMIT.
//
// BACKUP STAGE BLOCK_COMMIT promises that nothing is committed until it ends, and the server keeps that
// promise in COMMIT. So between BACKUP STAGE START and END no statement may commit by itself.
class LoneCommit {
 public:
  LoneCommit();
  ~LoneCommit();
  LoneCommit(const LoneCommit&) = delete;
  LoneCommit& operator=(const LoneCommit&) = delete;

  // Otherwise a backup is running, and the statement must commit with the server's COMMIT.
  bool isAllowed() const { return isAllowed_; }

 private:
  const bool isAllowed_;
};

// Functions of the handlerton. The first one waits for the lone commits that are under way.
void prepareForBackup();
void endBackup();

}  // namespace vamos::mariadb
