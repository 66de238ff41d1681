#include "mariadb/session/commit_prepared.hpp"

#include <log.h>
#include <my_global.h>
#include <mysqld.h>
#include <sql_class.h>
#include <xa.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "mariadb/engine/engine.hpp"
#include "mariadb/engine/errors.hpp"
#include "mariadb/engine/variables.hpp"
#include "mariadb/session/retry.hpp"
#include "mariadb/session/session.hpp"

namespace vamos::mariadb {

using wire::Method;

namespace {

// How long a try to finish what was left undone may wait for the host.
constexpr uint32_t retryMs = 2000;
// Bytes of an xid before its two parts.
constexpr size_t headerBytes = 10;
// Error numbers of the XA specification.
constexpr int xaerRmfail = -7;
constexpr int xaerNota = -4;

// The end of a prepared transaction that is to be made when the host is back.
struct Unfinished {
  uint32_t stream;
  std::string xid;
  bool isCommit;
  wire::Durability durability;
};

std::mutex mutex;  // guards what follows
std::vector<Unfinished> unfinished;
std::multiset<std::string> ofConnections;  // the xids of all PreparedXid
// XA transactions that were prepared before the guest's memory was rolled back, for the server's clients to
// end.
std::vector<XID> leftBehind;
std::vector<XID> recovered;  // xids that recover() has still to give to the server
bool isListed = false;       // recover() has asked the host and not given all yet

std::mutex finishing;  // is held by the one thread that makes the ends
std::atomic<size_t> unfinishedCount{0};
std::atomic<bool> hasLeftBehind{false};
std::atomic<bool> missedRecovery{false};
// How many renewals of the session there had been when leftovers of the sessions before were last ended.
std::atomic<uint32_t> renewalsSeen{0};

Ended tryToEnd(const Unfinished& end, uint32_t timeoutMs, client::Failure& failure) {
  const uint64_t untilMs = nowMs() + timeoutMs;
  const uint32_t renewals = host().renewals();
  for (bool isFirst = true;; isFirst = false) {
    const uint64_t leftMs = std::max<uint64_t>(untilMs - std::min(untilMs, nowMs()), 1);
    client::CallOptions options;
    options.timeoutMs = static_cast<uint32_t>(leftMs);
    options.epoch = host().connect(options.timeoutMs, failure);
    if (options.epoch == 0) return Ended::NOT_YET;
    const uint32_t method = end.isCommit ? Method::COMMIT_PREPARED : Method::ROLLBACK_PREPARED;
    const client::CallPointer call =
        host().send(end.stream, {{method, wire::EndPrepared{end.xid, end.durability}.encode()}}, options);
    if (host().wait(call)) return Ended::NOW;
    failure = client::failureOf(call);
    if (failure.code == ErrorCode::PREPARED_MISSING) {
      // A request that was sent before a rollback of the guest's memory was noticed has ended nothing.
      return isFirst || host().renewals() != renewals ? Ended::BEFORE : Ended::NOW;
    }
    if (failure.code != ErrorCode::SESSION_LOST || leftMs == 1) return Ended::NOT_YET;
  }
}

// Lists all transactions that the host has prepared. A session may end before the answer comes, since host
// and server often start at the same time, so the host is asked again until the time is over. Returns false
// if it can't be asked.
bool listPrepared(uint32_t timeoutMs, std::vector<XID>& list, client::Failure& failure) {
  const uint64_t untilMs = nowMs() + timeoutMs;
  client::CallPointer call;
  for (;;) {
    client::CallOptions options;
    options.timeoutMs = static_cast<uint32_t>(std::max<uint64_t>(untilMs - std::min(untilMs, nowMs()), 1));
    options.epoch = host().connect(options.timeoutMs, failure);
    if (options.epoch == 0) return false;
    call = host().send(engine().serviceStream, {{Method::LIST_PREPARED, {}}}, options);
    if (host().wait(call)) break;
    failure = client::failureOf(call);
    if (!isLost(failure.code) || nowMs() >= untilMs) return false;
  }
  wire::PreparedList answer;
  if (!wire::PreparedList::decode(client::replyBody(call, 0), answer)) {
    failure = {ErrorCode::INTERNAL, "the host's answer to LIST_PREPARED is none", {}};
    return false;
  }
  for (const std::string& bytes : answer.xids) {
    XID xid;
    if (xidOf(bytes, xid)) list.push_back(xid);
  }
  return true;
}

// The server has started without the host, and learns of XA transactions only now.
void recoverLate() {
  std::vector<XID> list;
  client::Failure failure;
  if (!listPrepared(retryMs, list, failure)) {
    missedRecovery = true;
    return;
  }
  size_t ofServer = 0;
  for (XID& xid : list) {
    if (xid.get_my_xid() != 0) {
      ++ofServer;
    } else {
      xid_cache_insert(&xid);
    }
  }
  if (ofServer > 0) {
    sql_print_warning(
        "VAMOS: the server started without the host daemon; %zu transactions that a crash left prepared keep "
        "their row "
        "locks. Start the server again with --tc-heuristic-recover=COMMIT or ROLLBACK while the daemon runs",
        ofServer);
  }
}

// Rolls back what the server had prepared, and not ended, in a state that is gone because the guest's memory
// was rolled back: the binary log has no such transactions any more.
void endLeftBehind() {
  const uint32_t renewals = host().renewals();
  if (renewals == renewalsSeen) return;
  std::vector<XID> list;
  client::Failure failure;
  if (!listPrepared(retryMs, list, failure)) return;
  size_t count = 0;
  std::lock_guard lock(mutex);
  leftBehind.clear();
  for (XID& xid : list) {
    const std::string bytes = bytesOf(xid);
    const bool isKnown = ofConnections.contains(bytes) ||
                         std::any_of(unfinished.begin(), unfinished.end(),
                                     [&bytes](const Unfinished& end) { return end.xid == bytes; });
    if (isKnown) continue;
    if (xid.get_my_xid() == 0) {
      leftBehind.push_back(xid);
      continue;
    }
    unfinished.push_back({engine().serviceStream, bytes, false, wire::Durability::SYNCED});
    unfinishedCount = unfinished.size();
    ++count;
  }
  hasLeftBehind = !leftBehind.empty();
  renewalsSeen = renewals;
  if (count > 0) {
    sql_print_warning(
        "VAMOS: the guest's memory was rolled back; %zu transactions that were prepared after the state in "
        "which "
        "it is now are rolled back, too",
        count);
  }
}

// Gives XA transactions to the server, for its clients to end. It does not take one whose xid a connection
// uses for a transaction that it has begun, so this is done again and again.
void showLeftBehind() {
  std::lock_guard lock(mutex);
  for (XID& xid : leftBehind) xid_cache_insert(&xid);
}

void forgetLeftBehind(const XID& ended) {
  std::lock_guard lock(mutex);
  std::erase_if(leftBehind, [&ended](const XID& xid) { return bytesOf(xid) == bytesOf(ended); });
  hasLeftBehind = !leftBehind.empty();
}

uint32_t byXidTimeoutMs() { return variables::connectTimeoutMs() + variables::requestTimeoutMs(current_thd); }

int endByXid(XID* xid, bool isCommit) {
  THD* thd = current_thd;
  const uint32_t stream = thd ? Session::of(thd).stream() : engine().serviceStream;
  client::Failure failure;
  forgetLeftBehind(*xid);
  switch (
      endPrepared(stream, bytesOf(*xid), isCommit, variables::durability(thd), byXidTimeoutMs(), failure)) {
    case Ended::NOW:
      return 0;
    case Ended::BEFORE:
      return xaerNota;
    default:
      sql_print_warning("VAMOS: a prepared transaction is %s when the host daemon is back: %s",
                        isCommit ? "committed" : "rolled back", describe(failure).c_str());
      return xaerRmfail;
  }
}

}  // namespace

PreparedXid::PreparedXid(std::string xid) : bytes_(std::move(xid)) {
  std::lock_guard lock(mutex);
  ofConnections.insert(bytes_);
}

PreparedXid::~PreparedXid() {
  std::lock_guard lock(mutex);
  ofConnections.erase(ofConnections.find(bytes_));
}

std::string bytesOf(const XID& xid) {
  std::string bytes(headerBytes, '\0');
  const auto format = static_cast<int64_t>(xid.formatID);
  std::memcpy(bytes.data(), &format, 8);
  bytes[8] = static_cast<char>(xid.gtrid_length);
  bytes[9] = static_cast<char>(xid.bqual_length);
  return bytes.append(xid.data, static_cast<size_t>(xid.gtrid_length + xid.bqual_length));
}

bool xidOf(std::string_view bytes, XID& xid) {
  if (bytes.size() < headerBytes) return false;
  const auto gtrid = static_cast<uint8_t>(bytes[8]);
  const auto bqual = static_cast<uint8_t>(bytes[9]);
  if (gtrid > MAXGTRIDSIZE || bqual > MAXBQUALSIZE || bytes.size() != headerBytes + gtrid + bqual)
    return false;
  int64_t format;
  std::memcpy(&format, bytes.data(), 8);
  const char* data = bytes.data() + headerBytes;
  std::memset(&xid, 0, sizeof xid);
  xid.set(static_cast<long>(format), data, gtrid, data + gtrid, bqual);
  return true;
}

Ended endPrepared(uint32_t stream, const std::string& xid, bool isCommit, wire::Durability durability,
                  uint32_t timeoutMs, client::Failure& failure) {
  Unfinished end{stream, xid, isCommit, durability};
  const Ended ended = tryToEnd(end, timeoutMs, failure);
  if (ended == Ended::NOT_YET) {
    // A transaction that is committed was prepared before, so no request for it is under way on the
    // connection's stream.
    if (isCommit) end.stream = engine().serviceStream;
    std::lock_guard lock(mutex);
    unfinished.push_back(end);
    unfinishedCount = unfinished.size();
  }
  return ended;
}

bool hasPreparedToFinish() {
  return unfinishedCount > 0 || missedRecovery || hasLeftBehind || host().renewals() != renewalsSeen;
}

void finishPrepared() {
  if (!hasPreparedToFinish()) return;
  std::unique_lock turn(finishing, std::try_to_lock);
  if (!turn) return;
  if (missedRecovery.exchange(false)) recoverLate();
  endLeftBehind();
  if (hasLeftBehind) showLeftBehind();
  std::vector<Unfinished> ends;
  {
    std::lock_guard lock(mutex);
    ends = unfinished;
  }
  for (const Unfinished& end : ends) {
    client::Failure failure;
    // On the connection's own stream the end could stand behind a request that waits for the transaction's
    // locks, so another stream is tried first. But a PREPARE that was given up may still be under way on the
    // connection's, so that one is tried when the transaction is not found.
    const Unfinished apart{engine().serviceStream, end.xid, end.isCommit, end.durability};
    Ended ended = tryToEnd(apart, retryMs, failure);
    if (ended == Ended::BEFORE && end.stream != apart.stream) ended = tryToEnd(end, retryMs, failure);
    if (ended == Ended::NOT_YET) {
      // A transaction whose stream is busy does not keep others from their end.
      if (failure.code == ErrorCode::DEADLINE_EXCEEDED) continue;
      return;
    }
    std::lock_guard lock(mutex);
    std::erase_if(unfinished, [&end](const Unfinished& other) { return other.xid == end.xid; });
    unfinishedCount = unfinished.size();
  }
}

size_t unfinishedPrepared() { return unfinishedCount; }

// The server calls this until it gets fewer than it asks for. A second round of calls lists what is still
// prepared then.
int recover(handlerton*, XID* list, uint length) {
  std::lock_guard lock(mutex);
  if (!isListed) {
    // The start of a server waits for the host once, and not again in the second round.
    const uint32_t waitMs = opt_bin_log && !missedRecovery
                                ? std::max(variables::recoveryTimeoutSeconds() * 1000, 1u)
                                : variables::connectTimeoutMs();
    client::Failure failure;
    if (!listPrepared(waitMs, recovered, failure)) {
      missedRecovery = true;
      sql_print_warning("VAMOS: starting without the host daemon: %s", describe(failure).c_str());
    }
    isListed = true;
  }
  const auto count = static_cast<uint>(std::min<size_t>(length, recovered.size()));
  std::copy_n(recovered.begin(), count, list);
  recovered.erase(recovered.begin(), recovered.begin() + count);
  if (count < length) isListed = false;
  return static_cast<int>(count);
}

int commitByXid(handlerton*, XID* xid) { return endByXid(xid, true); }
int rollbackByXid(handlerton*, XID* xid) { return endByXid(xid, false); }

}  // namespace vamos::mariadb
