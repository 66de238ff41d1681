#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>

#include "client/client.hpp"

namespace vamos::mariadb {

// From the plugin's start to its end.
handlerton* engine();
client::Client& host();
// A stream of the server itself, for what no connection does.
uint32_t serviceStream();

}  // namespace vamos::mariadb
