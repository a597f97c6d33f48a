#include "server/session_meter.h"

#include <gtest/gtest.h>

#include "wire/codec.h"
#include "wire_ops.h"

namespace nm::server {
namespace {

CUresult device_one(CUdevice* device) {
  *device = 1;
  return CUDA_SUCCESS;
}

class Meter : public testing::Test {
 protected:
  Meter() { driver_.cuCtxGetDevice = device_one; }

  void done(uint16_t op, std::initializer_list<uint64_t> words, std::initializer_list<uint64_t> answer = {},
            CUcontext context = kFirst) {
    std::vector<uint8_t> body, reply;
    wire::Writer(body).words(words);
    wire::Writer(reply).words(answer);
    meter_.done(op, context, body, reply);
  }
  template <typename T>
  void done_with(uint16_t op, std::initializer_list<uint64_t> words, const T& value) {
    std::vector<uint8_t> body;
    wire::Writer out(body);
    out.words(words);
    out.pod(value);
    meter_.done(op, kFirst, body, {});
  }
  uint64_t memory() const { return page_.memory; }

  static inline const CUcontext kFirst = reinterpret_cast<CUcontext>(0x10), kSecond = reinterpret_cast<CUcontext>(0x20);
  DriverTable driver_{};
  SessionPage page_{};
  SessionMeter meter_{driver_, &page_};
};

TEST_F(Meter, RecordsAreCountedWithTheirBytes) {
  meter_.arrived({.size = 100, .op = 0, .fds = 0, .sequence = 0, .thread = 1, .context = 0, .bulk = 1000});
  meter_.arrived({.size = 40, .op = 0, .fds = 0, .sequence = 7, .thread = 1, .context = 0, .bulk = 0});
  meter_.sent(33);
  EXPECT_EQ(1u, page_.posted);
  EXPECT_EQ(1u, page_.waited);
  EXPECT_EQ(1140u, page_.bytes_in);
  EXPECT_EQ(33u, page_.bytes_out);
}

TEST_F(Meter, LaunchesAreCounted) {
  done(op::nm_launch, {});
  done(op::nm_launch, {});
  done(op::cuGraphLaunch, {});
  EXPECT_EQ(2u, page_.kernels);
  EXPECT_EQ(1u, page_.graphs);
}

TEST_F(Meter, CopiesFromAndToSharedMemoryCountAsBytes) {
  done(op::nm_stage, {1, 2, 500, 1, 0, 0, 0});
  done(op::nm_stage, {1, 2, 30, 0, 0, 0, 0});
  done(op::nm_copy_host, {1, 2, 7000, 0, 1});
  done(op::nm_copy_host, {1, 2, 4, 0, 0});
  CUDA_MEMCPY3D_PEER copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.WidthInBytes = 10, copy.Height = 10, copy.Depth = 10;
  done_with(op::nm_copy3d, {}, copy);
  EXPECT_EQ(8500u, page_.bytes_in);
  EXPECT_EQ(34u, page_.bytes_out);
}

TEST_F(Meter, BytesOverLanesCount) {
  done(op::nm_lane_in, {77, 900, 1, 0});
  done(op::nm_lane_out, {78, 50, 1, 0});
  done(op::nm_lane_push, {79, 6, 1, 0, 0});
  EXPECT_EQ(900u, page_.bytes_in);
  EXPECT_EQ(56u, page_.bytes_out);
}

TEST_F(Meter, MemoryIsHeldUntilItIsFreed) {
  done(op::cuMemAlloc_v2, {1000}, {0x7000});
  done(op::cuMemAllocAsync, {200, 0}, {0x8000});
  done(op::cuMemAllocPitch_v2, {100, 4, 4}, {0x9000, 512});
  EXPECT_EQ(1000u + 200 + 4 * 512, memory());
  EXPECT_EQ(memory(), page_.gpus[1].held);
  EXPECT_EQ(0u, page_.gpus[0].held);
  done(op::cuMemFree_v2, {0x7000});
  done(op::cuMemFree_v2, {0x7000});
  done(op::cuMemFree_v2, {0x1234});
  done(op::cuMemFreeAsync, {0x9000, 0});
  EXPECT_EQ(200u, memory());
  EXPECT_EQ(200u, page_.gpus[1].held);
}

TEST_F(Meter, ArraysAreMemory) {
  done_with(op::cuArrayCreate_v2, {0x4e01}, CUDA_ARRAY_DESCRIPTOR{64, 0, CU_AD_FORMAT_HALF, 2});
  done_with(op::cuArray3DCreate_v2, {0x4e02}, CUDA_ARRAY3D_DESCRIPTOR{8, 8, 8, CU_AD_FORMAT_FLOAT, 1, 0});
  EXPECT_EQ(64u * 4 + 512 * 4, memory());
  done(op::cuArrayDestroy, {0x4e02});
  EXPECT_EQ(256u, memory());
}

TEST_F(Meter, PhysicalMemoryLastsAsLongAsItsHandleOrAMappingOfIt) {
  CUmemAllocationProp on_second{};
  on_second.location = {CU_MEM_LOCATION_TYPE_DEVICE, 2};
  std::vector<uint8_t> body;
  wire::Writer out(body);
  out.words({0x4e05, 4096});
  out.pod(on_second);
  meter_.done(op::cuMemCreate, kFirst, body, {});
  EXPECT_EQ(4096u, page_.gpus[2].held);
  done(op::cuMemMap, {0x10000, 4096, 0, 0x4e05, 0});
  done(op::cuMemMap, {0x20000, 4096, 0, 0x4e05, 0});
  done(op::cuMemRelease, {0x4e05});
  EXPECT_EQ(4096u, memory());
  done(op::cuMemUnmap, {0x10000, 4096});
  EXPECT_EQ(4096u, memory());
  done(op::cuMemUnmap, {0x10000, 0x20000});
  EXPECT_EQ(0u, memory());
  EXPECT_EQ(0u, page_.gpus[2].held);
}

TEST_F(Meter, AContextTakesItsMemoryWithIt) {
  done(op::cuMemAlloc_v2, {1000}, {0x7000}, kFirst);
  done(op::cuMemAlloc_v2, {50}, {0x8000}, kSecond);
  meter_.leave(kFirst);
  EXPECT_EQ(50u, memory());
  done(op::cuMemFree_v2, {0x7000});
  EXPECT_EQ(50u, memory());
}

TEST_F(Meter, ADeviceBeyondThoseThatAreToldCountsInTheSumAlone) {
  driver_.cuCtxGetDevice = [](CUdevice* device) {
    *device = 40;
    return CUDA_SUCCESS;
  };
  done(op::cuMemAlloc_v2, {1000}, {0x7000});
  EXPECT_EQ(1000u, memory());
}

TEST(MeterOfNobody, CountsAllTheSame) {
  DriverTable driver{};
  SessionMeter meter(driver, nullptr);
  meter.arrived({.size = 32, .op = 0, .fds = 0, .sequence = 1, .thread = 1, .context = 0, .bulk = 0});
  std::vector<uint8_t> body, reply;
  wire::Writer(body).u64(5);
  wire::Writer(reply).u64(0x7000);
  meter.done(op::cuMemAlloc_v2, nullptr, body, reply);
  meter.leave(nullptr);
}

}  // namespace
}  // namespace nm::server
