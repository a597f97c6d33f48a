// Texture and surface objects. A driver without them (the software GPU) says so; what is wrong is refused all the same.
#include "../driver/driver_test.h"

namespace {

class Texture : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuMemAlloc_v2(&memory_, 4096));
    linear_.resType = CU_RESOURCE_TYPE_LINEAR;
    linear_.res.linear.devPtr = memory_;
    linear_.res.linear.format = CU_AD_FORMAT_FLOAT;
    linear_.res.linear.numChannels = 1;
    linear_.res.linear.sizeInBytes = 4096;
  }

  CUdeviceptr memory_ = 0;
  CUDA_RESOURCE_DESC linear_{};
  CUDA_TEXTURE_DESC plain_{};
};

TEST_F(Texture, WhatIsWrongIsRefused) {
  CUtexObject texture = 0;
  CUsurfObject surface = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(nullptr, &linear_, &plain_, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, nullptr, &plain_, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &linear_, nullptr, nullptr));
  CUDA_RESOURCE_DESC other{};
  other.resType = CU_RESOURCE_TYPE_ARRAY;
  other.res.array.hArray = reinterpret_cast<CUarray>(0x1234);
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuTexObjectCreate(&texture, &other, &plain_, nullptr));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuSurfObjectCreate(&surface, &other));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&surface, &linear_));
  other.resType = static_cast<CUresourcetype>(9);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&texture, &other, &plain_, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceDesc(&other, 99));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(99));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuSurfObjectDestroy(99));
  // The session goes on.
  EXPECT_EQ(1u, read<uint8_t>(memory_, 1).size());
}

TEST_F(Texture, TellsWhatItWasMadeOf) {
  CUtexObject texture = 0;
  CUresult made = cuTexObjectCreate(&texture, &linear_, &plain_, nullptr);
  if (made == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no textures";
  OK(made);
  EXPECT_NE(0u, texture);
  CUDA_RESOURCE_DESC told{};
  OK(cuTexObjectGetResourceDesc(&told, texture));
  EXPECT_EQ(CU_RESOURCE_TYPE_LINEAR, told.resType);
  EXPECT_EQ(memory_, told.res.linear.devPtr);
  CUDA_TEXTURE_DESC sampling{};
  OK(cuTexObjectGetTextureDesc(&sampling, texture));
  EXPECT_EQ(plain_.filterMode, sampling.filterMode);
  OK(cuTexObjectDestroy(texture));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceDesc(&told, texture));
}

TEST_F(Texture, ArraysAreToldByTheirHandle) {
  CUDA_ARRAY3D_DESCRIPTOR shape{};
  shape.Width = shape.Height = 16;
  shape.Format = CU_AD_FORMAT_FLOAT;
  shape.NumChannels = 1;
  shape.Flags = CUDA_ARRAY3D_SURFACE_LDST;
  CUarray array = nullptr;
  OK(cuArray3DCreate_v2(&array, &shape));
  CUDA_RESOURCE_DESC desc{}, told{};
  desc.resType = CU_RESOURCE_TYPE_ARRAY;
  desc.res.array.hArray = array;
  CUtexObject texture = 0;
  CUresult made = cuTexObjectCreate(&texture, &desc, &plain_, nullptr);
  if (made == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no textures";
  OK(made);
  OK(cuTexObjectGetResourceDesc(&told, texture));
  EXPECT_EQ(array, told.res.array.hArray);
  CUsurfObject surface = 0;
  OK(cuSurfObjectCreate(&surface, &desc));
  OK(cuSurfObjectGetResourceDesc(&told, surface));
  EXPECT_EQ(array, told.res.array.hArray);
  OK(cuSurfObjectDestroy(surface));
  OK(cuTexObjectDestroy(texture));
  OK(cuArrayDestroy(array));
}

}  // namespace
