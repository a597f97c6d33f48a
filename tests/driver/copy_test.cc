#include "driver_test.h"

namespace {

class Copy : public DriverTest {};

TEST_F(Copy, RoundTripsThroughDeviceMemory) {
  const size_t bytes = 3 << 20;
  std::vector<uint8_t> in(bytes), out(bytes);
  for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<uint8_t>(i * 7 + (i >> 11));
  CUdeviceptr a = 0, b = 0;
  OK(cuMemAlloc_v2(&a, bytes));
  OK(cuMemAlloc_v2(&b, bytes));
  OK(cuMemcpyHtoD_v2(a, in.data(), bytes));
  OK(cuMemcpyDtoD_v2(b, a, bytes));
  OK(cuMemcpyDtoH_v2(out.data(), b, bytes));
  EXPECT_EQ(in, out);
  OK(cuMemcpyHtoD_v2(a, in.data(), 0));
}

TEST_F(Copy, UnifiedCopiesFindOutWhatIsWhere) {
  std::vector<uint8_t> host(100, 1);
  const CUdeviceptr p = counted(100);
  const auto h = reinterpret_cast<CUdeviceptr>(host.data());
  OK(cuMemcpy(h, p, 100));
  EXPECT_EQ(99, host[99]);
  host[0] = 50;
  OK(cuMemcpyAsync(p, h, 100, nullptr));
  EXPECT_EQ(50, read<uint8_t>(p, 1)[0]);
}

TEST_F(Copy, AnAsynchronousCopyTakesAPageableSourceAtTheCall) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  std::vector<uint8_t> host(4096, 1);
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuMemcpyHtoDAsync_v2(p, host.data(), host.size(), stream));
  std::fill(host.begin(), host.end(), 2);
  OK(cuMemcpyDtoHAsync_v2(host.data(), p, host.size(), stream));
  EXPECT_EQ(1, host[4095]) << "a pageable target is written when the call returns";
  OK(cuStreamDestroy_v2(stream));
}

TEST_F(Copy, OutOfBoundsAndNullAreRefused) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  std::vector<uint8_t> host(64 << 20);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(p, nullptr, 16));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(0, host.data(), 16));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(p, host.data(), host.size()));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(host.data(), p, host.size()));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(host.data(), 64, 4));
  OK(cuMemFree_v2(p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(host.data(), p, 4));
  OK(cuCtxSynchronize());
}

TEST_F(Copy, TwoDimensionsCutARectangleOut) {
  const CUdeviceptr p = counted(100);
  std::vector<uint8_t> out(64, 0xee);
  CUDA_MEMCPY2D copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = p;
  copy.srcPitch = 10;
  copy.srcXInBytes = 2;
  copy.srcY = 3;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = out.data();
  copy.dstPitch = 8;
  copy.dstXInBytes = 1;
  copy.dstY = 1;
  copy.WidthInBytes = 5;
  copy.Height = 4;
  OK(cuMemcpy2D_v2(&copy));
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 5; ++x) EXPECT_EQ((y + 3) * 10 + x + 2, out[(y + 1) * 8 + x + 1]);
  }
  EXPECT_EQ(0xee, out[7]);
  EXPECT_EQ(0xee, out[8]);
  EXPECT_EQ(0xee, out[14]);
  copy.WidthInBytes = 9;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2(&copy));
}

TEST_F(Copy, ThreeDimensionsGoThroughAnArray) {
  CUDA_ARRAY3D_DESCRIPTOR desc = {8, 4, 3, CU_AD_FORMAT_UNSIGNED_INT16, 2, 0};
  CUarray array = nullptr;
  OK(cuArray3DCreate_v2(&array, &desc));
  CUDA_ARRAY3D_DESCRIPTOR got = {};
  OK(cuArray3DGetDescriptor_v2(&got, array));
  EXPECT_EQ(3u, got.Depth);
  std::vector<uint32_t> in(8 * 4 * 3), out(8 * 4 * 3);
  std::iota(in.begin(), in.end(), 100);
  CUDA_MEMCPY3D to = {};
  to.srcMemoryType = CU_MEMORYTYPE_HOST;
  to.srcHost = in.data();
  to.srcPitch = 32;
  to.srcHeight = 4;
  to.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  to.dstArray = array;
  to.WidthInBytes = 32;
  to.Height = 4;
  to.Depth = 3;
  OK(cuMemcpy3D_v2(&to));
  CUDA_MEMCPY3D from = {};
  from.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  from.srcArray = array;
  from.srcXInBytes = 4;
  from.srcY = 1;
  from.srcZ = 1;
  from.dstMemoryType = CU_MEMORYTYPE_HOST;
  from.dstHost = out.data();
  from.dstPitch = 32;
  from.dstHeight = 4;
  from.WidthInBytes = 12;
  from.Height = 2;
  from.Depth = 2;
  OK(cuMemcpy3D_v2(&from));
  EXPECT_EQ(100u + 32 + 8 + 1, out[0]);
  EXPECT_EQ(100u + 64 + 16 + 3, out[32 + 8 + 2]);
  from.Depth = 3;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D_v2(&from));
  OK(cuArrayDestroy(array));
}

