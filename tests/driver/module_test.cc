#include "driver_test.h"
#include "kernels.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

class ModuleTest : public DriverTest {};

TEST_F(ModuleTest, FunctionsAndVariablesAreFoundByName) {
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  CUfunction function = nullptr;
  OK(cuModuleGetFunction(&function, module, "scale"));
  FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&function, module, "no_such"));
  const char* name = nullptr;
  OK(cuFuncGetName(&name, function));
  EXPECT_STREQ("scale", name);
  CUmodule back = nullptr;
  OK(cuFuncGetModule(&back, function));
  EXPECT_EQ(module, back);
  CUdeviceptr counter = 0;
  size_t bytes = 0;
  OK(cuModuleGetGlobal_v2(&counter, &bytes, module, "counter"));
  EXPECT_EQ(4u, bytes);
  EXPECT_EQ(7u, read<uint32_t>(counter, 1)[0]);
  OK(cuModuleGetGlobal_v2(nullptr, &bytes, module, "table"));
  EXPECT_EQ(16u, bytes);
  FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2(&counter, &bytes, module, "nothing"));
  unsigned count = 0;
  OK(cuModuleGetFunctionCount(&count, module));
  EXPECT_EQ(8u, count);
  std::vector<CUfunction> all(count);
  OK(cuModuleEnumerateFunctions(all.data(), count, module));
  for (const CUfunction f : all) EXPECT_NE(nullptr, f);
  OK(cuModuleUnload(module));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuModuleGetFunction(&function, module, "scale"));
  EXPECT_NE(CUDA_SUCCESS, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
}

TEST_F(ModuleTest, CompilerMessagesReachTheProgramsBuffer) {
  char info[256] = "x", error[256] = "x";
  CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
                            CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {info, reinterpret_cast<void*>(sizeof info), error, reinterpret_cast<void*>(sizeof error)};
  CUmodule module = nullptr;
  const char* broken =
      ".version 7.5\n.target sm_70\n.address_size 64\n.visible .entry k()\n{\n  frobnicate.u32 %r1;\n}\n";
  FAILS(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, broken, 4, options, values));
  EXPECT_NE(nullptr, std::strstr(error, "frobnicate")) << error;
  EXPECT_EQ(std::strlen(error), reinterpret_cast<uintptr_t>(values[3]));
  char little[8] = {};
  void* little_values[] = {info, reinterpret_cast<void*>(sizeof info), little, reinterpret_cast<void*>(sizeof little)};
  FAILS(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, broken, 4, options, little_values));
  EXPECT_EQ(7u, std::strlen(little));
}

TEST_F(ModuleTest, ImagesThatCannotRunSayWhy) {
  CUmodule module = nullptr;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&module, nullptr));
  FAILS(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&module, "hello"));
  FAILS(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, "/nonexistent/x.ptx"));
  EXPECT_NE(CUDA_SUCCESS, cuModuleLoadData(&module, ".version 99.0\n.target sm_70\n.address_size 64\n"));
}

TEST_F(ModuleTest, LoadsFromAFile) {
  char path[] = "/tmp/nm-module-XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(static_cast<ssize_t>(std::strlen(kKernels)), write(fd, kKernels, std::strlen(kKernels)));
  close(fd);
  CUmodule module = nullptr;
  OK(cuModuleLoad(&module, path));
  CUlibrary library = nullptr;
  OK(cuLibraryLoadFromFile(&library, path, nullptr, nullptr, 0, nullptr, nullptr, 0));
  unlink(path);
  OK(cuLibraryUnload(library));
  OK(cuModuleUnload(module));
}

