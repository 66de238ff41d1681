#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "engine/keys.hpp"
#include "engine/operation.hpp"
#include "engine/transaction.hpp"
#include "protocol/statistics.hpp"
#include "protocol/store_enums.hpp"

// The engine's words that the whole store speaks, and what the store's callers speak of.
// host/modules/tables/binding.ts documents the latter in TypeScript.
namespace vamos::store {

using engine::Budget;
using engine::ChangeOptions;
using engine::Clock;
using engine::CursorOptions;
using engine::KeyRange;
using engine::Operation;
using engine::Outcome;
using engine::Progress;
using engine::RecordKind;
using engine::refuse;
using engine::StoreError;
using engine::Table;
using engine::TableLayout;
using engine::Transaction;
using wire::Durability;
using wire::Ending;
using wire::Isolation;
using wire::Lock;
using wire::Wait;
using wire::WriteKind;

struct Record {
  std::string key;
  std::optional<std::string> value;  // nothing: remove it
};

// Which of its stream's commits one is: numbers rise, and tokens tell apart those of one number.
struct CommitMark {
  uint64_t number = 0;
  std::string token;
};

struct PreparedTransaction {
  std::string xid;
  uint64_t transaction = 0;
  std::map<uint32_t, int64_t> addedKeys;  // by space of a table
};

struct Estimate {
  uint64_t rows = 0;
  uint64_t bytes = 0;
};

// parked: the operation met a lock and waits; else it ended with this outcome.
struct Event {
  uint64_t operation = 0;
  bool parked = false;
  Outcome outcome;
};

}  // namespace vamos::store
