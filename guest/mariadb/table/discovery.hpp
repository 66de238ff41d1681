#pragma once

struct handlerton;

namespace vamos::mariadb {

// The handlerton's functions by which the server learns of tables that only the host knows: those of a guest
// whose disk was rolled back or replaced, and those whose .frm is of another version.
void setDiscovery(handlerton* hton);

}  // namespace vamos::mariadb
