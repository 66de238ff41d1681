#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "test/client/client_fixture.hpp"

using namespace vamos;
using namespace vamos::test;

namespace {

client::Options quick(const Place& place) {
  client::Options options = place.options();
  options.connectTimeoutMs = 3000;
  options.maxReconnectDelayMs = 100;
  return options;
}

ErrorCode codeOf(const CallPointer& call) { return client::failureOf(call).code; }

}  // namespace

TEST_CASE(
    "a host that is absent fails calls in time, with its address; one that comes later serves the next") {
  Place place;
  place.vanish();
  Client client(quick(place));
  client::Failure failure;
  CHECK(client.connect(1, failure) == 0);
  CHECK(eventually([&] { return client.describe().find("No such file") != std::string::npos; }));
  const CallPointer early = client.send(client.openStream(), {{1, ""}});
  CHECK_FALSE(client.wait(early));
  CHECK(codeOf(early) == ErrorCode::CHANNEL_ABSENT);
  CHECK(client::failureOf(early).message == place.address() + ": No such file or directory");
  CHECK(client.describe().find("not connected to " + place.address()) == 0);
  place.listen();
  const auto host = place.welcome();
  connect(client);
  const CallPointer call = client.send(client.openStream(), {{1, "q"}}, {.timeoutMs = 20'000});
  host->reply(host->expectRequests()->requests()[0].id, "a");
  CHECK(client.wait(call));
  CHECK(client.describe().find("connected to " + place.address() + " as session 1") == 0);
}

TEST_CASE("a call that waits for the host is sent once it is there") {
  Place place;
  place.vanish();
  client::Options options = place.options();
  options.connectTimeoutMs = 20'000;
  Client client(options);
  const CallPointer call = client.send(client.openStream(), {{1, "q"}});
  std::thread waiting([&] { CHECK(client.wait(call)); });
  place.listen();
  const auto host = place.welcome();
  host->reply(host->expectRequests()->requests()[0].id, "a");
  waiting.join();
}

TEST_CASE("a session that ends fails what was sent; a commit with its own code; what was not sent goes on") {
  Place place;
  client::Options options = place.options();
  options.connectTimeoutMs = 20'000;
  Client client(options);
  auto host = place.accept();
  host->limits.maxFramesInFlight = 2;
  host->welcome();
  connect(client);
  CHECK(client.epoch() == 1);
  const CallPointer sent = client.send(client.openStream(), {{1, ""}});
  const CallPointer commit = client.send(client.openStream(), {{2, ""}}, {.isCommit = true});
  host->expectRequests();
  host->expectRequests();
  // No frame is free for these.
  const CallPointer bound = client.send(client.openStream(), {{3, ""}}, {.epoch = 1});
  const CallPointer unsent = client.send(client.openStream(), {{4, "goes on"}}, {.isCommit = true});
  host->die();
  CHECK_FALSE(client.wait(sent));
  CHECK(codeOf(sent) == ErrorCode::SESSION_LOST);
  CHECK(client::failureOf(sent).message.find(place.address()) != std::string::npos);
  CHECK_FALSE(client.wait(commit));
  CHECK(codeOf(commit) == ErrorCode::OUTCOME_UNKNOWN);
  CHECK_FALSE(client.wait(bound));
  CHECK(codeOf(bound) == ErrorCode::SESSION_LOST);
  std::thread waiting([&] { CHECK(client.wait(unsent)); });
  const auto next = place.welcome();
  CHECK(next->hello.epoch == 2);
  CHECK(next->hello.session == host->hello.session);
  CHECK(next->hello.nonce != host->hello.nonce);
  const auto batch = next->expectRequests();
  REQUIRE(batch->requests().size() == 1);
  CHECK(batch->requests()[0].body == "goes on");
  next->reply(batch->requests()[0].id, "");
  waiting.join();
  CHECK(client.epoch() == 2);
  CHECK(client.counters().reconnects == 1);
  const CallPointer late = client.send(client.openStream(), {{3, "late"}}, {.epoch = 1});
  const CallPointer after = client.send(client.openStream(), {{3, "after it"}});
  const auto seen = next->expectRequests();
  REQUIRE(seen->requests().size() == 1);
  CHECK(seen->requests()[0].body == "after it");
  next->reply(seen->requests()[0].id, "");
  CHECK(client.wait(after));
  CHECK_FALSE(client.wait(late));
  CHECK(codeOf(late) == ErrorCode::SESSION_LOST);
}

TEST_CASE("a loss is noticed while nobody calls, and the next session is there before the next call") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  host->die();
  const auto next = place.welcome();
  CHECK(next->hello.epoch == 2);
  CHECK(eventually([&] { return client.describe().find("as session 2") != std::string::npos; }));
}

TEST_CASE("a goodbye says why") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  host->expectRequests();
  host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::HOST_STOPPING, "stopping now", ""}.encode());
  CHECK_FALSE(client.wait(call));
  CHECK(codeOf(call) == ErrorCode::SESSION_LOST);
  CHECK(client::failureOf(call).message.find("stopping now") != std::string::npos);
}

