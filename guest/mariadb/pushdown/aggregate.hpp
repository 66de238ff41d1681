#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <optional>

#include "mariadb/format/codec.hpp"
#include "mariadb/pushdown/program/compiler.hpp"
#include "protocol/tables_messages.hpp"
#include "wire/bytes.hpp"

namespace vamos::mariadb {

// A function over all rows of a query (COUNT, SUM, MIN, MAX, AVG) that the host computes. Its result goes
// into the server's own item, as if that had seen the rows. What the query does with it is left to the
// server.
class Aggregation {
 public:
  // Returns nothing if the host's answer might differ from the server's.
  static std::optional<Aggregation> make(Item_sum& item, TABLE& table, const Codec& codec);

  Item_sum& item() const { return *item_; }
  const wire::Aggregate& request() const { return request_; }

  // Reads the result, which is the next one in the answer (FORMATS.md), into the item. Overwrites the table's
  // record. Returns 0, or an error of handler.h.
  int take(THD* thd, Reader& answer);

 private:
  Aggregation(Item_sum& item, TABLE& table, const Codec& codec)
      : item_(&item), table_(&table), codec_(&codec) {}

  bool compileCount(Item& argument);
  bool compileSum(Item& argument);
  bool compileExtreme(Item& argument);
  bool compileValue(Item& argument);
  int takeSum(Reader& answer, uint64_t count);
  int takeExtreme(THD* thd, Reader& answer);
  int loadColumn(Reader& answer);

  Item_sum* item_;
  TABLE* table_;
  const Codec* codec_;
  wire::Aggregate request_;
  ProgramValue value_;
  uint32_t column_ = noColumn;  // the column that MIN or MAX takes its value from
};

}  // namespace vamos::mariadb