TEST_F(ModuleTest, AFatBinaryGivesItsText) {
  // One entry, stored as it is: header of 16 bytes, entry header of 64, the text.
  const std::string text = std::string(kKernels) + std::string(8, '\0');
  std::string image(16 + 64, '\0');
  const auto put = [&](size_t at, uint64_t value, size_t bytes) { std::memcpy(&image[at], &value, bytes); };
  put(0, 0xba55ed50, 4);
  put(4, 1, 2);
  put(6, 16, 2);
  put(8, 64 + text.size(), 8);
  put(16, 1, 2);
  put(18, 0x101, 2);
  put(20, 64, 4);
  put(24, text.size(), 8);
  put(44, 70, 4);
  put(56, 0x11, 8);
  image += text;
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, image.data()));
  OK(cuModuleLoadFatBinary(&module, image.data()));
  struct {
    uint32_t magic = 0x466243b1, version = 1;
    const void* data;
    const void* unused = nullptr;
  } wrapper;
  wrapper.data = image.data();
  OK(cuModuleLoadData(&module, &wrapper));
  CUfunction function = nullptr;
  OK(cuModuleGetFunction(&function, module, "fill"));
}

TEST_F(ModuleTest, LibrariesBecomeAModuleInTheContext) {
  CUlibrary library = nullptr;
  OK(cuLibraryLoadData(&library, kKernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUkernel kernel = nullptr;
  OK(cuLibraryGetKernel(&kernel, library, "fill"));
  FAILS(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&kernel, library, "no_such"));
  unsigned count = 0;
  OK(cuLibraryGetKernelCount(&count, library));
  EXPECT_EQ(8u, count);
  std::vector<CUkernel> all(count);
  OK(cuLibraryEnumerateKernels(all.data(), count, library));
  const char* name = nullptr;
  OK(cuKernelGetName(&name, kernel));
  EXPECT_STREQ("fill", name);
  CUlibrary back = nullptr;
  OK(cuKernelGetLibrary(&back, kernel));
  EXPECT_EQ(library, back);
  CUmodule module = nullptr;
  OK(cuLibraryGetModule(&module, library));
  CUfunction function = nullptr, same = nullptr;
  OK(cuKernelGetFunction(&function, kernel));
  OK(cuModuleGetFunction(&same, module, "fill"));
  EXPECT_EQ(same, function);
  CUdeviceptr counter = 0;
  size_t bytes = 0;
  OK(cuLibraryGetGlobal(&counter, &bytes, library, "counter"));
  EXPECT_EQ(7u, read<uint32_t>(counter, 1)[0]);
  // Launched by its kernel handle.
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 256));
  unsigned value = 5;
  void* params[] = {&p, &value};
  OK(cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 2, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  EXPECT_EQ(5u, read<uint32_t>(p + 252, 1)[0]);
  EXPECT_NE(CUDA_SUCCESS, cuModuleUnload(module)) << "it goes with its library";
  OK(cuLibraryUnload(library));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuKernelGetName(&name, kernel));
}

TEST_F(ModuleTest, AttributesOfFunctions) {
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  CUfunction small = nullptr, sum = nullptr;
  OK(cuModuleGetFunction(&small, module, "small"));
  OK(cuModuleGetFunction(&sum, module, "shared_sum"));
  int value = 0;
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, small));
  EXPECT_EQ(64, value);
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_PTX_VERSION, small));
  EXPECT_EQ(70, value);
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, sum));
  EXPECT_GT(value, 0);
  OK(cuFuncSetAttribute(sum, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536));
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, sum));
  EXPECT_EQ(65536, value);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(sum, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 10 << 20));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(sum, CU_FUNC_ATTRIBUTE_NUM_REGS, 10));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncGetAttribute(&value, static_cast<CUfunction_attribute>(99), sum));
  OK(cuFuncSetCacheConfig(sum, CU_FUNC_CACHE_PREFER_L1));
  size_t offset = 9, size = 9;
  OK(cuFuncGetParamInfo(small, 2, &offset, &size));
  EXPECT_EQ(16u, offset);
  EXPECT_EQ(8u, size);
  OK(cuFuncGetParamInfo(small, 1, &offset, &size));
  EXPECT_EQ(8u, offset);
  EXPECT_EQ(1u, size);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(small, 3, &offset, &size));
}

