// Old forms that programs still use: the launch of CUDA 2, the settings of core dumps.
#include "../driver/kernels.h"

#include "../driver/driver_test.h"

namespace {

class Legacy : public DriverTest {};

TEST_F(Legacy, AFunctionIsToldItsBlockAndParametersOneByOne) {
  CUmodule module = nullptr;
  CUfunction scale = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&scale, module, "scale"));
  constexpr uint32_t kCount = 1000;
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, kCount * 4));
  OK(cuMemsetD32_v2(p, 7, kCount));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchGrid(scale, 8, 1));  // no block yet
  OK(cuFuncSetBlockShape(scale, 128, 1, 1));
  OK(cuFuncSetSharedSize(scale, 0));
  OK(cuParamSetv(scale, 0, &p, sizeof p));
  OK(cuParamSeti(scale, 8, kCount));
  OK(cuParamSeti(scale, 12, 6));
  OK(cuParamSetSize(scale, 16));
  OK(cuLaunchGrid(scale, 8, 1));
  EXPECT_EQ(std::vector<uint32_t>(kCount, 42), read<uint32_t>(p, kCount));
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuParamSeti(scale, 12, 10));
  OK(cuLaunchGridAsync(scale, 8, 1, stream));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(std::vector<uint32_t>(kCount, 420), read<uint32_t>(p, kCount));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchGrid(scale, 0, 1));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuParamSetv(scale, -1, &p, sizeof p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuParamSetSize(scale, 1 << 20));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuFuncSetBlockShape(reinterpret_cast<CUfunction>(0x1234), 1, 1, 1));
  OK(cuStreamDestroy_v2(stream));
}

TEST_F(Legacy, NoCoreDumpsAreMadeAndTheSettingsSaySo) {
  bool on = true;
  size_t size = sizeof on;
  OK(cuCoredumpGetAttribute(static_cast<CUcoredumpSettings>(1), &on, &size));
  EXPECT_FALSE(on);
  EXPECT_EQ(sizeof on, size);
  char file[256] = "x";
  size = sizeof file;
  OK(cuCoredumpGetAttributeGlobal(static_cast<CUcoredumpSettings>(5), file, &size));
  EXPECT_STREQ("", file);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuCoredumpGetAttribute(static_cast<CUcoredumpSettings>(99), &on, &size));
  size = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuCoredumpGetAttribute(static_cast<CUcoredumpSettings>(1), &on, &size));
  OK(cuCtxSetCurrent(nullptr));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCoredumpGetAttribute(static_cast<CUcoredumpSettings>(1), &on, &size));
}

}  // namespace
