#include "server/daemon_hello.h"

#include <gtest/gtest.h>
#include <string.h>

#include "base/version.h"

namespace nm::server {
namespace {

using State = HelloReader::State;

std::string hello_bytes(const std::string& env = "", void (*edit)(wire::Hello&) = nullptr) {
  wire::Hello hello;
  kVersion.copy(hello.version, sizeof hello.version - 1);
  hello.pid = 17;
  hello.env_size = static_cast<uint32_t>(env.size());
  if (edit) edit(hello);
  return std::string(reinterpret_cast<const char*>(&hello), sizeof hello) + env;
}

// As the daemon reads: never more than wanted(), in pieces of at most `piece` bytes.
State feed(HelloReader& reader, const std::string& bytes, size_t piece = 1 << 20) {
  size_t at = 0;
  State state = State::need_more;
  while (at < bytes.size() && state == State::need_more) {
    const size_t size = std::min({piece, reader.wanted(), bytes.size() - at});
    state = reader.feed(bytes.data() + at, size);
    at += size;
  }
  return state;
}

std::string env_of(std::initializer_list<std::string> entries) {
  std::string out;
  for (const auto& entry : entries) out += entry + '\0';
  return out;
}

std::string refusal_of(const std::string& bytes) {
  HelloReader reader;
  return feed(reader, bytes) == State::refused ? reader.refusal().sentence : "accepted";
}

TEST(Hello, IsReadWholeOrByteByByte) {
  const std::string bytes = hello_bytes(env_of({"CUDA_VISIBLE_DEVICES=0,2", "CUDA_LAUNCH_BLOCKING=1"}));
  for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
    HelloReader reader;
    ASSERT_EQ(feed(reader, bytes, piece), State::complete);
    EXPECT_EQ(reader.client().hello.pid, 17u);
    EXPECT_EQ(reader.client().env, (std::vector<std::string>{"CUDA_VISIBLE_DEVICES=0,2", "CUDA_LAUNCH_BLOCKING=1"}));
  }
}

TEST(Hello, ReaderNeverAsksForBytesBeyondTheHello) {
  const std::string bytes = hello_bytes(env_of({"CUDA_LAUNCH_BLOCKING=1"}));
  HelloReader reader;
  size_t at = 0;
  while (reader.feed(bytes.data() + at, 1) == State::need_more) {
    ++at;
    ASSERT_GT(reader.wanted(), 0u);
    ASSERT_LE(at + reader.wanted(), bytes.size());
  }
  EXPECT_EQ(at + 1, bytes.size());
}

TEST(Hello, AStrangerShowsAtItsFirstByteAndGetsNoAnswer) {
  HelloReader reader;
  EXPECT_EQ(reader.feed("GET / HTTP/1.1", 1), State::refused);
  EXPECT_EQ(reader.refusal().status, wire::Status::ok);
}

TEST(Hello, VersionSkewNamesBothVersions) {
  HelloReader reader;
  ASSERT_EQ(feed(reader, hello_bytes("", [](wire::Hello& h) { strcpy(h.version, "9.9.9"); })), State::refused);
  EXPECT_EQ(reader.refusal().status, wire::Status::version_skew);
  EXPECT_NE(reader.refusal().sentence.find("9.9.9"), std::string::npos);
  EXPECT_NE(reader.refusal().sentence.find(kVersion), std::string::npos);
}

TEST(Hello, SkewedProtocolIsAnsweredBeforeTheRestOfItsHello) {
  const std::string bytes = hello_bytes("", [](wire::Hello& h) { h.protocol = 77; });
  HelloReader reader;
  EXPECT_EQ(feed(reader, bytes.substr(0, 48)), State::refused);
  EXPECT_EQ(reader.refusal().status, wire::Status::version_skew);
  EXPECT_NE(reader.refusal().sentence.find("protocol 77"), std::string::npos);
}

TEST(Hello, VersionFromTheWireIsMadePrintable) {
  const std::string sentence =
      refusal_of(hello_bytes("", [](wire::Hello& h) { memset(h.version, '\n', sizeof h.version); }));
  EXPECT_EQ(sentence.find('\n'), sentence.npos);
  EXPECT_NE(sentence.find("????"), sentence.npos);
}

TEST(Hello, RefusesNamesThatAreNotOnTheList) {
  for (const char* entry : {"LD_PRELOAD=/tmp/evil.so", "CUDA_VISIBLE_DEVICES", "=x", "", "cuda_visible_devices=0"}) {
    EXPECT_NE(refusal_of(hello_bytes(env_of({entry}))).find("not among those"), std::string::npos) << entry;
  }
}

TEST(Hello, RefusesUnterminatedAndDoubledEnvironment) {
  EXPECT_NE(refusal_of(hello_bytes("CUDA_LAUNCH_BLOCKING=1")).find("NUL"), std::string::npos);
  EXPECT_NE(refusal_of(hello_bytes(env_of({"CUDA_LAUNCH_BLOCKING=1", "CUDA_LAUNCH_BLOCKING=0"}))).find("twice"),
            std::string::npos);
}

TEST(Hello, RefusesAnOversizedEnvironmentBeforeReadingIt) {
  EXPECT_NE(refusal_of(hello_bytes("", [](wire::Hello& h) { h.env_size = wire::kMaxEnv + 1; })).find("limit"),
            std::string::npos);
  EXPECT_NE(refusal_of(hello_bytes("", [](wire::Hello& h) { h.env_size = ~0u; })).find("limit"), std::string::npos);
}

TEST(Hello, RefusesAnUnknownPurpose) {
  EXPECT_NE(refusal_of(hello_bytes("", [](wire::Hello& h) { h.purpose = wire::Purpose{99}; })).find("purpose 99"),
            std::string::npos);
}

TEST(Welcome, CarriesStatusAndSentenceAndIsBounded) {
  const std::string bytes = encode_welcome(wire::Status::refused, {}, std::string(10'000, 'x'));
  ASSERT_EQ(bytes.size(), sizeof(wire::Welcome) + wire::kMaxMessage);
  wire::Welcome welcome;
  memcpy(static_cast<void*>(&welcome), bytes.data(), sizeof welcome);
  EXPECT_EQ(welcome.status, wire::Status::refused);
  EXPECT_EQ(welcome.message_size, wire::kMaxMessage);
  EXPECT_EQ(std::string(welcome.version), kVersion);
}

}  // namespace
}  // namespace nm::server