TEST_CASE("a host that wants another token is not waited for, and asked again") {
  Place place;
  client::Options options = place.options();
  options.token = "wrong";
  options.connectTimeoutMs = 20'000;
  Client client(options);
  auto host = place.accept();
  wire::Hello hello;
  REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), hello));
  CHECK(hello.token == "wrong");
  host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::BAD_TOKEN, "another", hello.nonce}.encode());
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  CHECK_FALSE(client.wait(call));
  CHECK(codeOf(call) == ErrorCode::BAD_TOKEN);
  const auto next = place.welcome();
  CHECK(eventually([&] { return client.describe().starts_with("connected"); }));
}

TEST_CASE("a host that refuses a session for a fault of its own is not waited for") {
  Place place;
  client::Options options = place.options();
  options.connectTimeoutMs = 20'000;
  Client client(options);
  auto host = place.accept();
  wire::Hello hello;
  REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), hello));
  host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::INTERNAL, "a fault", hello.nonce}.encode());
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  CHECK_FALSE(client.wait(call));
  CHECK(codeOf(call) == ErrorCode::INTERNAL);
}

TEST_CASE("what passes by itself is waited for") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  wire::Hello hello;
  REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), hello));
  host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::OUT_OF_MEMORY, "full", hello.nonce}.encode());
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  const auto next = place.welcome();
  next->reply(next->expectRequests()->requests()[0].id, "");
  CHECK(client.wait(call));
}

TEST_CASE("hello is said again until the welcome, and only its own nonce counts") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  wire::Hello first;
  wire::Hello again;
  REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), first));
  REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), again));
  CHECK(first.nonce == again.nonce);
  CHECK(first.nonce.size() == 16);
  wire::Welcome other = host->limits;
  other.nonce = std::string(16, 'x');
  host->send(wire::FrameKind::WELCOME, other.encode());
  host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::SESSION_LOST, "", "other"}.encode());
  host->reply(17, "of another time");
  client::Failure failure;
  CHECK(client.connect(200, failure) == 0);
  host->welcome();
  connect(client);
}

TEST_CASE("a deadline ends a call that the host does not answer; the answer that comes later harms nobody") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  const CallPointer slow = client.send(client.openStream(), {{1, ""}}, {.timeoutMs = 50});
  CHECK_FALSE(client.wait(slow));
  CHECK(codeOf(slow) == ErrorCode::DEADLINE_EXCEEDED);
  const uint32_t id = host->expectRequests()->requests()[0].id;
  const CallPointer call = client.send(client.openStream(), {{1, "next"}});
  const uint32_t next = host->expectRequests()->requests()[0].id;
  CHECK(next != id);
  host->reply(id, "late");
  host->reply(next, "in time");
  CHECK(client.wait(call));
  CHECK(client::replyBody(call, 0) == "in time");
}

TEST_CASE("cancel ends the wait of a reading and of another thread immediately, and tells the host") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  std::vector<CallPointer> calls;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; i++) {
    calls.push_back(client.send(client.openStream(), {{1, ""}}));
    host->expectRequests();
    threads.emplace_back([&, call = calls.back()] { CHECK_FALSE(client.wait(call)); });
  }
  CHECK(eventually([&] { return client.counters().waits == 2; }));
  std::this_thread::sleep_for(milliseconds(20));
  std::vector<uint32_t> told;
  for (const CallPointer& call : calls) {
    client.cancel(call);
    client.cancel(call);
    wire::Cancel cancel;
    REQUIRE(wire::Cancel::decode(host->expect(wire::FrameKind::CANCEL), cancel));
    told.insert(told.end(), cancel.ids.begin(), cancel.ids.end());
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(told.size() == 2);
  for (const CallPointer& call : calls) CHECK(codeOf(call) == ErrorCode::CANCELLED);
  for (const uint32_t id : told) host->fail(id, ErrorCode::CANCELLED);
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  host->reply(host->expectRequests()->requests()[0].id, "");
  CHECK(client.wait(call));
}

