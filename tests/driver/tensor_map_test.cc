#include "driver_test.h"

namespace {

class TensorMap : public DriverTest {
 protected:
  CUresult encode(CUtensorMap* map, CUdeviceptr p, unsigned rank, uint32_t box0,
                  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE, uint64_t stride = 256) {
    const uint64_t dims[3] = {64, 32, 4}, strides[2] = {stride, stride * 32};
    const uint32_t box[3] = {box0, 8, 1}, steps[3] = {1, 1, 1};
    return cuTensorMapEncodeTiled(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, rank, reinterpret_cast<void*>(p), dims, strides,
                                  box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  }
};

TEST_F(TensorMap, EncodesWhatTheHardwareTakes) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  alignas(128) CUtensorMap map = {}, other = {};
  OK(encode(&map, p, 3, 16));
  OK(encode(&other, p + 4096, 3, 16));
  EXPECT_NE(0, std::memcmp(&map, &other, sizeof map));
  OK(cuTensorMapReplaceAddress(&other, reinterpret_cast<void*>(p)));
  EXPECT_EQ(0, std::memcmp(&map, &other, sizeof map));
}

TEST_F(TensorMap, RefusesWhatItDoesNot) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  alignas(128) CUtensorMap map = {};
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p + 4, 3, 16));  // alignment of the address
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p, 6, 16));      // rank
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p, 3, 257));     // box
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p, 3, 3));       // inner bytes, a multiple of 16
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p, 3, 16, CU_TENSOR_MAP_SWIZZLE_32B));
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&map, p, 3, 16, CU_TENSOR_MAP_SWIZZLE_NONE, 100));
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(nullptr, p, 3, 16));
  cuCtxSetCurrent(nullptr);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, encode(&map, p, 3, 16));
}

}  // namespace
