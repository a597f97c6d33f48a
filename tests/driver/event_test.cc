#include "held_test.h"

#include <chrono>
#include <thread>

namespace {

class Event : public HeldTest {
 protected:
  void SetUp() override {
    HeldTest::SetUp();
    OK(cuStreamCreate(&a_, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b_, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&event_, 0));
  }

  CUstream a_ = nullptr, b_ = nullptr;
  CUevent event_ = nullptr;
};

TEST_F(Event, UnrecordedIsDone) {
  OK(cuEventQuery(event_));
  OK(cuEventSynchronize(event_));
  OK(cuStreamWaitEvent(a_, event_, 0));
}

TEST_F(Event, IsReadyWhenTheStreamGotThere) {
  hold(a_);
  OK(cuEventRecord(event_, a_));
  FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(event_));
  release();
  OK(cuEventSynchronize(event_));
  OK(cuEventQuery(event_));
}

TEST_F(Event, OrdersOneStreamBehindAnother) {
  CUdeviceptr p = counted(16);
  OK(cuCtxSynchronize());
  hold(a_);
  OK(cuMemsetD8Async(p, 1, 16, a_));
  OK(cuEventRecord(event_, a_));
  OK(cuStreamWaitEvent(b_, event_, 0));
  OK(cuMemsetD8Async(p, 2, 8, b_));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(b_));
  release();
  OK(cuStreamSynchronize(b_));
  EXPECT_EQ(2, read<uint8_t>(p, 16)[0]);
  EXPECT_EQ(1, read<uint8_t>(p, 16)[15]);
}

TEST_F(Event, AWaitMeansTheRecordBeforeIt) {
  OK(cuEventRecord(event_, a_));
  OK(cuEventSynchronize(event_));
  OK(cuStreamWaitEvent(b_, event_, 0));
  hold(a_);
  OK(cuEventRecord(event_, a_));
  OK(cuStreamSynchronize(b_));  // not held up by the later record
  FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(event_));
  release();
  OK(cuEventSynchronize(event_));
}

TEST_F(Event, ElapsedTimeIsTheTimeBetween) {
  CUevent end = nullptr, untimed = nullptr;
  OK(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
  OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
  float ms = -1;
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2(&ms, event_, end));
  OK(cuEventRecord(event_, a_));
  hold(a_);
  OK(cuEventRecord(end, a_));
  OK(cuEventRecord(untimed, a_));
  FAILS(CUDA_ERROR_NOT_READY, cuEventElapsedTime_v2(&ms, event_, end));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  release();
  OK(cuStreamSynchronize(a_));
  OK(cuEventElapsedTime_v2(&ms, event_, end));
  EXPECT_GE(ms, 15.f);
  EXPECT_LT(ms, 5000.f);
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2(&ms, event_, untimed));
}

TEST_F(Event, ContextEventsSpanEveryStream) {
  hold(a_);
  OK(cuCtxRecordEvent(context_, event_));
  FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(event_));
  OK(cuCtxWaitEvent(context_, event_));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuMemsetD8Async(p, 1, 16, b_));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(b_));
  release();
  OK(cuStreamSynchronize(b_));
}

TEST_F(Event, BadFlagsAndStaleHandlesAreRefused) {
  CUevent other = nullptr;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&other, 64));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&other, CU_EVENT_INTERPROCESS));  // needs DISABLE_TIMING
  OK(cuEventDestroy_v2(event_));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(event_));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(event_, a_));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventDestroy_v2(event_));
}

}  // namespace
