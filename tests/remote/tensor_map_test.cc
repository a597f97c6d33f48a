// Tensor maps. What the driver makes of a shape is its own; that we make the same is checked against it. A driver
// without them (the software GPU) says so; what is wrong is refused all the same.
#include "../driver/driver_test.h"

namespace {

class TensorMap : public DriverTest {
 protected:
  CUresult encode(CUtensorMap* map, uint64_t address, uint64_t width = 64) {
    uint64_t dim[2] = {width, 32}, strides[1] = {width * 4};
    uint32_t box[2] = {16, 8}, steps[2] = {1, 1};
    return cuTensorMapEncodeTiled(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, reinterpret_cast<void*>(address), dim,
                                  strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                  CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  }
  static bool same(const CUtensorMap& a, const CUtensorMap& b) { return std::memcmp(&a, &b, sizeof a) == 0; }
};

TEST_F(TensorMap, WhatIsWrongIsRefused) {
  CUtensorMap maps[2];
  CUtensorMap& map = maps[0];
  uint64_t dim[6] = {64, 32, 1, 1, 1, 1}, strides[5] = {256, 1, 1, 1, 1};
  uint32_t box[6] = {16, 8, 1, 1, 1, 1}, steps[6] = {1, 1, 1, 1, 1, 1};
  auto tiled = [&](CUtensorMap* m, unsigned rank, uint64_t* d, uint64_t* s, uint32_t* b, uint32_t* e) {
    return cuTensorMapEncodeTiled(m, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, rank, reinterpret_cast<void*>(0x1000), d, s, b, e,
                                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                  CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  };
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(nullptr, 2, dim, strides, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 0, dim, strides, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 6, dim, strides, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 2, nullptr, strides, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 2, dim, nullptr, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 2, dim, strides, nullptr, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(&map, 2, dim, strides, box, nullptr));
  auto* crooked = reinterpret_cast<CUtensorMap*>(reinterpret_cast<char*>(maps) + 8);
  FAILS(CUDA_ERROR_INVALID_VALUE, tiled(crooked, 2, dim, strides, box, steps));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuTensorMapReplaceAddress(nullptr, nullptr));
}

TEST_F(TensorMap, NeedsACurrentContext) {
  CUtensorMap map;
  OK(cuCtxSetCurrent(nullptr));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, encode(&map, 0x7f00'0000'0000));
}

TEST_F(TensorMap, OfOneShapeDifferInTheirAddressAlone) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  CUtensorMap first, second, replaced, odd;
  CUresult made = encode(&first, p);
  if (made == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no tensor maps";
  OK(made);
  OK(encode(&second, p + 4096));  // made by us
  EXPECT_FALSE(same(first, second));
  // What the driver itself makes of the second address: 16 more than a multiple of 32 is never made by us.
  OK(encode(&odd, p + 4096 + 16));
  replaced = second;
  OK(cuTensorMapReplaceAddress(&replaced, reinterpret_cast<void*>(p + 4096 + 16)));
  EXPECT_TRUE(same(odd, replaced));
  OK(cuTensorMapReplaceAddress(&odd, reinterpret_cast<void*>(p + 4096)));
  EXPECT_TRUE(same(second, odd));
  OK(encode(&second, p));
  EXPECT_TRUE(same(first, second));
  FAILS(CUDA_ERROR_INVALID_VALUE, encode(&odd, p + 1));
}

// What Triton and CUTLASS do at launches; round_trips.sh counts what it costs.
TEST_F(TensorMap, ManyOfAFewShapes) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  CUtensorMap map, first;
  CUresult made = encode(&first, p);
  if (made == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no tensor maps";
  OK(made);
  for (unsigned i = 0; i < 5000; i++) {
    OK(encode(&map, p + i % 100 * 4096, 64 + i % 4 * 16));
    ASSERT_EQ(i % 100 == 0 && i % 4 == 0, same(first, map)) << i;
  }
}

}  // namespace