TEST_F(ModuleTest, KernelSettingsReachTheFunction) {
  CUlibrary library = nullptr;
  OK(cuLibraryLoadData(&library, kKernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUkernel kernel = nullptr;
  OK(cuLibraryGetKernel(&kernel, library, "shared_sum"));
  OK(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000, kernel, device_));
  CUfunction function = nullptr;
  OK(cuKernelGetFunction(&function, kernel));
  int value = 0;
  OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function));
  EXPECT_EQ(60000, value);
  size_t offset = 0, size = 0;
  OK(cuKernelGetParamInfo(kernel, 1, &offset, &size));
  EXPECT_EQ(8u, offset);
  OK(cuLibraryUnload(library));
}

TEST_F(ModuleTest, OccupancyIsPlausible) {
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  CUfunction f = nullptr;
  OK(cuModuleGetFunction(&f, module, "scale"));
  int blocks = 0;
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 1024, 0));
  EXPECT_GE(blocks, 1);
  EXPECT_LE(blocks, 2);
  int small_blocks = 0;
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&small_blocks, f, 32, 0));
  EXPECT_GT(small_blocks, blocks);
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&small_blocks, f, 32, 200 << 10));
  EXPECT_EQ(1, small_blocks);
  int grid = 0, block = 0;
  OK(cuOccupancyMaxPotentialBlockSize(&grid, &block, f, nullptr, 0, 0));
  EXPECT_EQ(0, block % 32);
  EXPECT_GE(grid, 1);
  OK(cuOccupancyMaxPotentialBlockSize(
      &grid, &block, f, [](int threads) -> size_t { return threads * 4; }, 0, 128));
  EXPECT_LE(block, 128);
  size_t shared = 0;
  OK(cuOccupancyAvailableDynamicSMemPerBlock(&shared, f, 1, 128));
  EXPECT_GT(shared, 40000u);
}

TEST_F(ModuleTest, LinkingResolvesNamesBetweenTexts) {
  const std::string user =
      ".version 7.5\n.target sm_70\n.address_size 64\n"
      ".extern .func (.param .b32 r) twice(.param .b32 a);\n"
      ".visible .entry run(.param .u64 p)\n{\n .reg .b32 %r<3>;\n .reg .b64 %rd<2>;\n"
      " ld.param.u64 %rd1, [p];\n ld.global.u32 %r1, [%rd1];\n"
      " {\n .param .b32 x;\n .param .b32 y;\n st.param.b32 [x], %r1;\n call.uni (y), twice, (x);\n"
      " ld.param.b32 %r2, [y];\n }\n st.global.u32 [%rd1], %r2;\n ret;\n}\n";
  const std::string provider =
      ".version 7.5\n.target sm_70\n.address_size 64\n"
      ".visible .func (.param .b32 r) twice(.param .b32 a)\n{\n .reg .b32 %r<3>;\n ld.param.b32 %r1, [a];\n"
      " add.s32 %r2, %r1, %r1;\n st.param.b32 [r], %r2;\n ret;\n}\n";
  CUlinkState link = nullptr;
  OK(cuLinkCreate_v2(0, nullptr, nullptr, &link));
  OK(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, const_cast<char*>(user.c_str()), user.size() + 1, "user", 0, nullptr,
                      nullptr));
  OK(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, const_cast<char*>(provider.c_str()), provider.size() + 1, "provider", 0,
                      nullptr, nullptr));
  void* image = nullptr;
  size_t bytes = 0;
  OK(cuLinkComplete(link, &image, &bytes));
  const std::string copy(static_cast<char*>(image), bytes);  // a program may store it
  OK(cuLinkDestroy(link));
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, copy.data()));
  CUfunction run = nullptr;
  OK(cuModuleGetFunction(&run, module, "run"));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4));
  OK(cuMemsetD32_v2(p, 21, 1));
  void* params[] = {&p};
  OK(cuLaunchKernel(run, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  EXPECT_EQ(42u, read<uint32_t>(p, 1)[0]);
  OK(cuLinkCreate_v2(0, nullptr, nullptr, &link));
  OK(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, const_cast<char*>(user.c_str()), user.size() + 1, "user", 0, nullptr,
                      nullptr));
  EXPECT_NE(CUDA_SUCCESS, cuLinkComplete(link, &image, &bytes)) << "a name is missing";
  OK(cuLinkDestroy(link));
}

}  // namespace