TEST_CASE("a call that nobody waits for is cancelled at the host, too") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  const uint32_t id = host->expectRequests()->requests()[0].id;
  client.cancel(call);
  wire::Cancel cancel;
  REQUIRE(wire::Cancel::decode(host->expect(wire::FrameKind::CANCEL), cancel));
  CHECK(cancel.ids == std::vector<uint32_t>{id});
  CHECK_FALSE(client.wait(call));
}

TEST_CASE("the host is told of a cancel before the requests that are made after it") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  for (int i = 0; i < 200; i++) {
    const CallPointer call = client.send(client.openStream(), {{1, ""}});
    const uint32_t id = host->expectRequests()->requests()[0].id;
    const uint64_t before = client.counters().waits;
    std::thread waiting([&] { CHECK_FALSE(client.wait(call)); });
    CHECK(eventually([&] { return client.counters().waits > before; }));
    client.cancel(call);
    const CallPointer next = client.send(client.openStream(), {{1, ""}});
    std::thread nextWaiting([&] { CHECK(client.wait(next)); });
    const auto frame = host->next();
    REQUIRE(frame);
    REQUIRE(frame->kind == wire::FrameKind::CANCEL);
    host->fail(id, ErrorCode::CANCELLED);
    host->reply(host->expectRequests()->requests()[0].id, "");
    waiting.join();
    nextWaiting.join();
  }
}

TEST_CASE("a host that neither answers nor pings is given up") {
  Place place;
  client::Options options = place.options();
  options.pingIntervalMs = 50;
  Client client(options);
  auto host = place.welcome();
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  CHECK_FALSE(client.wait(call));
  CHECK(codeOf(call) == ErrorCode::SESSION_LOST);
  host->expect(wire::FrameKind::PING);
  const auto next = place.welcome();
  CHECK(next->hello.epoch == 2);
}

TEST_CASE("a host that knows a later state of the session gets another one, with other bytes") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  const std::string former = host->hello.session;
  SUBCASE("where it refuses a commit") {
    const CallPointer commit = client.send(client.openStream(), {{1, ""}}, {.isCommit = true});
    const CallPointer other = client.send(client.openStream(), {{2, ""}});
    host->fail(host->expectRequests()->requests()[0].id, ErrorCode::SESSION_STALE);
    CHECK_FALSE(client.wait(commit));
    // It may have been done before the guest's memory was rolled back: in that session.
    CHECK(codeOf(commit) == ErrorCode::OUTCOME_UNKNOWN);
    CHECK(client::failureOf(commit).detail == former);
    CHECK_FALSE(client.wait(other));
    CHECK(codeOf(other) == ErrorCode::SESSION_LOST);
  }
  SUBCASE("where commits wait to be sent, which may have been sent before") {
    for (uint32_t frames = 0; frames < host->limits.maxFramesInFlight; frames++) {
      client.send(client.openStream(), {{1, ""}});
      host->expectRequests();
    }
    const CallPointer commit = client.send(client.openStream(), {{1, ""}}, {.isCommit = true});
    host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::SESSION_STALE, "rolled back", ""}.encode());
    CHECK_FALSE(client.wait(commit));
    CHECK(codeOf(commit) == ErrorCode::OUTCOME_UNKNOWN);
    CHECK(client::failureOf(commit).detail == former);
  }
  SUBCASE("where it says goodbye") {
    host->send(wire::FrameKind::GOODBYE, wire::Goodbye{ErrorCode::SESSION_STALE, "rolled back", ""}.encode());
  }
  SUBCASE("where it refuses the hello") {
    host->die();
    host = place.accept();
    wire::Hello hello;
    REQUIRE(wire::Hello::decode(host->expect(wire::FrameKind::HELLO), hello));
    CHECK(hello.session == former);
    host->send(wire::FrameKind::GOODBYE,
               wire::Goodbye{ErrorCode::SESSION_STALE, "rolled back", hello.nonce}.encode());
  }
  SUBCASE("where the program has learnt it") {
    client.renewSession("another session", "nothing of this one");
    CHECK(client.epoch() == 1);
    client.renewSession(former, "rolled back");
  }
  const auto next = place.welcome();
  CHECK(next->hello.session != former);
  CHECK(next->hello.session.size() == 16);
  CHECK(next->hello.epoch == 2);
  CHECK(client.renewals() == 1);
  CHECK(client.formerSession() == former);
}

