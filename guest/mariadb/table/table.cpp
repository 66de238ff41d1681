#include "mariadb/table/table.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "mariadb/engine/engine.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/definition.hpp"

namespace vamos::mariadb {
namespace {

constexpr ulonglong statisticsAgeUs = 5'000'000;
// Statistics are outgrown when this server has since committed more rows than leastOutgrown, and more than
// one in outgrownShare of the table's rows.
constexpr uint64_t leastOutgrown = 16;
constexpr uint64_t outgrownShare = 10;
constexpr ulonglong estimateAgeUs = 2'000'000;
constexpr size_t maxEstimates = 1000;
constexpr uint64_t maxGrowth = 256;
// How many values one request may reserve; the host refuses more.
constexpr uint64_t maxReserved = 1'000'000;
// If rows brought values with them that lie further than this behind those that the host knows, the rows are
// sent first, so that the values between need not be reserved.
constexpr uint64_t maxSkipped = 1000;
// How many closed tables have their reserved values kept.
constexpr size_t maxKept = 10'000;
// A hidden key of a table with an auto-increment column consists of this bit, a value of the counter, and the
// row's number among those that share the value. A value that is too large for that makes one key, which is
// negative. Hidden keys that TypeScript connectors make of the counter are smaller.
constexpr uint64_t hiddenKeyBit = uint64_t{1} << 62;
constexpr uint64_t keysOfValue = uint64_t{1} << 16;
constexpr uint64_t largestSharedValue = hiddenKeyBit / keysOfValue - 1;

// Returns the first value from `least` on that is `offset` modulo `increment`, rounded as the server does; 0:
// there is none.
uint64_t aligned(uint64_t least, uint64_t offset, uint64_t increment) {
  if (increment <= 1) return least;
  if (offset > increment) offset = 0;
  if (least <= offset) return offset == 0 ? increment : offset;
  const uint64_t steps = (least - offset + increment - 1) / increment;
  if (steps > (std::numeric_limits<uint64_t>::max() - offset) / increment) return 0;
  return steps * increment + offset;
}

}  // namespace

std::mutex Table::keptMutex_;
std::unordered_map<uint64_t, Table::Own> Table::kept_;

Table::Table(std::string name, std::unique_ptr<Codec> codec)
    : name(std::move(name)), codec(std::move(codec)) {}

Table::~Table() { keepFor(version); }

void Table::keepFor(uint32_t nextVersion) {
  const std::lock_guard lock(mutex_);
  if (own_.values.next >= own_.values.end) return;
  const std::lock_guard keptLock(keptMutex_);
  if (kept_.size() >= maxKept) kept_.clear();
  kept_[keptKey(nextVersion)] = own_;
  own_.values.next = own_.values.end;
}

void Table::setInfo(const wire::TableInfo& info) {
  number = info.table;
  version = info.version;
  setStatistics(info.statistics);
  const std::lock_guard lock(mutex_);
  const uint64_t next = std::max<uint64_t>(info.statistics.nextAutoIncrement, 1);
  own_ = {.values = {next, next}, .epoch = host().epoch()};
  {
    // The values that were left when the table was closed come next, unless others were reserved behind them
    // or the session is another one, whose host may have older data.
    const std::lock_guard kept(keptMutex_);
    const auto found = kept_.extract(keptKey(version));
    if (found && found.mapped().values.end == next && found.mapped().epoch == own_.epoch) {
      own_ = found.mapped();
    }
  }
  growth_ = 1;
  generation_++;
  estimates_.clear();
}

Table::Statistics Table::statistics() {
  const std::lock_guard lock(mutex_);
  const int64_t committed = addedRows->committed.load(std::memory_order_relaxed);
  const int64_t added = committed + addedRows->uncommitted.load(std::memory_order_relaxed);
  Statistics result;
  result.rows = added >= 0 || heard_.rows > static_cast<uint64_t>(-added) ? heard_.rows + added : 0;
  const auto scaled = [&](uint64_t bytes) {
    if (heard_.rows == 0) return bytes;
    return static_cast<uint64_t>(static_cast<double>(bytes) / heard_.rows * result.rows);
  };
  result.bytes = scaled(heard_.bytes);
  result.blobBytes = scaled(heard_.blobBytes);
  result.indexBytes = scaled(heard_.indexBytes);
  result.createdMs = heard_.createdMs;
  result.updatedMs = heard_.updatedMs;
  result.sample = heard_.sample;
  result.ageUs = microsecond_interval_timer() - heardUs_;
  result.isStale = result.ageUs > statisticsAgeUs;
  result.isOutgrown =
      static_cast<uint64_t>(std::abs(committed)) > std::max(leastOutgrown, heard_.rows / outgrownShare);
  return result;
}

void Table::setStatistics(const wire::TableStatistics& heard) {
  const std::lock_guard lock(mutex_);
  if (heard.indexes.empty() && heard.sample != 0) {
    // The host leaves out the indexes if the request named the sample that was known. Another is known
    // since.
    if (heard.sample != heard_.sample) return;
    std::vector<wire::IndexStatistics> known = std::move(heard_.indexes);
    heard_ = heard;
    heard_.indexes = std::move(known);
  } else {
    heard_ = heard;
  }
  heardUs_ = microsecond_interval_timer();
  addedRows->committed.store(0, std::memory_order_relaxed);
}

std::vector<wire::IndexStatistics> Table::indexStatistics() {
  const std::lock_guard lock(mutex_);
  return heard_.indexes;
}

std::optional<ha_rows> Table::estimate(const std::string& range) {
  const std::lock_guard lock(mutex_);
  const auto found = estimates_.find(range);
  if (found == estimates_.end()) return std::nullopt;
  if (microsecond_interval_timer() - found->second.heardUs > estimateAgeUs) return std::nullopt;
  return found->second.rows;
}

void Table::setEstimate(const std::string& range, ha_rows rows) {
  const std::lock_guard lock(mutex_);
  if (estimates_.size() >= maxEstimates) estimates_.clear();
  estimates_[range] = {rows, microsecond_interval_timer()};
}

bool Table::Range::take(uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first) {
  first = aligned(next, offset, increment);
  if (first == 0 || first >= end || (count - 1) > (end - 1 - first) / increment) return false;
  const uint64_t last = first + (count - 1) * increment;
  // The next value of this series is where the next reservation of any series begins.
  next = last > std::numeric_limits<uint64_t>::max() - increment ? last + 1 : last + increment;
  return true;
}

// Forgets values that were reserved in a session that is over. The next value is still larger than those that
// were taken before.
void Table::forgetIfLost() {
  const uint32_t epoch = host().epoch();
  if (own_.epoch == epoch) return;
  own_ = {.values = {own_.values.next, 0}, .epoch = epoch};
}

bool Table::take(Range& range, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first) {
  if (count == 0) {
    first = range.next;
    if (range.next >= range.end) return false;
  } else if (!range.take(count, offset, increment, first)) {
    return false;
  }
  const uint64_t last = count == 0 ? first : first + (count - 1) * increment;
  own_.largest = std::max(own_.largest, last);
  return true;
}

uint64_t Table::maxReservable(uint64_t increment) {
  return std::max<uint64_t>(maxReserved / std::max<uint64_t>(increment, 1), 2) - 1;
}

int Table::reserve(Session& session, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first,
                   uint32_t& epoch) {
  increment = std::max<uint64_t>(increment, 1);
  for (bool isFlushed = false;;) {
    wire::Reserve request{number, version, 0};
    uint64_t generation = 0;
    uint64_t skipped = 0;
    {
      const std::lock_guard lock(mutex_);
      forgetIfLost();
      epoch = own_.epoch;
      if (take(own_.values, count, offset, increment, first)) return 0;
      // The values that are left are not enough, and those that the host gives may begin behind another
      // server's.
      const bool isBehind = own_.values.end != 0 && own_.values.next > own_.values.end;
      skipped = isBehind ? own_.values.next - own_.values.end : 0;
      const uint64_t wanted = std::max(growth_, (count + 1) * increment) + std::min(skipped, maxReserved);
      request.count = static_cast<uint32_t>(std::min(wanted, maxReserved));
      growth_ = std::min(growth_ * 2, maxGrowth);
      generation = generation_;
    }
    if (skipped > maxSkipped && !isFlushed) {
      // Once the host has the rows with the large values, its counter goes on behind them.
      if (const int error = session.flush()) return error;
      isFlushed = true;
      request.count = static_cast<uint32_t>(std::min((count + 1) * increment, maxReserved));
    }
    Reply reply;
    const int error = session.callAlone(wire::Method::RESERVE_AUTO_INCREMENT, request.encode(), reply);
    if (error) return error;
    wire::Reserved reserved;
    if (!wire::Reserved::decode(reply.body, reserved)) return HA_ERR_INTERNAL_ERROR;
    if (reserved.count == 0) return HA_ERR_AUTOINC_READ_FAILED;
    const std::lock_guard lock(mutex_);
    forgetIfLost();
    // The answer may have come in a session that is over already.
    if (generation != generation_ || own_.epoch != session.epoch()) continue;
    epoch = own_.epoch;
    // Values that follow those that are left make one range with them, and the next value never goes back.
    Range range{std::max(reserved.first, own_.values.next), reserved.first + reserved.count};
    if (reserved.first == own_.values.end) range.next = own_.values.next;
    const bool taken = take(range, count, offset, increment, first);
    // Other connections may have reserved values meanwhile. The later range is kept.
    if (range.end > own_.values.end) own_.values = range;
    if (taken) return 0;
    if (reserved.count < request.count) return HA_ERR_AUTOINC_READ_FAILED;
  }
}

int Table::takeHiddenKey(Session& session, int64_t& hiddenKey, uint32_t& epoch) {
  for (;;) {
    uint64_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      forgetIfLost();
      epoch = own_.epoch;
      if (own_.largest > own_.hiddenKeysValue && own_.largest <= largestSharedValue) {
        own_.hiddenKeysValue = own_.largest;
        own_.hiddenKeys = 0;
      }
      if (own_.hiddenKeysValue != 0 && own_.hiddenKeys < keysOfValue) {
        hiddenKey =
            static_cast<int64_t>(hiddenKeyBit + own_.hiddenKeysValue * keysOfValue + own_.hiddenKeys++);
        return 0;
      }
      if (own_.hiddenKeysValue != 0 || own_.values.next > largestSharedValue) count = 1;
    }
    uint64_t value = 0;
    if (const int error = reserve(session, count, 1, 1, value, epoch)) return error;
    if (count != 0 && value > largestSharedValue) {
      hiddenKey = std::numeric_limits<int64_t>::min() + static_cast<int64_t>(value);
      return 0;
    }
  }
}

