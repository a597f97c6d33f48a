// Every shape of answer, from the fake NVML through a worker to the program.
#include <string.h>

#include <thread>

#include "nvml_test.h"

namespace {

TEST_F(NvmlTest, ADeviceIsFoundByNumberAndByUuidAndIsTheSame) {
  unsigned count = 0;
  OK(nvmlDeviceGetCount_v2(&count));
  ASSERT_EQ(2u, count);
  for (unsigned i = 0; i < count; i++) {
    char uuid[96];
    OK(nvmlDeviceGetUUID(device(i), uuid, sizeof uuid));
    nvmlDevice_t same = nullptr;
    OK(nvmlDeviceGetHandleByUUID(uuid, &same));
    EXPECT_EQ(device(i), same);
    nvmlUUID_v1_t typed{nvmlUUID_v1_tag, 1, {}};
    strcpy(typed.value.str, uuid);
    OK(nvmlDeviceGetHandleByUUIDV(&typed, &same));
    EXPECT_EQ(device(i), same);
  }
  EXPECT_EQ("Fake GPU Zero", name(device(0)));
  EXPECT_EQ("Fake GPU One", name(device(1)));
  nvmlDevice_t none = device(0);
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetHandleByIndex_v2(2, &none));
  FAILS(NVML_ERROR_NOT_FOUND, nvmlDeviceGetHandleByUUID("GPU-nobody", &none));
  EXPECT_EQ(device(0), none) << "a call that fails changes nothing";
}

TEST_F(NvmlTest, ATextThatDoesNotFitIsRefusedAndTheBufferIsLeftAlone) {
  char text[14];
  memset(text, '#', sizeof text);
  FAILS(NVML_ERROR_INSUFFICIENT_SIZE, nvmlDeviceGetName(device(0), text, 13));
  EXPECT_EQ('#', text[0]);
  OK(nvmlDeviceGetName(device(0), text, 14));
  EXPECT_STREQ("Fake GPU Zero", text);
  memset(text, '#', sizeof text);
  OK(nvmlSystemGetDriverVersion(text, ~0u));
  EXPECT_STREQ("580.0.fake", text);
  EXPECT_EQ('#', text[11]) << "nothing is written behind the text";
  char fixed[64];
  OK(nvmlDeviceGetGspFirmwareVersion(device(0), fixed));
  EXPECT_STREQ("580.0.gsp", fixed);
}

TEST_F(NvmlTest, AListSaysHowLongItIsWhereItDoesNotFit) {
  unsigned count = 0;
  FAILS(NVML_ERROR_INSUFFICIENT_SIZE, nvmlDeviceGetComputeRunningProcesses_v3(device(0), &count, nullptr));
  ASSERT_EQ(3u, count);
  std::vector<nvmlProcessInfo_t> infos(4);
  infos[3].pid = 77;
  count = 4;
  OK(nvmlDeviceGetComputeRunningProcesses_v3(device(0), &count, infos.data()));
  ASSERT_EQ(3u, count);
  EXPECT_EQ(102u, infos[2].pid);
  EXPECT_EQ(8192u, infos[2].usedGpuMemory);
  EXPECT_EQ(77u, infos[3].pid) << "what is behind the list is the program's";
}

TEST_F(NvmlTest, TwoListsShareOneCount) {
  unsigned count = 2;
  unsigned long long addresses[2], timestamps[2];
  OK(nvmlDeviceGetRetiredPages_v2(device(0), 0, &count, addresses, timestamps));
  EXPECT_EQ(0x2000u, addresses[1]);
  EXPECT_EQ(0x2000u, timestamps[1]);
}

TEST_F(NvmlTest, ListsOfDevicesHoldTheProgramsHandles) {
  nvmlDevice_t devices[2];
  unsigned count = 2;
  OK(nvmlSystemGetTopologyGpuSet(0, &count, devices));
  EXPECT_EQ(device(1), devices[0]);
  EXPECT_EQ(device(0), devices[1]);
}

TEST_F(NvmlTest, AStructWithAVersionTravelsInItsSize) {
  nvmlMemory_v2_t memory{nvmlMemory_v2_tag};
  OK(nvmlDeviceGetMemoryInfo_v2(device(0), &memory));
  EXPECT_EQ(50u, memory.reserved);
  EXPECT_EQ(350u, memory.used);

  nvmlGpuFabricInfo_v3_t fabric{};
  fabric.version = nvmlGpuFabricInfo_v2_tag;
  fabric.healthSummary = 0x77;
  OK(nvmlDeviceGetGpuFabricInfoV(device(0), &fabric));
  EXPECT_EQ(5u, fabric.cliqueId);
  EXPECT_EQ(0xabu, fabric.healthMask);
  EXPECT_EQ(0x77, fabric.healthSummary) << "not part of version 2";
  fabric.version = nvmlGpuFabricInfo_v3_tag;
  OK(nvmlDeviceGetGpuFabricInfoV(device(0), &fabric));
  EXPECT_EQ(1, fabric.healthSummary);
}

