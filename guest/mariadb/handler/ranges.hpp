#pragma once

#include <handler.h>
#include <my_global.h>
#include <opt_range.h>
#include <sql_class.h>

#include <vector>

namespace vamos::mariadb {

// Lists the ranges of one index that the optimizer chose, in the order of the index. Their keys live as long
// as `quick`. Returns false if it chose something else.
inline bool rangesOf(QUICK_SELECT_I& quick, std::vector<KEY_MULTI_RANGE>& ranges) {
  if (quick.get_type() != QUICK_SELECT_I::QS_TYPE_RANGE) return false;
  const range_seq_t sequence = quick_range_seq_init(static_cast<QUICK_RANGE_SELECT*>(&quick), 0, 0);
  KEY_MULTI_RANGE range;
  while (!quick_range_seq_next(sequence, &range)) {
    if (range.range_flag & GEOM_FLAG) return false;
    ranges.push_back(range);
  }
  return true;
}

}  // namespace vamos::mariadb
