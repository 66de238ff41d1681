#pragma once

#include <my_global.h>
#include <sql_class.h>

#include <cstdint>

#include "client/client.hpp"

namespace vamos::mariadb {

// What the plugin has from its start to its end.
struct Engine {
  Engine(handlerton* handle, client::Options options);

  handlerton* const handle;  // the server's own record of the engine
  client::Client host;
  const uint32_t serviceStream;  // for requests of the server itself, which belong to no connection
};

// May be called between startEngine() and stopEngine() only.
Engine& engine();
inline client::Client& host() { return engine().host; }

// Called when the plugin starts and ends.
void startEngine(handlerton* handle, client::Options options);
void stopEngine();

}  // namespace vamos::mariadb