TEST_CASE("a hello names the frames that may be the last one that came, since the welcome before") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  CHECK(host->hello.stamps.empty());
  std::vector<uint32_t> stamps;
  for (int count = 0; count < 4; count++) {
    const CallPointer call = client.send(client.openStream(), {{1, "q"}});
    const auto batch = host->expectRequests();
    stamps.push_back(batch->message.stamp);
    CHECK(batch->message.stamp != 0);
    // An earlier host says nothing of stamps.
    host->lastStamp = 0;
    host->reply(batch->requests()[0].id, "a");
    CHECK(client.wait(call));
  }
  host->die();
  host = place.welcome();
  CHECK(host->hello.stamps == std::vector<uint32_t>(stamps.end() - 3, stamps.end()));
  host->die();
  host = place.welcome();
  CHECK(host->hello.stamps == std::vector<uint32_t>(stamps.end() - 1, stamps.end()));
  CHECK(client.renewals() == 0);
}

TEST_CASE("an answer to a frame that this connector has not sent is none: another session begins") {
  Place place;
  Client client(place.options());
  auto host = place.welcome();
  connect(client);
  const std::string former = host->hello.session;
  const CallPointer first = client.send(client.openStream(), {{1, "q"}});
  host->reply(host->expectRequests()->requests()[0].id, "a");
  CHECK(client.wait(first));
  const CallPointer commit = client.send(client.openStream(), {{1, ""}}, {.isCommit = true});
  const auto batch = host->expectRequests();
  host->lastStamp ^= 1;
  host->reply(batch->requests()[0].id, "done in another state of the guest");
  CHECK_FALSE(client.wait(commit));
  CHECK(codeOf(commit) == ErrorCode::OUTCOME_UNKNOWN);
  CHECK(client::failureOf(commit).detail == former);
  const auto next = place.welcome();
  CHECK(next->hello.session != former);
  CHECK(next->hello.stamps.empty());
  CHECK(client.renewals() == 1);
}

TEST_CASE("a host that answers pings may take its time") {
  Place place;
  client::Options options = place.options();
  // It may also be kept from its processor for a while.
  options.pingIntervalMs = 1000;
  Client client(options);
  auto host = place.welcome();
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  const uint32_t id = host->expectRequests()->requests()[0].id;
  std::thread waiting([&] { CHECK(client.wait(call)); });
  for (int i = 0; i < 4; i++) {
    host->send(wire::FrameKind::PONG, host->expect(wire::FrameKind::PING));
  }
  host->reply(id, "");
  waiting.join();
}

