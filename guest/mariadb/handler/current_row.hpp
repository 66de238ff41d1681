#pragma once

#include <string>

#include "mariadb/session/cursor.hpp"

namespace vamos::mariadb {

// The row that a handler has read last. It is empty if there is none, or if it was changed since.
class CurrentRow : public Row {
 public:
  CurrentRow& operator=(const Row& row) {
    Row::operator=(row);
    return *this;
  }
  void clear() { Row::operator=(Row()); }
  // Keeps a copy of the key, since the bytes in which it stands are about to go.
  void keepKey() {
    key_.assign(primaryKey);
    primaryKey = key_;
  }

 private:
  std::string key_;
};

}  // namespace vamos::mariadb
