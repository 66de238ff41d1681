#pragma once

#include <string>

#include "test/store/store_fixture.hpp"

namespace vamos::test {

// Rows that the tests of cursors read: two with the same city, one whose city begins with it, two without a
// name.
struct Cities : StoreFixture {
  Cities() {
    load({{1, "a", "bonn"},
          {2, "b", "bonn"},
          {3, "c", "bonnet"},
          {4, "d", "oslo"},
          {5, "", "rome"},
          {6, "", "rome"}});
  }
  // Numbers of the rows, in order.
  std::string numbers(uint64_t transaction, const CursorOptions& options, uint64_t windowBytes = 40) {
    std::string result;
    for (const std::string& row : scan(transaction, options, windowBytes))
      result += row.substr(0, row.find('/'));
    return result;
  }
};

}  // namespace vamos::test