TEST_CASE("what makes no sense ends the session with a goodbye, and nothing else") {
  Place place;
  Client client(quick(place));
  const auto garbage = [&](const std::function<void(HostEnd&, uint32_t id)>& misbehave) {
    auto host = place.welcome();
    connect(client);
    const CallPointer call = client.send(client.openStream(), {{1, ""}, {1, ""}});
    const uint32_t id = host->expectRequests()->requests()[0].id;
    misbehave(*host, id);
    CHECK_FALSE(client.wait(call));
    CHECK(codeOf(call) == ErrorCode::SESSION_LOST);
    while (host->next()) continue;
  };
  using Kind = wire::FrameKind;
  garbage([](HostEnd& host, uint32_t) { host.sendRaw(std::string(4096, '\xff')); });
  garbage([](HostEnd& host, uint32_t) { host.send(Kind::REPLIES, "\xff\xff\xff\xff\xff"); });
  garbage([](HostEnd& host, uint32_t) { host.reply(4711, "unasked"); });
  garbage([](HostEnd& host, uint32_t) { host.reply(0, "unasked"); });
  garbage([](HostEnd& host, uint32_t id) {
    host.reply(id, "once");
    host.reply(id, "twice");
  });
  garbage([](HostEnd& host, uint32_t) { host.send(Kind::PARKED, wire::Parked{{4711}}.encode()); });
  garbage([](HostEnd& host, uint32_t id) { host.send(Kind::PARKED, wire::Parked{{id, id}}.encode()); });
  garbage([](HostEnd& host, uint32_t) { host.send(99, ""); });
  garbage([](HostEnd& host, uint32_t) { host.send(Kind::HELLO, ""); });
  garbage([](HostEnd& host, uint32_t) { host.send(Kind::PING, std::string(100'000, 'x')); });
  garbage([](HostEnd& host, uint32_t) {
    // A frame larger than any.
    FrameHeaderBytes header = encodeFrameHeader(Kind::REPLIES, {}, 1);
    header[11] = 0x7F;
    host.sendRaw({reinterpret_cast<const char*>(header.data()), header.size()});
  });
  garbage([](HostEnd& host, uint32_t) { host.die(); });
}

TEST_CASE("limits that make no sense are refused") {
  Place place;
  Client client(quick(place));
  auto host = place.accept();
  host->limits.requestWindowBytes = 10;
  host->welcome();
  client::Failure failure;
  CHECK(client.connect(100, failure) == 0);
  place.welcome();
  connect(client);
}

TEST_CASE("a host that stops reading delays its connector no longer than the calls' timeouts") {
  Place place;
  Client client(place.options());
  auto host = place.accept();
  host->limits.maxFramesInFlight = 100;
  host->limits.maxFrameBytes = 1 << 20;
  host->welcome();
  connect(client);
  std::vector<CallPointer> calls;
  for (int i = 0; i < 20; i++) {
    calls.push_back(client.send(client.openStream(), {{1, std::string(1'000'000, 'x')}}, {.timeoutMs = 100}));
  }
  for (const CallPointer& call : calls) {
    CHECK_FALSE(client.wait(call));
    CHECK(codeOf(call) == ErrorCode::DEADLINE_EXCEEDED);
  }
  std::thread serving([&] { host->echo(); });
  const CallPointer call = client.send(client.openStream(), {{1, "again"}});
  CHECK(client.wait(call));
  host->die();
  serving.join();
}

TEST_CASE("more than may wait makes the sender wait until the host goes on") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  connect(client);
  std::atomic<int> sent = 0;
  std::vector<CallPointer> calls(40);
  std::thread sending([&] {
    for (CallPointer& call : calls) {
      call = client.send(client.openStream(), {{1, std::string(1'000'000, 'x')}});
      sent++;
    }
  });
  // Two frames, and what may wait.
  CHECK(eventually([&] { return sent >= 16; }));
  std::this_thread::sleep_for(milliseconds(50));
  CHECK(sent < 25);
  std::thread serving([&] { host->echo(); });
  sending.join();
  for (const CallPointer& call : calls) CHECK(client.wait(call));
  host->die();
  serving.join();
}

TEST_CASE("the end of the client says goodbye and fails what waits, in all its threads") {
  Place place;
  auto client = std::make_unique<Client>(place.options());
  auto host = place.welcome();
  connect(*client);
  std::vector<CallPointer> calls;
  std::vector<std::thread> threads;
  std::atomic<int> ended = 0;
  for (int i = 0; i < 5; i++) {
    calls.push_back(client->send(client->openStream(), {{1, ""}}));
    threads.emplace_back([&, call = calls.back(), &client = *client] {
      CHECK_FALSE(client.wait(call));
      ended++;
    });
  }
  CHECK(eventually([&] { return client->counters().waits == 5; }));
  client.reset();
  CHECK(ended <= 5);
  for (std::thread& thread : threads) thread.join();
  for (const CallPointer& call : calls) CHECK(codeOf(call) == ErrorCode::CANCELLED);
  host->expect(wire::FrameKind::GOODBYE);
}

TEST_CASE("a client ends immediately while its host is absent, or silent") {
  Place place;
  { const Client client(place.options()); }
  place.vanish();
  { const Client client(place.options()); }
}

TEST_CASE("a child that was forked off leaves the parent's session alone") {
  Place place;
  Client client(place.options());
  const auto host = place.welcome();
  connect(client);
  const pid_t child = fork();
  if (child == 0) {
    client.~Client();
    _exit(0);
  }
  int status = 1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  const CallPointer call = client.send(client.openStream(), {{1, ""}});
  host->reply(host->expectRequests()->requests()[0].id, "");
  CHECK(client.wait(call));
}

TEST_CASE("an address that is none is said so, without waiting") {
  for (const std::string address :
       {"", "unix:", "ftp:x", "vsock:2", "vsock:any:1", "vsock:2:x", "virtio-serial:.."}) {
    CAPTURE(address);
    client::Options options;
    options.address = address;
    options.connectTimeoutMs = 60'000;
    Client client(options);
    const CallPointer call = client.send(client.openStream(), {{1, ""}});
    CHECK_FALSE(client.wait(call));
    CHECK(codeOf(call) == ErrorCode::BAD_ADDRESS);
    CHECK(client::failureOf(call).message.find("'" + address + "'") != std::string::npos);
  }
}
