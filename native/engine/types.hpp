#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/error_code.hpp"
#include "protocol/store_enums.hpp"
#include "protocol/tables_enums.hpp"
#include "wire/key.hpp"

// What the engine is asked for, and what it answers. host/modules/tables/binding.ts documents the same in
// TypeScript.
namespace vamos::engine {

using wire::AggregateFunction;
using wire::Durability;
using wire::Isolation;
using wire::Lock;
using wire::Wait;
using wire::WriteKind;

struct Outcome {
  ErrorCode code = ErrorCode::OK;
  std::string message;
  std::string result;
  std::string detail;
  uint64_t count = 0;
  uint64_t changed = 0;
  bool atEnd = false;
  bool lastUnlocked = false;  // in a window: another transaction has its last row locked
  // In a shared transaction: the change changed nothing, and saw nothing that the transaction wrote.
  bool standsAlone = false;

  bool ok() const { return code == ErrorCode::OK; }
  static Outcome failure(ErrorCode code, std::string message, std::string detail = {}) {
    return {code, std::move(message), {}, std::move(detail)};
  }
};

// Thrown by calls that have no Outcome.
struct StoreError {
  ErrorCode code;
  std::string message;
};
[[noreturn]] inline void refuse(ErrorCode code, std::string message) {
  throw StoreError{code, std::move(message)};
}

struct IndexLayout {
  uint32_t space = 0;
  bool isUnique = false;
  std::vector<KeyPart> parts;

  // Its keys can't be made from rows.
  bool isOpaque() const {
    return parts.empty() ||
           std::any_of(parts.begin(), parts.end(), [](const KeyPart& part) { return part.isOpaque; });
  }
};

struct TableLayout {
  uint32_t table = 0;
  std::vector<IndexLayout> indexes;  // the primary key's first
  std::vector<Column> columns;
  // Snapshots that were taken before now show other rows than the table's, or some of them only.
  bool isNew = false;
};

// A layout that was checked.
struct Table {
  uint32_t number;
  std::vector<IndexLayout> indexes;
  RowLayout row;
  // Only snapshots of this sequence number of the database, or of a later one, show the table's rows.
  uint64_t firstSequence = 0;
};

struct AggregateOptions {
  AggregateFunction function = AggregateFunction::COUNT;
  std::string value;  // a program; COUNT: empty counts rows
  bool isPadded = false;
};

struct CursorOptions {
  uint32_t table = 0;
  uint32_t index = 0;
  std::optional<std::string> lower;
  std::optional<std::string> upper;
  bool lowerExclusive = false;
  bool upperExclusive = false;
  bool reverse = false;
  uint64_t limitRows = 0;
  uint64_t firstRows = 0;  // the most rows of the first window; 0: as many as its bytes hold
  Lock lock = Lock::NONE;
  Wait wait = Wait::WAIT;
  std::vector<uint32_t> columns;
  bool withKeys = false;
  bool semiConsistent = false;               // see FetchOperation
  std::string filter;                        // a program; empty: all rows
  std::vector<AggregateOptions> aggregates;  // not empty: their results instead of rows
};

struct ChangeOptions {
  uint32_t table = 0;
  uint32_t index = 0;
  bool deletes = false;
  // Columns and programs: what an update puts there.
  std::vector<std::pair<uint32_t, std::string>> assignments;
  std::optional<std::string_view> keys;  // keys of a unique index, in the caller's bytes
  std::vector<CursorOptions> ranges;     // where there are no keys: bounds, one after another
  bool reverse = false;
  std::string filter;
  uint64_t limitRows = 0;
  Wait wait = Wait::WAIT;
  bool semiConsistent = false;  // for an update by ranges of the primary key, see FetchOperation
};

}  // namespace vamos::engine
