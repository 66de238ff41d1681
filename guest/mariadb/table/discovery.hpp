#pragma once

struct handlerton;

namespace vamos::mariadb {

// Sets the functions of the handlerton by which the server finds tables that it does not know: those of a
// guest whose disk was rolled back or replaced, and those whose .frm has another version.
void setDiscovery(handlerton* hton);

}  // namespace vamos::mariadb
