#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "store/transactions/messages.hpp"

using namespace vamos::store;

TEST_CASE("warnings and errors of RocksDB are kept until they are taken, and others are not") {
  const auto messages = std::make_shared<Messages>();
  int calls = 0;
  messages->onNew([&] { calls++; });
  rocksdb::Logger* logger = messages.get();
  rocksdb::Info(logger, "nothing of note");
  rocksdb::Header(logger, "an option");
  CHECK(calls == 0);
  rocksdb::Warn(logger, "log %d: dropping %s", 7, "bytes");
  rocksdb::Error(logger, "%s", "no way on");
  CHECK(calls == 1);
  const std::vector<Message> taken = messages->take();
  REQUIRE(taken.size() == 2);
  CHECK_FALSE(taken[0].isError);
  CHECK(taken[0].text == "log 7: dropping bytes");
  CHECK(taken[1].isError);
  CHECK(messages->take().empty());
  rocksdb::Error(logger, "once more");
  CHECK(calls == 2);
}

TEST_CASE("a flood of messages fills neither memory nor a log") {
  Messages messages;
  for (int i = 0; i < 100'000; i++) messages.add(true, std::string(5000, 'x'));
  const std::vector<Message> taken = messages.take();
  CHECK(taken.size() == 100);
  CHECK(taken[0].text.size() <= 2000);
  for (int i = 0; i < 100; i++) messages.add(true, "y");
  CHECK(messages.take().empty());
}
