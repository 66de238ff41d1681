#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/call.hpp"
#include "client/call_queue.hpp"
#include "client/client.hpp"
#include "client/connection.hpp"
#include "client/frame_stamps.hpp"

namespace vamos::client {

// Threads meet under one mutex, which no thread holds during a system call. Two roles are outside it, and one
// thread at a time has each: the sender writes frames (calls that come meanwhile go with its next one), the
// reader polls the channel and settles what it reads. A thread that waits for its answer is the reader if no
// other is, and hands the role on when it has its answer. Before it waits it sends what has gathered. The
// keeper, a thread of our own, connects, and reads while no thread waits.
class Client::Implementation {
 public:
  explicit Implementation(Options options);
  ~Implementation();

  uint32_t connect(uint32_t timeoutMs, Failure& failure);
  uint32_t epoch() const { return epoch_; }
  std::string session() const;
  void renewSession(std::string_view session, std::string reason);
  uint32_t renewals() const { return renewals_; }
  std::string formerSession() const;
  uint32_t maxBodyBytes() const;
  uint32_t openStream() { return nextStream_++; }
  CallPointer send(uint32_t stream, std::vector<Request> chain, const CallOptions& options, bool isLater);
  bool wait(const CallPointer& call);
  void cancel(const CallPointer& call);
  Counters counters() const;
  std::string describe() const;
  // This process is a child that was forked off: the channel and its threads are the parent's.
  bool isForeign() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using IsOver = bool (*)(const Implementation& client, const Call& call);

  // Calls, and threads that wait for them: client.cpp.
  bool isRefused(Call& call);
  void await(Lock& lock, const CallPointer& call, IsOver isOver);
  std::string sessionOf(const Call& call) const;
  TimePoint expiryOf(const Call& call) const;
  // Returns true if the call's time is over, and has then failed it.
  bool expire(Call& call);
  void addWaiter(Call& call);
  void removeWaiter(Call& call);
  // Notes that the call's thread must look at it: it has ended, or something has changed for it.
  void wakeLater(Call& call);
  void wakeAllWaiters();
  // Leaves the mutex, then wakes the threads that were noted.
  void leave(Lock& lock);

  // Whether a call that was just issued waits a moment for others to share its frame.
  bool gathers() const;
  // A reader will send before it reads, and will look after what gathers.
  bool isReaderToCome() const { return reader_ != nullptr && !isReading_; }
  // Whether what waits must be sent as soon as there is room.
  bool isDue() const;
  // Whether enough has gathered, or the frame before has been unanswered for so long that no answer need be
  // near.
  bool hasGathered() const;
  TimePoint gatherUntil() const;
  // Hands the task of timing unsent calls to another waiting thread; if there is none, to the keeper.
  void passTime();

  // The roles: roles.cpp. These leave the mutex for a while.
  void flush(Lock& lock);
  bool takeFrames(Connection& connection);
  void sendFrames(Connection& connection);
  void readOnce(Lock& lock, TimePoint deadline);
  void settle(Connection& connection);
  bool isOfAnotherState(const Incoming& incoming) const;
  void drain(Lock& lock, const std::shared_ptr<Connection>& connection);
  // Makes a waiting thread the next reader; if there is none, the role is free.
  void passReader(Lock& lock);
  void renewIfStale(const Failure& error);
  void loseSession(Lock& lock, const std::shared_ptr<Connection>& connection, Failure error, bool isBroken);

  // The keeper: keeper.cpp.
  void startKeeper();
  void wakeKeeper();
  void keep();
  void tryConnect();
  void beginSession(Lock& lock, const std::shared_ptr<Connection>& connection);
  void stayWithout(Failure error);
  void pause();
  void lookAfter(Lock& lock);
  void ping(Lock& lock, const std::shared_ptr<Connection>& connection, TimePoint now);

  const Options options_;
  const pid_t process_;
  std::atomic<uint32_t> nextStream_{1};
  std::atomic<bool> isClosing_{false};

  mutable std::mutex mutex_;
  std::shared_ptr<Connection> connection_;  // set while there is a session
  std::atomic<uint32_t> epoch_{1};          // written under the mutex
  std::string session_;                     // changes after a rollback of this guest's memory
  std::string formerSession_;               // the bytes that it had before
  FrameStamps stamps_;                      // stamps the session's frames
  std::atomic<uint32_t> renewals_{0};       // written under the mutex
  uint64_t maxFrameBytes_;
  CallQueue queue_;
  std::vector<Call*> waiters_;  // calls that are not done and have a waiting thread
  // Threads and calls that leave() wakes:
  std::vector<CallPointer> toWake_;
  std::shared_ptr<Connection> connectionToWake_;
  bool wakesKeeper_ = false;

  const void* reader_ = nullptr;  // the call whose thread reads, or the keeper (this)
  bool isReading_ = false;        // the reader waits for the channel; else it is on its way there
  bool isSending_ = false;
  TimePoint sentAt_;  // the time of the last frame of requests
  // The call whose thread (or the keeper: this) sends in time what gathers, while the reader may sleep
  // longer.
  const void* timekeeper_ = nullptr;
  uint32_t callersInside_ = 0;
  Counters counters_;
  // While there is no session:
  TimePoint lostAt_ = Clock::now();
  Failure lastError_{ErrorCode::NO_WELCOME, "no session yet"};
  std::string trouble_;      // the trouble of its storage that the host said goodbye with: the likely reason
  bool isHopeless_ = false;  // that error does not pass by itself

  // The sender's: frames on their way.
  std::vector<CallPointer> batch_;
  std::vector<std::pair<wire::FrameKind::Number, std::string>> controlFrames_;
  std::string requestFrame_;
  uint32_t requestStamp_ = 0;

  // What the keeper looks at, under the mutex:
  uint64_t callsSent_ = 0;
  bool hasLater_ = false;   // calls were issued with sendLater since the keeper has looked
  bool isTicking_ = false;  // the keeper looks every few milliseconds
  // Its own.
  std::thread keeper_;
  Signal keeperSignal_;
  bool hadSession_ = false;
  uint32_t failedAttempts_ = 0;
  uint64_t callsSeen_ = 0;
  TimePoint callsSeenAt_ = Clock::now();
  TimePoint laterSeenAt_ = TimePoint::min();
  TimePoint pingDueAt_ = kNever;
};

}  // namespace vamos::client
