#pragma once

#include <string>
#include <vector>

#include "store/files/logs.hpp"
#include "store/transactions/options.hpp"

namespace vamos::store {

struct RepairReport {
  // What is damaged; empty: nothing is.
  std::string damage;
  // What goes, or would go.
  LostWrites lost;
  std::vector<Logs::Part> parts;
  // The folder with the logs as they were, after the loss was accepted.
  std::string keptIn;
};

// Says what a root that is refused because of a damaged log has lost for good: the commits from the damaged
// place on. acceptLoss: cuts them off, so that the root opens with all that stands before them; the logs as
// they were are kept beside the store. Throws StoreError: ROOT_IN_USE; CORRUPTION, where more than logs is
// damaged; STORAGE_FAILED, DISK_FULL.
RepairReport repair(const StoreOptions& options, bool acceptLoss);

}  // namespace vamos::store
