// Boxes that a hostile client names: only what it shared may be reached, whatever its numbers do to arithmetic.
#include "server/host_box.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>

#include "server/session.h"

namespace nm::server {
namespace {

constexpr uint64_t kShared = 0x2000'0000'0000, kSize = 0x4000;

class HostBox : public ::testing::Test {
 protected:
  void SetUp() override {
    driver_.cuMemHostRegister_v2 = [](void*, size_t, unsigned) { return CUDA_SUCCESS; };
    driver_.cuMemHostUnregister = [](void*) { return CUDA_SUCCESS; };
    driver_.cuMemHostGetDevicePointer_v2 = [](CUdeviceptr* out, void* p, unsigned) {
      *out = reinterpret_cast<CUdeviceptr>(p);
      return CUDA_SUCCESS;
    };
    int ends[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    client_ = Fd(ends[0]);
    // A session takes what its process prints, and this process prints test results.
    int output = dup(STDOUT_FILENO);
    session_ = std::make_unique<Session>(driver_, Connection(wire::socket_stream(Fd(ends[1]), true)), host_functions_,
                                         lanes_);
    dup2(output, STDOUT_FILENO);
    close(output);
    CUdeviceptr there;
    ASSERT_EQ(CUDA_SUCCESS, session_->host_ranges().mirror(kShared, kSize, true, nullptr, &there));
  }
  // Sixteen rows of sixteen bytes, 64 bytes from row to row.
  static CUDA_MEMCPY3D_PEER box() {
    CUDA_MEMCPY3D_PEER c{};
    c.srcMemoryType = CU_MEMORYTYPE_HOST;
    c.srcHost = reinterpret_cast<void*>(kShared);
    c.srcPitch = 64;
    c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    c.WidthInBytes = c.Height = 16;
    c.Depth = 1;
    return c;
  }

  DriverTable driver_{};
  Fd client_;
  HostFunctions host_functions_;
  wire::Lanes lanes_;
  std::unique_ptr<Session> session_;
};

TEST_F(HostBox, WhatIsSharedMayBeRead) {
  CUDA_MEMCPY3D_PEER c = box();
  EXPECT_TRUE(source_is_shared(*session_, c));
  c.Height = kSize / 64;
  EXPECT_TRUE(source_is_shared(*session_, c));
  c.Height++;
  EXPECT_FALSE(source_is_shared(*session_, c));
}

TEST_F(HostBox, AnOffsetInARowCounts) {
  CUDA_MEMCPY3D_PEER c = box();
  c.Height = kSize / 64;
  c.srcXInBytes = 48;
  EXPECT_TRUE(source_is_shared(*session_, c));
  c.srcXInBytes = 49;
  EXPECT_FALSE(source_is_shared(*session_, c));
}

TEST_F(HostBox, NumbersThatWrapReachNothing) {
  for (size_t CUDA_MEMCPY3D_PEER::*field :
       {&CUDA_MEMCPY3D_PEER::srcZ, &CUDA_MEMCPY3D_PEER::srcY, &CUDA_MEMCPY3D_PEER::srcXInBytes,
        &CUDA_MEMCPY3D_PEER::srcPitch, &CUDA_MEMCPY3D_PEER::srcHeight, &CUDA_MEMCPY3D_PEER::Height,
        &CUDA_MEMCPY3D_PEER::Depth}) {
    for (uint64_t value : {~0ull, ~0ull - 15, 1ull << 63, 1ull << 41}) {
      CUDA_MEMCPY3D_PEER c = box();
      if (field == &CUDA_MEMCPY3D_PEER::srcHeight) c.Depth = 2;  // only then does a slice's height matter
      c.*field = value;
      EXPECT_FALSE(source_is_shared(*session_, c)) << value;
    }
  }
}

TEST_F(HostBox, NobodyGuessesWhatKindOfMemoryItIs) {
  CUDA_MEMCPY3D_PEER c = box();
  c.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
  c.srcDevice = kShared;
  EXPECT_FALSE(source_is_shared(*session_, c));
  EXPECT_TRUE(destination_is_shared(*session_, c));
}

TEST_F(HostBox, MemoryThatLiesElsewhereHereIsOutOfReach) {
  CUdeviceptr there;
  constexpr uint64_t kTheirs = 0x7000'0000'1234;
  ASSERT_EQ(CUDA_SUCCESS, session_->host_ranges().mirror(kTheirs, kSize, false, nullptr, &there));
  CUDA_MEMCPY3D_PEER c = box();
  c.srcHost = reinterpret_cast<void*>(kTheirs);
  EXPECT_FALSE(source_is_shared(*session_, c));
}

TEST_F(HostBox, AddressesThatWrapCannotBeShared) {
  CUdeviceptr there;
  for (uint64_t address : {~0ull - 4095, (1ull << 47) - 4096, 0ull}) {
    EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, session_->host_ranges().mirror(address, 8192, true, nullptr, &there))
        << address;
  }
}

}  // namespace
}  // namespace nm::server
