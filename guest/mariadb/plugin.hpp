#pragma once

#include <handler.h>
#include <my_global.h>

#include "client/client.hpp"

namespace vamos::mariadb {

// From the plugin's start to its end.
handlerton* engine();
client::Client& host();

}  // namespace vamos::mariadb
