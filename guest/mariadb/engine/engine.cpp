#include "mariadb/engine/engine.hpp"

#include <memory>
#include <utility>

namespace vamos::mariadb {

namespace {

std::unique_ptr<Engine> theEngine;

}  // namespace

Engine::Engine(handlerton* handle, client::Options options)
    : handle(handle), host(std::move(options)), serviceStream(host.openStream()) {}

Engine& engine() { return *theEngine; }

void startEngine(handlerton* handle, client::Options options) {
  theEngine = std::make_unique<Engine>(handle, std::move(options));
}

void stopEngine() { theEngine.reset(); }

}  // namespace vamos::mariadb
