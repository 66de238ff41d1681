#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <atomic>

#include "test/client/client_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

TEST_CASE("a call goes with its method, stream and body, and returns the answer") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  CHECK(host->hello.program == "test");
  CHECK(host->hello.epoch == 1);
  const uint32_t stream = client.openStream();
  const CallPointer call = client.send(stream, {{0x701, "question"}}, {.timeoutMs = 20'000});
  const auto batch = host->expectRequests();
  REQUIRE(batch->requests().size() == 1);
  const wire::Request& request = batch->requests()[0];
  CHECK(request.stream == stream);
  CHECK(request.method == 0x701);
  CHECK(request.body == "question");
  CHECK_FALSE(request.chain);
  CHECK(request.deadlineMs > 0);
  CHECK(request.deadlineMs <= 20'000);
  host->reply(request.id, "answer");
  CHECK(client.wait(call));
  CHECK(client::replyBody(call, 0) == "answer");
  CHECK(client::replyBody(call, 1).empty());
}

TEST_CASE("a chain is one frame; the failure of one of its requests is the chain's, with its place") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  const CallPointer call = client.send(client.openStream(), {{1, "begin"}, {2, "insert"}, {3, "commit"}});
  const auto batch = host->expectRequests();
  REQUIRE(batch->requests().size() == 3);
  CHECK(batch->requests()[0].chain);
  CHECK(batch->requests()[1].chain);
  CHECK_FALSE(batch->requests()[2].chain);
  wire::ReplyBatch replies;
  replies.replies.push_back({.id = batch->requests()[0].id, .body = "begun", .failure = {}});
  replies.replies.push_back(
      {.id = batch->requests()[1].id, .body = {}, .failure = {ErrorCode::DUPLICATE_KEY, "twice", "D"}});
  replies.replies.push_back(
      {.id = batch->requests()[2].id, .body = {}, .failure = {ErrorCode::CHAIN_BROKEN, "", ""}});
  host->send(wire::FrameKind::REPLIES, replies.encode());
  CHECK_FALSE(client.wait(call));
  CHECK(client::failedIndex(call) == 1);
  CHECK(client::failureOf(call).code == ErrorCode::DUPLICATE_KEY);
  CHECK(client::failureOf(call).message == "twice");
  CHECK(client::failureOf(call).detail == "D");
  CHECK(client::replyBody(call, 0) == "begun");
}

TEST_CASE("a failure without a code is one all the same") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  const uint32_t id = host->expectRequests()->requests()[0].id;
  std::string reply("\x08", 1);
  reply += static_cast<char>(id);
  reply += std::string("\x1a\x00", 2);  // failure: an empty message
  host->send(wire::FrameKind::REPLIES, std::string("\x0a", 1) + static_cast<char>(reply.size()) + reply);
  CHECK_FALSE(client.wait(call));
  CHECK(client::failureOf(call).code == ErrorCode::INTERNAL);
}

TEST_CASE("calls gather while all frames are in flight, and go when one of them is answered") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  connect(client);
  std::vector<CallPointer> calls;
  for (int i = 0; i < 6; i++) calls.push_back(client.send(client.openStream(), {{1, std::to_string(i)}}));
  const auto first = host->expectRequests();
  const auto second = host->expectRequests();
  CHECK(first->requests().size() == 1);
  CHECK(second->requests().size() == 1);
  CHECK_FALSE(host->next(milliseconds(100)));
  host->reply(first->requests()[0].id, "0");
  CHECK(client.wait(calls[0]));
  const auto third = host->expectRequests();
  REQUIRE(third->requests().size() == 4);
  CHECK(third->requests()[0].body == "2");
  CHECK(third->requests()[3].body == "5");
  std::thread serving([&] { host->echo(); });
  host->reply(second->requests()[0].id, "1");
  for (const wire::Request& request : third->requests()) host->reply(request.id, request.body);
  for (size_t i = 0; i < calls.size(); i++) {
    CHECK(client.wait(calls[i]));
    CHECK(client::replyBody(calls[i], 0) == std::to_string(i));
  }
  host->die();
  serving.join();
}

TEST_CASE(
    "a frame whose requests are reported parked is not waited for, so that a commit passes a lock wait") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  host->limits.maxFramesInFlight = 1;
  host->welcome();
  const CallPointer waiting = client.send(client.openStream(), {{1, "locked"}});
  const uint32_t parked = host->expectRequests()->requests()[0].id;
  const CallPointer commit = client.send(client.openStream(), {{1, "commit"}});
  CHECK_FALSE(host->next(milliseconds(50)));
  host->send(wire::FrameKind::PARKED, wire::Parked{{parked}}.encode());
  std::thread reader([&] { CHECK(client.wait(waiting)); });
  const uint32_t other = host->expectRequests()->requests()[0].id;
  host->reply(other, "committed");
  CHECK(client.wait(commit));
  host->reply(parked, "got it");
  reader.join();
  CHECK(client::replyBody(waiting, 0) == "got it");
  CHECK(client.counters().parked == 1);
}

