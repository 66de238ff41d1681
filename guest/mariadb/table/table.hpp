#pragma once

#include <handler.h>
#include <my_global.h>
#include <sql_class.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mariadb/format/codec.hpp"
#include "mariadb/session/added_rows.hpp"
#include "protocol/tables_messages.hpp"

namespace vamos::mariadb {

class Session;

// An open table, shared by its handlers (a Handler_share): what the host knows it by, how its rows are coded,
// and what was learnt of it.
class Table : public Handler_share {
 public:
  Table(std::string name, std::unique_ptr<Codec> codec);
  ~Table() override;

  const std::string name;  // as the host knows it: 'database/table', or the path of a temporary one
  const std::unique_ptr<Codec> codec;

  // The host's numbers. They change when the table is truncated or redefined.
  std::atomic<uint32_t> number{0};
  std::atomic<uint32_t> version{0};

  // Takes the numbers and statistics of a table that was opened, truncated or redefined, and forgets what was
  // learnt of its data before.
  void setInfo(const wire::TableInfo& info);

  struct Statistics {
    ha_rows rows = 0;
    uint64_t bytes = 0;  // of rows, without blobs beside them
    uint64_t blobBytes = 0;
    uint64_t indexBytes = 0;  // of all indexes but the primary key
    uint64_t createdMs = 0;
    uint64_t updatedMs = 0;
    uint64_t sample = 0;  // its number; 0: the host has not taken one
    ulonglong ageUs = 0;
    bool isStale = false;  // heard a while ago: to be asked for again when it costs nobody a wait
    // This server committed so many rows since that it is worth a wait to hear what they changed.
    bool isOutgrown = false;
  };
  Statistics statistics();
  void setStatistics(const wire::TableStatistics& heard);
  // By host index, of the last sample: how many rows have the same values in the first parts.
  std::vector<wire::IndexStatistics> indexStatistics();
  // It may outlive the table: transactions take rows back.
  const std::shared_ptr<AddedRows> addedRows = std::make_shared<AddedRows>();

  // How many rows a range has, as the host said not long ago.
  std::optional<ha_rows> estimate(const std::string& range);
  void setEstimate(const std::string& range, ha_rows rows);

  // Values of the host's counter: `count` of them, at most maxReservable(), that lie `increment` apart, from
  // the first on that is `offset` modulo `increment`. 0 of them: the next one is this server's then, and not
  // taken. Values go with the session that they were reserved in, whose epoch this gives: in another one this
  // guest's memory may have been rolled back, and rows may have them. 0, or an error of handler.h.
  int reserve(Session& session, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first,
              uint32_t& epoch);
  static uint64_t maxReservable(uint64_t increment);
  // A hidden key beside an auto-increment column: one that no other row has or had, larger than those given
  // here before. Many are made of one value that the column had. 0, or an error of handler.h.
  int takeHiddenKey(Session& session, int64_t& hiddenKey, uint32_t& epoch);
  // Redefined without a change of the counter: what was reserved is for the table of that version.
  void keepFor(uint32_t nextVersion);
  // A row came to have this value: the next ones are larger.
  void noteAutoIncrement(uint64_t value);
  // The value that comes next, as far as known here.
  uint64_t nextAutoIncrement();

 private:
  // Values that are the host's until `end`, or none that are known (end 0); `next` may lie behind it.
  struct Range {
    uint64_t next = 1;
    uint64_t end = 1;
    bool take(uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first);
  };
  // What of the host's counter is this server's.
  struct Own {
    Range values;
    uint64_t largest = 0;          // of the values that are known to be; 0: none
    uint64_t hiddenKeysValue = 0;  // the one of them that hidden keys are made of, and how many were
    uint64_t hiddenKeys = 0;
    uint32_t epoch = 0;  // of the session with the host that they were reserved in
  };
  // That of tables that are closed, by number and version: the host gives it to no other connector.
  static std::mutex keptMutex_;
  static std::unordered_map<uint64_t, Own> kept_;
  uint64_t keptKey(uint32_t ofVersion) const { return uint64_t{number} << 32 | ofVersion; }

  // With mutex_ held.
  void forgetIfLost();
  bool take(Range& range, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first);

  std::mutex mutex_;  // of what follows
  Own own_;
  uint64_t growth_ = 1;      // values asked for at least, next time
  uint64_t generation_ = 0;  // of the counter: truncated tables begin anew
  wire::TableStatistics heard_;
  ulonglong heardUs_ = 0;
  struct Estimate {
    ha_rows rows;
    ulonglong heardUs;
  };
  std::unordered_map<std::string, Estimate> estimates_;
};

// The host's name of the table at the server's path: 'database/table' for './database/table', else the path.
std::string hostName(const char* path);

// Asks the host for the table at `path`, which `share` describes. 0, or an error of handler.h.
int openTable(const char* path, const TABLE_SHARE& share, Session& session, std::unique_ptr<Table>& opened);

}  // namespace vamos::mariadb