void Table::noteAutoIncrement(uint64_t value) {
  const std::lock_guard lock(mutex_);
  if (value < own_.values.next) return;
  own_.values.next = value == std::numeric_limits<uint64_t>::max() ? value : value + 1;
}

uint64_t Table::nextAutoIncrement() {
  const std::lock_guard lock(mutex_);
  return own_.values.next;
}

std::string hostName(const char* path) { return path[0] == '.' && path[1] == '/' ? path + 2 : path; }

int openTable(const char* path, const TABLE_SHARE& share, Session& session, std::unique_ptr<Table>& opened) {
  std::string refusal;
  std::unique_ptr<Codec> codec = Codec::make(share, refusal);
  if (!codec) {
    my_printf_error(ER_CANT_OPEN_FILE, "%s", MYF(0), refusal.c_str());
    return HA_ERR_UNSUPPORTED;
  }
  const std::string name = hostName(path);
  Reply reply;
  const int error = session.callAlone(wire::Method::OPEN_TABLE, wire::TableName{name}.encode(), reply);
  if (error == HA_ERR_NO_SUCH_TABLE) {
    // HA_ERR_NO_SUCH_TABLE would make the server delete the .frm, which is all that is left of the table.
    my_error(ER_NO_SUCH_TABLE_IN_ENGINE, MYF(0), share.db.str, share.table_name.str);
    return HA_ERR_TABLESPACE_MISSING;
  }
  if (error) return error;
  wire::TableInfo info;
  if (!wire::TableInfo::decode(reply.body, info)) return HA_ERR_INTERNAL_ERROR;
  if (!isSameDefinition(share, *codec, info.definition)) {
    // The server then discovers the host's definition, which it can't do for a partition.
    return isPartitionName(name) ? HA_ERR_INCOMPATIBLE_DEFINITION : HA_ERR_TABLE_DEF_CHANGED;
  }
  opened = std::make_unique<Table>(name, std::move(codec));
  opened->setInfo(info);
  return 0;
}

}  // namespace vamos::mariadb