TEST_F(NvmlTest, AStructOfAnUnknownVersionIsRefused) {
  nvmlMemory_v2_t memory{};
  for (unsigned version : {0u, 1u << 24 | 40, 2u << 24 | 48, 2u << 24 | 0xffffff, ~0u}) {
    memory.version = version;
    FAILS(NVML_ERROR_ARGUMENT_VERSION_MISMATCH, nvmlDeviceGetMemoryInfo_v2(device(0), &memory));
  }
}

TEST_F(NvmlTest, FieldValuesGoBothWays) {
  nvmlFieldValue_t values[3] = {};
  values[0].fieldId = 21;
  values[1].fieldId = 0;
  values[2].fieldId = 3;
  values[2].scopeId = 1;
  OK(nvmlDeviceGetFieldValues(device(0), 3, values));
  EXPECT_EQ(42u, values[0].value.ullVal);
  EXPECT_EQ(NVML_ERROR_NOT_SUPPORTED, values[1].nvmlReturn);
  EXPECT_EQ(7u, values[2].value.ullVal);
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetFieldValues(device(0), -1, values));
}

TEST_F(NvmlTest, NumbersOfAllKindsArrive) {
  int major = 0, minor = 7;
  OK(nvmlDeviceGetCudaComputeCapability(device(0), &major, &minor));
  EXPECT_EQ(9, major);
  EXPECT_EQ(0, minor);
  nvmlUtilization_t rates{};
  OK(nvmlDeviceGetUtilizationRates(device(1), &rates));
  EXPECT_EQ(31u, rates.gpu);
  unsigned long cpus[3] = {1, 1, 1};
  OK(nvmlDeviceGetCpuAffinity(device(1), 2, cpus));
  EXPECT_EQ(0x1fe00u, cpus[0]);
  EXPECT_EQ(0u, cpus[1]);
  EXPECT_EQ(1u, cpus[2]);
  nvmlGpuTopologyLevel_t level = 0;
  OK(nvmlDeviceGetTopologyCommonAncestor(device(0), device(1), &level));
  EXPECT_EQ(40u, level);
  unsigned current = 0, pending = 0;
  OK(nvmlDeviceGetMigMode(device(1), &current, &pending));
  EXPECT_EQ(1u, current + pending - 1);
}

TEST_F(NvmlTest, PciInfoOfTheFirstReleaseIsShorter) {
  struct {
    nvmlPciInfo_v1_t pci;
    unsigned behind;
  } old{{}, 0x1234};
  OK(nvmlDeviceGetPciInfo(device(1), &old.pci));
  EXPECT_STREQ("0000:41:00.0", old.pci.busId);
  EXPECT_EQ(0x233510deu, old.pci.pciDeviceId);
  EXPECT_EQ(0x1234u, old.behind);
  nvmlPciInfo_t pci;
  OK(nvmlDeviceGetPciInfo_v3(device(1), &pci));
  EXPECT_STREQ("00000000:41:00.0", pci.busId);
}

TEST_F(NvmlTest, AStructThatPointsToAListBringsTheList) {
  nvmlProcessDetail_v1_t details[2] = {};
  nvmlProcessDetailList_v1_t list{nvmlProcessDetailList_v1_tag, 2, 1, details};
  FAILS(NVML_ERROR_INSUFFICIENT_SIZE, nvmlDeviceGetRunningProcessDetailList(device(0), &list));
  ASSERT_EQ(2u, list.numProcArrayEntries);
  OK(nvmlDeviceGetRunningProcessDetailList(device(0), &list));
  EXPECT_EQ(201u, details[1].pid);
  EXPECT_EQ(2u, details[0].gpuInstanceId) << "the mode went along";
}

TEST_F(NvmlTest, PlacesOfMemoryErrorsAreCountedAndListed) {
  nvmlEccSramUniqueUncorrectedErrorEntry_v1_t entries[3] = {};
  entries[2].count = 77;
  nvmlEccSramUniqueUncorrectedErrorCounts_v1_t counts{nvmlEccSramUniqueUncorrectedErrorCounts_v1_tag, 0, nullptr};
  FAILS(NVML_ERROR_INSUFFICIENT_SIZE, nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(device(0), &counts));
  ASSERT_EQ(2u, counts.entryCount);
  counts.entries = entries;
  OK(nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(device(0), &counts));
  EXPECT_EQ(0x100u, entries[1].address);
  EXPECT_EQ(6u, entries[1].count);
  EXPECT_EQ(77u, entries[2].count);
  counts.version++;
  FAILS(NVML_ERROR_ARGUMENT_VERSION_MISMATCH, nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(device(0), &counts));
}

