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

// An open table, which all its handlers share (a Handler_share). It has the table's numbers on the host, the
// coding of its rows, and what the host has told about its data.
class Table : public Handler_share {
 public:
  Table(std::string name, std::unique_ptr<Codec> codec);
  ~Table() override;

  const std::string name;  // the host's name: 'database/table', or the path of a temporary table
  const std::unique_ptr<Codec> codec;

  // The host's numbers. They change when the table is truncated or redefined.
  std::atomic<uint32_t> number{0};
  std::atomic<uint32_t> version{0};

  // Takes the numbers and statistics of the table after it was opened, truncated or redefined, and forgets
  // what was known of its data before.
  void setInfo(const wire::TableInfo& info);

  struct Statistics {
    ha_rows rows = 0;
    uint64_t bytes = 0;  // the size of the rows, without blobs that stand beside them
    uint64_t blobBytes = 0;
    uint64_t indexBytes = 0;  // the size of all indexes but the primary key
    uint64_t createdMs = 0;
    uint64_t updatedMs = 0;
    uint64_t sample = 0;  // the number of the host's sample; 0: it has not taken one
    ulonglong ageUs = 0;
    bool isStale = false;  // they are old, and should be asked for again when no statement waits for that
    // This server has committed so many rows since that a plan should wait for new ones.
    bool isOutgrown = false;
  };
  Statistics statistics();
  void setStatistics(const wire::TableStatistics& heard);
  // How many rows have the same values in the first parts of each of the host's indexes, by its last sample.
  std::vector<wire::IndexStatistics> indexStatistics();
  // The counter may outlive the table, since a transaction may take back rows later.
  const std::shared_ptr<AddedRows> addedRows = std::make_shared<AddedRows>();

  // How many rows the host has estimated for a range, if it did so not long ago.
  std::optional<ha_rows> estimate(const std::string& range);
  void setEstimate(const std::string& range, ha_rows rows);

  // Reserves `count` values of the host's counter, at most maxReservable(), that lie `increment` apart. The
  // first one is `offset` modulo `increment`. A `count` of 0 gives the next value and does not take it. The
  // values are lost with the session in which they were reserved, whose epoch this returns: in another
  // session this guest's memory may have been rolled back, and rows may have the values. Returns 0, or an
  // error of handler.h.
  int reserve(Session& session, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first,
              uint32_t& epoch);
  static uint64_t maxReservable(uint64_t increment);
  // Makes a hidden key for a table with an auto-increment column. No other row has or had it, and it is
  // larger than those made here before. Many keys are made of one value that the column had. Returns 0, or an
  // error of handler.h.
  int takeHiddenKey(Session& session, int64_t& hiddenKey, uint32_t& epoch);
  // Keeps the values that are reserved for the table of this version: it was redefined, and its counter is
  // the same.
  void keepFor(uint32_t nextVersion);
  // A row has this value now, so the next ones will be larger.
  void noteAutoIncrement(uint64_t value);
  // The next value, as far as this server knows.
  uint64_t nextAutoIncrement();

 private:
  // Values of the host's counter, of which `next` is the first and `end` is behind the last. There are none
  // if `next` is behind `end`, or if `end` is 0, since it is not known then.
  struct Range {
    uint64_t next = 1;
    uint64_t end = 1;
    bool take(uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first);
  };
  // The values of the host's counter that are reserved for this server.
  struct Own {
    Range values;
    uint64_t largest = 0;          // the largest value that was taken; 0: none was
    uint64_t hiddenKeysValue = 0;  // the value that hidden keys are made of; 0: there is none yet
    uint64_t hiddenKeys = 0;       // how many hidden keys were made of it
    uint32_t epoch = 0;            // the session in which the values were reserved
  };
  // The values of closed tables, by number and version. The host gives them to no other connector.
  static std::mutex keptMutex_;
  static std::unordered_map<uint64_t, Own> kept_;
  uint64_t keptKey(uint32_t ofVersion) const { return uint64_t{number} << 32 | ofVersion; }

  // These two are called with mutex_ held.
  void forgetIfLost();
  bool take(Range& range, uint64_t count, uint64_t offset, uint64_t increment, uint64_t& first);

  std::mutex mutex_;  // guards what follows
  Own own_;
  uint64_t growth_ = 1;      // how many values the next request asks for, at least
  uint64_t generation_ = 0;  // rises when the counter may begin anew, as it does after TRUNCATE
  wire::TableStatistics heard_;
  ulonglong heardUs_ = 0;
  struct Estimate {
    ha_rows rows;
    ulonglong heardUs;
  };
  std::unordered_map<std::string, Estimate> estimates_;
};

// Returns the host's name of the table at the server's path: 'database/table' for './database/table', and the
// path itself for others.
std::string hostName(const char* path);

// Opens the table at `path`, which `share` describes, on the host. Returns 0, or an error of handler.h.
int openTable(const char* path, const TABLE_SHARE& share, Session& session, std::unique_ptr<Table>& opened);

}  // namespace vamos::mariadb
