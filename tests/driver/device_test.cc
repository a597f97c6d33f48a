#include "driver_test.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

TEST(BeforeInit, VersionAndNamesWorkAndTheRestDoesNot) {
  int version = 0;
  OK(cuDriverGetVersion(&version));
  EXPECT_GE(version, 13000);
  const char* text = nullptr;
  OK(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
  EXPECT_STREQ("CUDA_ERROR_OUT_OF_MEMORY", text);
  OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
  EXPECT_STRNE("", text);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGetErrorName(static_cast<CUresult>(12345), &text));
  EXPECT_EQ(nullptr, text);
  // A child process has not called cuInit, whatever ran before in this one.
  const pid_t child = fork();
  if (child == 0) {
    int count = 0;
    _exit(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST(Init, FlagsMustBeZeroAndTwiceIsFine) {
  FAILS(CUDA_ERROR_INVALID_VALUE, cuInit(1));
  OK(cuInit(0));
  OK(cuInit(0));
}

TEST(Fork, ChildHasNoDriver) {
  OK(cuInit(0));
  const pid_t child = fork();
  if (child == 0) {
    int count = 0;
    CUcontext context = nullptr;
    const bool refused = cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED &&
                         cuCtxGetCurrent(&context) == CUDA_ERROR_NOT_INITIALIZED &&
                         cuInit(0) == CUDA_ERROR_NOT_INITIALIZED;
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(0, WEXITSTATUS(status));
}

class Device : public DriverTest {};

TEST_F(Device, AnswersWhoItIs) {
  int count = 0;
  OK(cuDeviceGetCount(&count));
  ASSERT_GE(count, 1);
  char name[128];
  OK(cuDeviceGetName(name, sizeof name, device_));
  EXPECT_GT(std::strlen(name), 0u);
  char short_name[5];
  OK(cuDeviceGetName(short_name, sizeof short_name, device_));
  EXPECT_EQ(std::string(name).substr(0, 4), short_name);
  CUuuid first, second;
  OK(cuDeviceGetUuid(&first, device_));
  OK(cuDeviceGetUuid_v2(&second, device_));
  EXPECT_EQ(0, std::memcmp(&first, &second, sizeof first));
  size_t bytes = 0;
  OK(cuDeviceTotalMem_v2(&bytes, device_));
  EXPECT_GT(bytes, 64u << 20);
  int major = 0, minor = -1, attribute = 0;
  OK(cuDeviceComputeCapability(&major, &minor, device_));
  OK(cuDeviceGetAttribute(&attribute, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_));
  EXPECT_EQ(major, attribute);
}

TEST_F(Device, PciAddressLeadsBackToTheDevice) {
  char id[32];
  OK(cuDeviceGetPCIBusId(id, sizeof id, device_));
  CUdevice found = -1;
  OK(cuDeviceGetByPCIBusId(&found, id));
  EXPECT_EQ(device_, found);
  EXPECT_NE(CUDA_SUCCESS, cuDeviceGetByPCIBusId(&found, "ffff:ff:1f.7"));
}

TEST_F(Device, EveryAttributeUpToTheLastHasAnAnswer) {
  for (int a = 1; a < 147; ++a) {
    int value = -77;
    EXPECT_EQ(CUDA_SUCCESS, cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(a), device_)) << a;
    EXPECT_NE(-77, value) << a;
  }
  int value = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(100000), device_));
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, device_));
  EXPECT_EQ(32, value);
}

TEST_F(Device, BadOrdinalsAndNullsAreRefused) {
  CUdevice d = 0;
  FAILS(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&d, -1));
  FAILS(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&d, 1000));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDeviceGetCount(nullptr));
  size_t bytes = 0;
  FAILS(CUDA_ERROR_INVALID_DEVICE, cuDeviceTotalMem_v2(&bytes, 1000));
}

using Init_t = CUresult (*)(unsigned);

TEST(ProcAddress, FollowsTheVersionAskedFor) {
  void* p = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  OK(cuGetProcAddress_v2("cuInit", &p, 12000, 0, &status));
  EXPECT_EQ(CU_GET_PROC_ADDRESS_SUCCESS, status);
  EXPECT_EQ(CUDA_SUCCESS, reinterpret_cast<Init_t>(p)(0));
  void *v1 = nullptr, *v2 = nullptr;
  OK(cuGetProcAddress_v2("cuGetProcAddress", &v1, 11030, 0, nullptr));
  OK(cuGetProcAddress_v2("cuGetProcAddress", &v2, 12000, 0, nullptr));
  ASSERT_NE(nullptr, v1);
  EXPECT_NE(v1, v2);
}

TEST(ProcAddress, PerThreadFlagPrefersTheVariant) {
  void *plain = nullptr, *variant = nullptr, *single = nullptr, *single_variant = nullptr;
  OK(cuGetProcAddress_v2("cuStreamSynchronize", &plain, 12000, 1, nullptr));
  OK(cuGetProcAddress_v2("cuStreamSynchronize", &variant, 12000, 2, nullptr));
  EXPECT_NE(plain, variant);
  OK(cuGetProcAddress_v2("cuMemFree", &single, 12000, 0, nullptr));
  OK(cuGetProcAddress_v2("cuMemFree", &single_variant, 12000, 2, nullptr));
  EXPECT_EQ(single, single_variant);
}

TEST(ProcAddress, SaysWhyNothingWasFound) {
  void* p = &p;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  OK(cuGetProcAddress_v2("", &p, 13000, 0, &status));
  EXPECT_EQ(nullptr, p);
  EXPECT_EQ(CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND, status);
  OK(cuGetProcAddress_v2("cuMemAlloc_v2", &p, 13000, 0, &status));
  EXPECT_EQ(CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND, status);
  OK(cuGetProcAddress_v2("cuLibraryLoadData", &p, 11000, 0, &status));
  EXPECT_EQ(nullptr, p);
  EXPECT_EQ(CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT, status);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress_v2("cuInit", &p, 13000, 9, &status));
  void* untouched = &p;
  FAILS(CUDA_ERROR_NOT_FOUND, cuGetProcAddress("cuNoSuchThing", &untouched, 13000, 0));
  EXPECT_EQ(&p, untouched);
}

TEST(ExportTable, UnknownTablesAreRefused) {
  const void* table = nullptr;
  CUuuid id = {};
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGetExportTable(&table, &id));
}

}  // namespace