TEST_F(NvmlTest, MigDevicesAndInstancesAreFoundAndBelongToTheirGpu) {
  nvmlDevice_t mig = nullptr, gpu = nullptr;
  OK(nvmlDeviceGetMigDeviceHandleByIndex(device(1), 0, &mig));
  char uuid[96];
  OK(nvmlDeviceGetUUID(mig, uuid, sizeof uuid));
  EXPECT_EQ(0, strncmp(uuid, "MIG-", 4));
  OK(nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig, &gpu));
  EXPECT_EQ(device(1), gpu);
  nvmlGpuInstance_t instance = nullptr;
  OK(nvmlDeviceGetGpuInstanceById(device(1), 7, &instance));
  nvmlGpuInstanceInfo_t info{};
  OK(nvmlGpuInstanceGetInfo(instance, &info));
  EXPECT_EQ(device(1), info.device);
  EXPECT_EQ(4u, info.placement.size);
  nvmlComputeInstance_t compute = nullptr;
  OK(nvmlGpuInstanceGetComputeInstanceById(instance, 3, &compute));
  nvmlComputeInstanceInfo_t about{};
  OK(nvmlComputeInstanceGetInfo_v2(compute, &about));
  EXPECT_EQ(device(1), about.device);
  EXPECT_EQ(instance, about.gpuInstance);
}

TEST_F(NvmlTest, WhatIsNoHandleIsRefused) {
  char text[96];
  nvmlGpuInstance_t instance = nullptr;
  OK(nvmlDeviceGetGpuInstanceById(device(1), 7, &instance));
  int somewhere = 0;
  for (void* what : {static_cast<void*>(nullptr), static_cast<void*>(&somewhere), static_cast<void*>(instance),
                     reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(device(1)) + 64)}) {
    FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetName(static_cast<nvmlDevice_t>(what), text, sizeof text));
  }
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetName(device(0), nullptr, 96));
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetCount_v2(nullptr));
  EXPECT_EQ("Fake GPU Zero", name(device(0))) << "and the session goes on";
}

TEST_F(NvmlTest, WhatChangesAGpuIsRefusedAndNeverForwarded) {
  FAILS(NVML_ERROR_NO_PERMISSION, nvmlDeviceSetPersistenceMode(device(0), 1));
  EXPECT_EQ("Fake GPU Zero", name(device(0)));
}

TEST_F(NvmlTest, WhatIsNotCarriedSaysSo) {
  unsigned long versions[2] = {7, 7};
  FAILS(NVML_ERROR_NOT_SUPPORTED, nvmlGetVgpuVersion(&versions[0], &versions[1]));
  EXPECT_EQ(7u, versions[0]);
  unsigned fans = 0;
  FAILS(NVML_ERROR_NOT_SUPPORTED, nvmlDeviceGetNumFans(device(0), &fans)) << "the server's own answer";
}

TEST_F(NvmlTest, TheTableOfPrivateFunctionsIsOursAndHonest) {
  unsigned char id[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                          0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
  const void* table = nullptr;
  OK(nvmlInternalGetExportTable(&table, id));
  auto* words = static_cast<const uint64_t*>(table);
  ASSERT_GT(words[0], 648u);
  using Slot = nvmlReturn_t (*)(uint64_t, uint64_t, uint64_t, uint64_t);
  nvmlDevice_t one = nullptr;
  OK(reinterpret_cast<Slot>(words[81])(1, reinterpret_cast<uint64_t>(&one), 0x22, 0));
  EXPECT_EQ(device(1), one);
  for (uint64_t slot = 1; slot < words[0] / 8; slot++) {
    unsigned count = 500;
    if (slot == 81) continue;
    nvmlReturn_t result =
        reinterpret_cast<Slot>(words[slot])(reinterpret_cast<uint64_t>(one), reinterpret_cast<uint64_t>(&count), 0, 0);
    FAILS(NVML_ERROR_NOT_SUPPORTED, result) << slot;
    EXPECT_EQ(slot >= 213 && slot <= 215 ? 0u : 500u, count) << slot;
  }
  // What is not about a device must not fail; a reset is refused whatever it names.
  OK(reinterpret_cast<Slot>(words[26])(0, 0, 0, 0));
  for (uint64_t reset : {20, 197}) FAILS(NVML_ERROR_NOT_SUPPORTED, reinterpret_cast<Slot>(words[reset])(0, 0, 0, 0));
  id[0]++;
  FAILS(NVML_ERROR_FUNCTION_NOT_FOUND, nvmlInternalGetExportTable(&table, id));
  EXPECT_EQ(nullptr, table);
}

TEST_F(NvmlTest, ManyThreadsAskAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 8; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; i++) {
        unsigned index = ~0u;
        if (nvmlDeviceGetIndex(device(t % 2), &index) != NVML_SUCCESS || index != t % 2) wrong++;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(0, wrong);
}

}  // namespace
