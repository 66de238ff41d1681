#pragma once

#include <cstddef>
#include <string>

#include "files/errno.hpp"

namespace vamos::files {

// Removes `name` of the directory `parent` with everything beneath, depth first, never through a symbolic
// link; stops after maxEntries with done false. ENAMETOOLONG: the tree is deeper than 256 directories.
Errno removeTree(int parent, const std::string& name, size_t maxEntries, bool& done);

}  // namespace vamos::files