TEST_F(Copy, OneDimensionalArrays) {
  CUDA_ARRAY_DESCRIPTOR desc = {64, 0, CU_AD_FORMAT_FLOAT, 1};
  CUarray a = nullptr, b = nullptr;
  OK(cuArrayCreate_v2(&a, &desc));
  OK(cuArrayCreate_v2(&b, &desc));
  std::vector<float> in(64, 1.5f), out(64);
  in[10] = 9.f;
  OK(cuMemcpyHtoA_v2(a, 0, in.data(), 256));
  OK(cuMemcpyAtoA_v2(b, 0, a, 0, 256));
  OK(cuMemcpyAtoH_v2(out.data(), b, 0, 256));
  EXPECT_EQ(in, out);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoA_v2(a, 4, in.data(), 256));
  OK(cuArrayDestroy(a));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(a));
  OK(cuArrayDestroy(b));
}

TEST_F(Copy, MipmapLevelsShrink) {
  CUDA_ARRAY3D_DESCRIPTOR desc = {16, 8, 0, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0};
  CUmipmappedArray mipmap = nullptr;
  OK(cuMipmappedArrayCreate(&mipmap, &desc, 3));
  CUarray level = nullptr;
  OK(cuMipmappedArrayGetLevel(&level, mipmap, 2));
  CUDA_ARRAY_DESCRIPTOR got = {};
  OK(cuArrayGetDescriptor_v2(&got, level));
  EXPECT_EQ(4u, got.Width);
  EXPECT_EQ(2u, got.Height);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetLevel(&level, mipmap, 3));
  OK(cuMipmappedArrayDestroy(mipmap));
}

TEST_F(Copy, BatchesCopyAllOrRefuseAll) {
  const CUdeviceptr a = counted(64), b = counted(64, 100), c = counted(64, 200);
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, 0));
  CUdeviceptr to[2] = {b, c}, from[2] = {a, a + 32};
  size_t sizes[2] = {16, 8}, index = 0;
  CUmemcpyAttributes attribute = {};
  attribute.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  OK(cuMemcpyBatchAsync_v2(to, from, sizes, 2, &attribute, &index, 1, stream));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(15, read<uint8_t>(b, 17)[15]);
  EXPECT_EQ(116, read<uint8_t>(b, 17)[16]);
  EXPECT_EQ(39, read<uint8_t>(c, 8)[7]);
  sizes[1] = 1 << 20;
  sizes[0] = 64;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyBatchAsync_v2(to, from, sizes, 2, &attribute, &index, 1, stream));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(116, read<uint8_t>(b, 17)[16]);
}

TEST_F(Copy, PeerCopiesCrossDevices) {
  int count = 0;
  OK(cuDeviceGetCount(&count));
  if (count < 2) GTEST_SKIP() << "one device";
  const CUdeviceptr here = counted(256);
  CUcontext other = nullptr;
  OK(cuDevicePrimaryCtxRetain(&other, 1));
  OK(cuCtxPushCurrent_v2(other));
  CUdeviceptr there = 0;
  OK(cuMemAlloc_v2(&there, 256));
  CUcontext popped = nullptr;
  OK(cuCtxPopCurrent_v2(&popped));
  OK(cuMemcpyPeer(there, other, here, context_, 256));
  OK(cuCtxPushCurrent_v2(other));
  EXPECT_EQ(255, read<uint8_t>(there, 256)[255]);
  OK(cuCtxPopCurrent_v2(&popped));
  OK(cuDevicePrimaryCtxReset_v2(1));
}

}  // namespace
