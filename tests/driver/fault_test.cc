// A fault is known before anything that comes behind it is seen as finished: whoever asks for the end of work that
// went wrong, in whatever way and at whatever moment, gets the error and never a success.
#include "driver_test.h"

#include <array>
#include <atomic>
#include <thread>

namespace {

// wild(): writes to address 16, where nothing ever is.
constexpr const char* kWild =
    ".version 7.5\n.target sm_70\n.address_size 64\n"
    ".visible .entry wild()\n{\n .reg .b64 %rd<2>;\n .reg .b32 %r<2>;\n mov.u64 %rd1, 16;\n mov.u32 %r1, 1;\n"
    " st.global.u32 [%rd1], %r1;\n ret;\n}\n";

constexpr int kRounds = 2000;  // together, where a context costs microseconds
constexpr int kThreads = 4;    // more than the small machines that run this have processors: they interrupt each other

// A context of the calling thread, a kernel that will fault in it, a stream and an event.
struct Doomed {
  explicit Doomed(CUdevice device) {
    EXPECT_EQ(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, device));
    CUmodule module = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuModuleLoadData(&module, kWild));
    EXPECT_EQ(CUDA_SUCCESS, cuModuleGetFunction(&wild, module, "wild"));
    EXPECT_EQ(CUDA_SUCCESS, cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    EXPECT_EQ(CUDA_SUCCESS, cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&memory, 64));
  }
  ~Doomed() { cuCtxDestroy_v2(context); }
  void launch() { EXPECT_EQ(CUDA_SUCCESS, cuLaunchKernel(wild, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr)); }
  // Answers the error where the fault was faster than the call.
  CUresult record() { return cuEventRecord(event, stream); }

  CUcontext context = nullptr;
  CUfunction wild = nullptr;
  CUstream stream = nullptr;
  CUevent event = nullptr;
  CUdeviceptr memory = 0;
};

// Without a pause: who asks is then interrupted in the middle of a question, by the thread that the fault is found on.
template <class Ask>
CUresult poll(Ask&& ask) {
  for (;;) {
    const CUresult result = ask();
    if (result != CUDA_ERROR_NOT_READY) return result;
  }
}

// One way of asking whether the work is done. It has just been launched, in the current context.
using Ask = CUresult (*)(Doomed&);

constexpr std::array<std::pair<const char*, Ask>, 6> kWays = {{
    {"cuEventQuery",
     [](Doomed& d) {
       const CUresult recorded = d.record();
       return recorded != CUDA_SUCCESS ? recorded : poll([&] { return cuEventQuery(d.event); });
     }},
    {"cuStreamQuery", [](Doomed& d) { return poll([&] { return cuStreamQuery(d.stream); }); }},
    {"cuEventSynchronize",
     [](Doomed& d) {
       const CUresult recorded = d.record();
       return recorded != CUDA_SUCCESS ? recorded : cuEventSynchronize(d.event);
     }},
    {"cuStreamSynchronize", [](Doomed& d) { return cuStreamSynchronize(d.stream); }},
    {"cuCtxSynchronize", [](Doomed&) { return cuCtxSynchronize(); }},
    {"cuMemcpyDtoHAsync",
     [](Doomed& d) {
       uint32_t value = 0;
       const CUresult copied = cuMemcpyDtoHAsync_v2(&value, d.memory, sizeof value, d.stream);
       return copied != CUDA_SUCCESS ? copied : cuStreamSynchronize(d.stream);
     }},
}};

class FaultRace : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    char name[100] = {};
    OK(cuDeviceGetName(name, sizeof name, device_));
    if (!std::strstr(name, "software")) rounds_ = 48;  // a real device takes a tenth of a second for each
  }
  int rounds_ = kRounds;
  template <class Body>
  void everywhere(Body&& body) {
    std::vector<std::thread> all;
    for (int t = 0; t < kThreads; ++t) all.emplace_back([&, t] { body(t); });
    for (auto& thread : all) thread.join();
  }
};

TEST_F(FaultRace, EachWayOfAskingForTheEndGetsTheError) {
  std::array<std::atomic<int>, kWays.size()> wrong = {};
  everywhere([&](int t) {
    for (int i = t; i < rounds_; i += kThreads) {
      Doomed doomed(device_);
      doomed.launch();
      const size_t way = static_cast<size_t>(i / kThreads) % kWays.size();
      if (kWays[way].second(doomed) != CUDA_ERROR_ILLEGAL_ADDRESS) ++wrong[way];
    }
  });
  for (size_t way = 0; way < kWays.size(); ++way) EXPECT_EQ(0, wrong[way]) << kWays[way].first;
}

// All of them at once, in one context.
TEST_F(FaultRace, ThreadsThatPollOneEventAllGetTheError) {
  std::atomic<int> wrong = 0;
  for (int i = 0; i < rounds_ / 8; ++i) {
    Doomed doomed(device_);
    std::atomic<bool> launched = false;
    std::vector<std::thread> askers;
    for (int t = 0; t < kThreads; ++t) {
      askers.emplace_back([&, t] {
        EXPECT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(doomed.context));
        while (!launched) std::this_thread::yield();
        const CUresult result = t % 2 ? poll([&] { return cuEventQuery(doomed.event); })
                                      : poll([&] { return cuStreamQuery(doomed.stream); });
        if (result != CUDA_ERROR_ILLEGAL_ADDRESS) ++wrong;
      });
    }
    doomed.launch();
    const CUresult recorded = doomed.record();
    EXPECT_TRUE(recorded == CUDA_SUCCESS || recorded == CUDA_ERROR_ILLEGAL_ADDRESS) << recorded;
    launched = true;
    for (auto& thread : askers) thread.join();
  }
  EXPECT_EQ(0, wrong);
}

// An event of a graph, too, is reached late or never.
TEST_F(FaultRace, AnEventInAGraphGetsTheError) {
  std::atomic<int> wrong = 0;
  everywhere([&](int t) {
    for (int i = t; i < rounds_ / 4; i += kThreads) {
      Doomed doomed(device_);
      CUgraph graph = nullptr;
      CUgraphExec exec = nullptr;
      EXPECT_EQ(CUDA_SUCCESS, cuStreamBeginCapture_v2(doomed.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
      doomed.launch();
      EXPECT_EQ(CUDA_SUCCESS, cuEventRecordWithFlags(doomed.event, doomed.stream, CU_EVENT_RECORD_EXTERNAL));
      EXPECT_EQ(CUDA_SUCCESS, cuStreamEndCapture(doomed.stream, &graph));
      EXPECT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
      EXPECT_EQ(CUDA_SUCCESS, cuGraphLaunch(exec, doomed.stream));
      if (poll([&] { return cuEventQuery(doomed.event); }) != CUDA_ERROR_ILLEGAL_ADDRESS) ++wrong;
    }
  });
  EXPECT_EQ(0, wrong);
}

}  // namespace