TEST_CASE("a call for which the window has no room holds back its own stream only") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  host->limits.maxFrameBytes = 64 << 10;
  host->limits.requestWindowBytes = 128 << 10;
  host->limits.maxFramesInFlight = 100;
  host->welcome();
  connect(client);
  const uint32_t bulk = client.openStream();
  const std::string big(60 << 10, 'x');
  std::vector<CallPointer> calls;
  for (int i = 0; i < 3; i++) calls.push_back(client.send(bulk, {{1, big}}));
  calls.push_back(client.send(bulk, {{2, "behind bulk"}}));
  calls.push_back(client.send(client.openStream(), {{3, "commit"}}));
  std::vector<uint32_t> ids;
  std::vector<uint32_t> methods;
  while (methods.empty() || methods.back() != 3) {
    for (const auto& request : host->expectRequests()->requests()) {
      ids.push_back(request.id);
      methods.push_back(request.method);
    }
  }
  CHECK(methods == std::vector<uint32_t>{1, 3});
  for (const uint32_t id : ids) host->reply(id, "");
  std::thread reader([&] {
    for (const CallPointer& call : calls) CHECK(client.wait(call));
  });
  for (methods.clear(); methods.size() < 3;) {
    for (const auto& request : host->expectRequests()->requests()) {
      methods.push_back(request.method);
      host->reply(request.id, "");
    }
  }
  CHECK(methods == std::vector<uint32_t>{1, 1, 2});
  reader.join();
}

TEST_CASE("a call that no frame can hold is refused with both sizes") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  connect(client);
  const uint32_t most = client.maxBodyBytes();
  CHECK(most == (1 << 20) - 80);
  const CallPointer call = client.send(client.openStream(), {{1, std::string(most + 1, 'x')}});
  CHECK_FALSE(client.wait(call));
  CHECK(client::failureOf(call).code == ErrorCode::FRAME_TOO_LARGE);
  const CallPointer fits = client.send(client.openStream(), {{1, std::string(most, 'x')}});
  host->reply(host->expectRequests()->requests()[0].id, std::string(700'000, 'y'));
  CHECK(client.wait(fits));
  CHECK(client::replyBody(fits, 0) == std::string(700'000, 'y'));
}

TEST_CASE("what is sent later goes ahead of the next call of its stream, in one frame") {
  Place place;
  client::Options options = place.options();
  Client client(options);
  const auto host = place.welcome();
  connect(client);
  const uint32_t stream = client.openStream();
  client.sendLater(stream, {{1, "end"}});
  const CallPointer call = client.send(stream, {{2, "next"}});
  const auto batch = host->expectRequests();
  if (batch->requests().size() == 1) {
    // The keeper was between the two.
    CHECK(batch->requests()[0].method == 1);
    host->reply(batch->requests()[0].id, "");
    host->reply(host->expectRequests()->requests()[0].id, "");
  } else {
    CHECK(batch->requests()[0].method == 1);
    CHECK(batch->requests()[1].method == 2);
    for (const auto& request : batch->requests()) host->reply(request.id, "");
  }
  CHECK(client.wait(call));
}

TEST_CASE("what is sent later goes by itself where nothing follows, also on a connection that was idle") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  connect(client);
  for (int i = 0; i < 3; i++) {
    client.sendLater(client.openStream(), {{1, "end"}});
    const auto batch = host->expectRequests();
    CHECK(batch->requests()[0].body == "end");
    host->reply(batch->requests()[0].id, "");
    std::this_thread::sleep_for(milliseconds(i == 0 ? 300 : 20));
  }
}

TEST_CASE("a ping is answered, whether or not somebody waits") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  host->send(wire::FrameKind::PING, "abc");
  CHECK(host->expect(wire::FrameKind::PONG) == "abc");
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  std::thread waiting([&] { client.wait(call); });
  const auto batch = host->expectRequests();
  host->send(wire::FrameKind::PING, "def");
  CHECK(host->expect(wire::FrameKind::PONG) == "def");
  host->reply(batch->requests()[0].id, "");
  waiting.join();
}

TEST_CASE("replies are credited before their window is full") {
  Place place;
  client::Options options = place.options();
  options.replyWindowBytes = 256 << 10;
  Client client(options);
  const auto host = place.welcome();
  CHECK(host->hello.replyWindowBytes == 256 << 10);
  const CallPointer call = client.send(client.openStream(), {{1, ""}, {1, ""}, {1, ""}});
  const auto batch = host->expectRequests();
  std::thread waiting([&] { CHECK(client.wait(call)); });
  const std::string part(100 << 10, 'x');
  host->reply(batch->requests()[0].id, part);
  host->reply(batch->requests()[1].id, part);
  const std::string body = host->expect(wire::FrameKind::CREDIT);
  wire::Credit credit;
  REQUIRE(wire::Credit::decode(body, credit));
  CHECK(credit.receivedBytes > 128 << 10);
  host->reply(batch->requests()[2].id, "");
  waiting.join();
}

TEST_CASE("many threads have their own answers, whoever reads") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  // Without a session what goes later is dropped.
  wire::Failure failure;
  REQUIRE(client.connect(20'000, failure) != 0);
  std::thread serving([&] { host->echo(); });
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 32; thread++) {
    threads.emplace_back([&, thread] {
      const uint32_t stream = client.openStream();
      for (int i = 0; i < 200; i++) {
        const std::string body = std::to_string(thread) + "/" + std::to_string(i);
        const CallPointer ahead = client.send(stream, {{1, "ahead"}});
        const CallPointer call = client.send(stream, {{1, body}, {2, "second"}}, {.timeoutMs = 60'000});
        if (i % 3 == 0) client.sendLater(stream, {{3, "later"}});
        if (!client.wait(call) || client::replyBody(call, 0) != body ||
            client::replyBody(call, 1) != "second" || !client.wait(ahead) ||
            client::replyBody(ahead, 0) != "ahead") {
          wrong++;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(client.counters().requests == 32 * (200 * 3 + 67));
  host->die();
  serving.join();
}
