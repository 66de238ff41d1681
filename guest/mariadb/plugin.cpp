// What the server finds when it loads the plugin.
#include <handler.h>
#include <my_global.h>
#include <mysql/plugin.h>

namespace {

int initialise(void* hton) {
  static_cast<handlerton*>(hton)->flags = 0;
  return 0;
}

st_mysql_storage_engine engine = {MYSQL_HANDLERTON_INTERFACE_VERSION};

}  // namespace

maria_declare_plugin(vamos){
    MYSQL_STORAGE_ENGINE_PLUGIN,
    &engine,
    "VAMOS",
    "The VAMOS authors",
    "Tables kept on the host of this virtual machine",
    PLUGIN_LICENSE_GPL,
    initialise,
    nullptr,
    0x0100,
    nullptr,
    nullptr,
    "1.0",
    MariaDB_PLUGIN_MATURITY_GAMMA,
} maria_declare_plugin_end;
