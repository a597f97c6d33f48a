// Launches as a session gets them: the short way that most of them take, and the long one, do the same.
#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/session.h"
#include "wire/codec.h"
#include "wire/handle.h"
#include "wire/ring_stream.h"
#include "wire_ops.h"

namespace nm::server {
namespace {

uint64_t handle(Kind kind, uint32_t index) { return wire::Handle{static_cast<uint8_t>(kind), 1, index}.value(); }
template <typename T>
T object(uintptr_t at) {
  return reinterpret_cast<T>(at);
}

const uint64_t kOne = handle(Kind::context, 1), kTwo = handle(Kind::context, 2), kFunction = handle(Kind::function, 3),
               kKernel = handle(Kind::kernel, 4), kStream = handle(Kind::stream, 5);

// What the driver was asked for.
struct World {
  std::vector<std::string> calls;
  CUcontext current = nullptr;
  CUresult answer = CUDA_SUCCESS;
} g;

CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                unsigned shared, CUstream stream, void**, void** extra) {
  std::string call;
  for (uint64_t n :
       {reinterpret_cast<uint64_t>(g.current), reinterpret_cast<uint64_t>(f), uint64_t{gx}, uint64_t{gy}, uint64_t{gz},
        uint64_t{bx}, uint64_t{by}, uint64_t{bz}, uint64_t{shared}, reinterpret_cast<uint64_t>(stream)})
    call += std::to_string(n) + " ";
  if (extra) call += std::string(static_cast<char*>(extra[1]), *static_cast<size_t*>(extra[3]));
  g.calls.push_back(call);
  return g.answer;
}

struct Launch {
  uint64_t function = kFunction, stream = kStream, form = 0, context = kOne;
  std::string parameters = "abcdefgh";
  uint64_t parameters_size = ~0ull;  // as its last word says; else what it is
};

class SessionLaunch : public testing::Test {
 protected:
  SessionLaunch() : stdout_(dup(STDOUT_FILENO)) {
    g = {};
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    std::unique_ptr<wire::Stream> server;
    std::thread accept([&] { server = wire::accept_transport(Fd(ends[1]), true); });
    client_ = wire::offer_transport(Fd(ends[0]), true, true);
    accept.join();
    driver_.cuLaunchKernel = launch;
    driver_.cuCtxSetCurrent = [](CUcontext context) {
      g.current = context;
      return CUDA_SUCCESS;
    };
    driver_.cuMemGetInfo_v2 = [](size_t* free, size_t* total) {
      *free = *total = 1;
      return CUDA_SUCCESS;
    };
    session_ = std::make_unique<Session>(driver_, Connection(std::move(server)), host_functions_, lanes_);
    Tables& t = session_->tables();
    t.context.bind(kOne, object<CUcontext>(1));
    t.context.bind(kTwo, object<CUcontext>(2));
    t.function.bind(kFunction, object<CUfunction>(3));
    t.kernel.bind(kKernel, object<CUkernel>(4));
    t.stream.bind(kStream, object<CUstream>(5));
  }

  // A session takes what kernels print: the tests' own words go on to where they went.
  ~SessionLaunch() override {
    fflush(stdout);
    session_.reset();
    dup2(stdout_.get(), STDOUT_FILENO);
  }

  void record(uint16_t op, uint64_t context, const std::vector<uint8_t>& body, uint32_t sequence = 0) {
    wire::RecordHeader header{};
    header.size = static_cast<uint32_t>(sizeof header + body.size());
    header.op = op;
    header.sequence = sequence;
    header.context = context;
    iovec parts[] = {{&header, sizeof header}, {const_cast<uint8_t*>(body.data()), body.size()}};
    ASSERT_EQ(client_->write({parts, 2}), static_cast<ssize_t>(header.size));
  }
  void post(const Launch& l) {
    std::vector<uint8_t> body;
    wire::Writer w(body);
    w.words({l.function, 1, 2, 3, 4, 5, 6, 7, l.stream, l.form});
    w.bytes(nullptr, 0);
    w.u64(0);
    w.bytes(l.parameters.data(), l.parameters.size());
    w.u64(l.parameters_size == ~0ull ? l.parameters.size() : l.parameters_size);
    record(op::nm_launch, l.context, body);
  }
  // Handles what was posted and asks a question; false: the session ended before it was answered.
  bool run(wire::ReplyHeader* reply) {
    record(op::cuMemGetInfo_v2, kOne, {}, 1);
    client_->shut();
    session_->run();
    return client_->read(reply, sizeof *reply) == sizeof *reply;
  }

  Fd stdout_;
  DriverTable driver_{};
  HostFunctions host_functions_;
  wire::Lanes lanes_{wire::Landing::buffers};
  std::unique_ptr<wire::Stream> client_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionLaunch, ReachesTheDriverAsItWasPosted) {
  wire::ReplyHeader reply;
  post({});
  post({.function = kKernel, .stream = 0, .parameters = "abc"});
  post({.parameters = ""});
  post({.context = kTwo});
  post({});
  ASSERT_TRUE(run(&reply));
  EXPECT_EQ(reply.deferred, 0);
  EXPECT_EQ(g.calls,
            (std::vector<std::string>{"1 3 1 2 3 4 5 6 7 5 abcdefgh", "1 4 1 2 3 4 5 6 7 0 abc", "1 3 1 2 3 4 5 6 7 5 ",
                                      "2 3 1 2 3 4 5 6 7 5 abcdefgh", "1 3 1 2 3 4 5 6 7 5 abcdefgh"}));
}

TEST_F(SessionLaunch, WhatTheDriverRefusesIsToldLater) {
  wire::ReplyHeader reply;
  post({});
  g.answer = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  post({});
  ASSERT_TRUE(run(&reply));
  EXPECT_EQ(reply.deferred, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
}

TEST_F(SessionLaunch, ForeignHandlesDoNotReachTheDriver) {
  wire::ReplyHeader reply;
  post({});
  post({.function = handle(Kind::function, 9)});
  post({.stream = handle(Kind::stream, 9)});
  post({.function = kStream});
  ASSERT_TRUE(run(&reply));
  EXPECT_EQ(reply.deferred, CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(g.calls.size(), 1u);
}

TEST_F(SessionLaunch, ANullFunctionIsTheDriversToRefuse) {
  wire::ReplyHeader reply;
  post({.function = 0});
  post({.function = 0});
  ASSERT_TRUE(run(&reply));
  EXPECT_EQ(g.calls, std::vector<std::string>(2, "1 0 1 2 3 4 5 6 7 5 abcdefgh"));
}

// As the generated handler reads it, whatever the second of two sizes says.
TEST_F(SessionLaunch, ARecordThatIsTooLongEndsTheSession) {
  wire::ReplyHeader reply;
  std::vector<uint8_t> body;
  wire::Writer w(body);
  w.words({kFunction, 1, 1, 1, 1, 1, 1, 0, kStream, 0, 0, 0, 8, 0, 0, 8});
  record(op::nm_launch, kOne, body);
  EXPECT_FALSE(run(&reply));
  EXPECT_TRUE(g.calls.empty());
}

TEST_F(SessionLaunch, ParametersBeyondTheRecordEndTheSession) {
  wire::ReplyHeader reply;
  std::vector<uint8_t> body;
  wire::Writer w(body);
  w.words({kFunction, 1, 1, 1, 1, 1, 1, 0, kStream, 0, 0, 0, 1 << 20, 0, 1 << 20});
  record(op::nm_launch, kOne, body);
  EXPECT_FALSE(run(&reply));
  EXPECT_TRUE(g.calls.empty());
}

}  // namespace
}  // namespace nm::server
