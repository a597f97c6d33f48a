// A libnvidia-ml.so.1 with two GPUs that do not exist, one of them split by MIG, so that every shape of answer can be
// seen on a machine without any. What it does not define answers NVML_ERROR_NOT_SUPPORTED (softgpu_nvml_weak.cc).
#include <nvml_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default"))) nvmlReturn_t

struct nvmlDevice_st {
  unsigned index;
};
struct nvmlGpuInstance_st {
  unsigned id;
};
struct nvmlComputeInstance_st {
  unsigned id;
};
struct nvmlEventSet_st {
  std::vector<nvmlEventData_t> pending;
};
struct nvmlGpmSample_st {
  unsigned long taken;
};

namespace {

// 0 and 1 are GPUs, 2 is the MIG device of 1.
nvmlDevice_st devices[3] = {{0}, {1}, {2}};
nvmlGpuInstance_st gpu_instance = {7};
nvmlComputeInstance_st compute_instance = {3};
bool initialised = false;
int made = 0;  // sets and samples that nobody has freed
unsigned long samples_taken = 0;

bool known(nvmlDevice_t d) { return d >= devices && d < devices + 3; }

nvmlReturn_t text(char* to, unsigned room, const char* what) {
  if (strlen(what) + 1 > room) return NVML_ERROR_INSUFFICIENT_SIZE;
  strcpy(to, what);
  return NVML_SUCCESS;
}

template <typename T>
nvmlReturn_t list(unsigned* count, T* to, unsigned have, T (*make)(unsigned)) {
  const unsigned room = *count;
  *count = have;
  if (room < have) return NVML_ERROR_INSUFFICIENT_SIZE;
  if (!to) return NVML_ERROR_INVALID_ARGUMENT;
  for (unsigned i = 0; i < have; i++) to[i] = make(i);
  return NVML_SUCCESS;
}

nvmlReturn_t check(nvmlDevice_t d) {
  if (!initialised) return NVML_ERROR_UNINITIALIZED;
  return known(d) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

}  // namespace

#define CHECK(device) \
  if (nvmlReturn_t e = check(device)) return e

EXPORT nvmlInit_v2() {
  initialised = true;
  return NVML_SUCCESS;
}
EXPORT nvmlInitWithFlags(unsigned flags) {
  initialised = true;
  return flags > 3 ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}
EXPORT nvmlSystemGetDriverVersion(char* version, unsigned length) { return text(version, length, "580.0.fake"); }
EXPORT nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = 13000;
  return NVML_SUCCESS;
}
EXPORT nvmlSystemGetTopologyGpuSet(unsigned, unsigned* count, nvmlDevice_t* to) {
  return list<nvmlDevice_t>(count, to, 2, [](unsigned i) { return &devices[1 - i]; });
}

EXPORT nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* device) {
  if (index > 1) return NVML_ERROR_INVALID_ARGUMENT;
  *device = &devices[index];
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned length) {
  CHECK(device);
  const char* uuids[] = {"GPU-00000000-fa4e-0000-0000-000000000000", "GPU-00000000-fa4e-0000-0000-000000000001",
                         "MIG-00000000-fa4e-0000-0000-000000000002"};
  return text(uuid, length, uuids[device->index]);
}
EXPORT nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  for (nvmlDevice_st& d : devices) {
    char mine[96];
    if (nvmlDeviceGetUUID(&d, mine, sizeof mine) == NVML_SUCCESS && strcmp(mine, uuid) == 0) {
      *device = &d;
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}
EXPORT nvmlDeviceGetHandleByUUIDV(const nvmlUUID_v1_t* uuid, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByUUID(uuid->value.str, device);
}
EXPORT nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned length) {
  CHECK(device);
  return text(name, length, device->index == 0 ? "Fake GPU Zero" : "Fake GPU One");
}
EXPORT nvmlDeviceGetIndex(nvmlDevice_t device, unsigned* index) {
  CHECK(device);
  *index = device->index;
  return NVML_SUCCESS;
}
// The second GPU's takes the whole process with it, where FAKE_NVML_DIES is set.
EXPORT nvmlDeviceGetSerial(nvmlDevice_t device, char* serial, unsigned length) {
  CHECK(device);
  if (device->index == 1 && getenv("FAKE_NVML_DIES")) _exit(9);
  return text(serial, length, "0123456789");
}
EXPORT nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t device, char* version) {
  CHECK(device);
  return text(version, 64, "580.0.gsp");
}
EXPORT nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_v2_t* pci) {
  CHECK(device);
  memset(pci, 0xee, sizeof *pci);
  snprintf(pci->busId, sizeof pci->busId, "0000:%02X:00.0", 0x40 + device->index);
  pci->domain = 0;
  pci->bus = 0x40 + device->index;
  pci->device = 0;
  pci->pciDeviceId = 0x233510de;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  CHECK(device);
  *pci = {};
  snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", 0x40 + device->index);
  snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", 0x40 + device->index);
  pci->bus = 0x40 + device->index;
  pci->pciDeviceId = 0x233510de;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  CHECK(device);
  *major = 9;
  *minor = 0;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned size, unsigned long* set) {
  CHECK(device);
  for (unsigned i = 0; i < size; i++) set[i] = i == 0 ? 0xff00ul << device->index : 0;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuTopologyLevel_t* level) {
  CHECK(a);
  CHECK(b);
  *level = a == b ? 0 : 40;
  return NVML_SUCCESS;
}

EXPORT nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  CHECK(device);
  *memory = {1000, 600, 400};
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  CHECK(device);
  if (memory->version != nvmlMemory_v2_tag) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  *memory = {memory->version, 1000, 50, 600, 350};
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfo_v3_t* info) {
  CHECK(device);
  if (info->version != nvmlGpuFabricInfo_v2_tag && info->version != nvmlGpuFabricInfo_v3_tag) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  info->cliqueId = 5;
  info->state = 3;
  info->healthMask = 0xab;
  if (info->version == nvmlGpuFabricInfo_v3_tag) info->healthSummary = 1;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t* values) {
  CHECK(device);
  for (int i = 0; i < count; i++) {
    values[i].nvmlReturn = values[i].fieldId ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
    values[i].value.ullVal = values[i].fieldId * 2ull + values[i].scopeId;
  }
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* rates) {
  CHECK(device);
  *rates = {30 + device->index, 12};
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned* current, unsigned* pending) {
  CHECK(device);
  *current = *pending = device->index == 1;
  return NVML_SUCCESS;
}

EXPORT nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned* count, nvmlProcessInfo_t* infos) {
  CHECK(device);
  return list<nvmlProcessInfo_t>(count, infos, 3, [](unsigned i) -> nvmlProcessInfo_t {
    return {100 + i, 4096ull * i, ~0u, ~0u};
  });
}
EXPORT nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, nvmlProcessDetailList_v1_t* l) {
  CHECK(device);
  if (l->version != nvmlProcessDetailList_v1_tag) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  nvmlReturn_t result = list<nvmlProcessDetail_v1_t>(&l->numProcArrayEntries, l->procArray, 2, [](unsigned i) {
    return nvmlProcessDetail_v1_t{200 + i, 1, 2, 3, 4};
  });
  if (result == NVML_SUCCESS) l->procArray[0].gpuInstanceId = l->mode;
  return result;
}
EXPORT nvmlDeviceGetSupportedMemoryClocks(nvmlDevice_t device, unsigned* count, unsigned* clocks) {
  CHECK(device);
  return list<unsigned>(count, clocks, 2, [](unsigned i) { return 3201 - 1000 * i; });
}
EXPORT nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, nvmlPageRetirementCause_t, unsigned* count,
                                    unsigned long long* addresses, unsigned long long* timestamps) {
  CHECK(device);
  unsigned again = *count;
  auto make = [](unsigned i) { return 0x1000ull * (i + 1); };
  nvmlReturn_t result = list<unsigned long long>(&again, timestamps, 2, make);
  return result ? (*count = again, result) : list<unsigned long long>(count, addresses, 2, make);
}

EXPORT nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t* mig) {
  CHECK(device);
  if (device->index != 1 || index != 0) return NVML_ERROR_NOT_FOUND;
  *mig = &devices[2];
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t mig, nvmlDevice_t* device) {
  CHECK(mig);
  if (mig->index != 2) return NVML_ERROR_INVALID_ARGUMENT;
  *device = &devices[1];
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned id, nvmlGpuInstance_t* instance) {
  CHECK(device);
  if (id != gpu_instance.id) return NVML_ERROR_NOT_FOUND;
  *instance = &gpu_instance;
  return NVML_SUCCESS;
}
EXPORT nvmlGpuInstanceGetInfo(nvmlGpuInstance_t instance, nvmlGpuInstanceInfo_t* info) {
  if (instance != &gpu_instance) return NVML_ERROR_INVALID_ARGUMENT;
  *info = {&devices[1], 7, 19, {0, 4}};
  return NVML_SUCCESS;
}
EXPORT nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t instance, unsigned id, nvmlComputeInstance_t* compute) {
  if (instance != &gpu_instance || id != compute_instance.id) return NVML_ERROR_NOT_FOUND;
  *compute = &compute_instance;
  return NVML_SUCCESS;
}
EXPORT nvmlComputeInstanceGetInfo_v2(nvmlComputeInstance_t instance, nvmlComputeInstanceInfo_t* info) {
  if (instance != &compute_instance) return NVML_ERROR_INVALID_ARGUMENT;
  *info = {&devices[1], &gpu_instance, 3, 0, {0, 1}};
  return NVML_SUCCESS;
}

// Every registration is an event at once: the types that it names, as if they had happened.
EXPORT nvmlEventSetCreate(nvmlEventSet_t* set) {
  *set = new nvmlEventSet_st;
  made++;
  return NVML_SUCCESS;
}
EXPORT nvmlEventSetFree(nvmlEventSet_t set) {
  delete set;
  made--;
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
  CHECK(device);
  if (types == 0) return NVML_ERROR_NOT_SUPPORTED;
  set->pending.push_back({device, types, 79, 5, ~0u});
  return NVML_SUCCESS;
}
EXPORT nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t* data, unsigned timeout_ms) {
  if (set->pending.empty()) {
    usleep(timeout_ms * 1000);
    return NVML_ERROR_TIMEOUT;
  }
  *data = set->pending.front();
  set->pending.erase(set->pending.begin());
  return NVML_SUCCESS;
}
EXPORT nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t* support) {
  CHECK(device);
  if (support->version != 1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  support->isSupportedDevice = device->index == 0;
  return NVML_SUCCESS;
}
EXPORT nvmlGpmSampleAlloc(nvmlGpmSample_t* sample) {
  *sample = new nvmlGpmSample_st{0};
  made++;
  return NVML_SUCCESS;
}
EXPORT nvmlGpmSampleFree(nvmlGpmSample_t sample) {
  delete sample;
  made--;
  return NVML_SUCCESS;
}
EXPORT nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample) {
  CHECK(device);
  sample->taken = ++samples_taken;
  return NVML_SUCCESS;
}
EXPORT nvmlGpmMetricsGet(nvmlGpmMetricsGet_t* get) {
  if (get->version != 1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  auto* metrics = reinterpret_cast<nvmlGpmMetric_t*>(get + 1);
  for (unsigned i = 0; i < get->numMetrics; i++) {
    nvmlGpmMetric_t& m = metrics[i];
    m.nvmlReturn = m.metricId == 2 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
    m.value = static_cast<double>(get->sample2->taken - get->sample1->taken) + 0.5;
    m.shortName = m.metricId == 2 ? "smUtil" : nullptr;
    m.unit = m.metricId == 2 ? "%" : nullptr;
  }
  return NVML_SUCCESS;
}
EXPORT nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(nvmlDevice_t device,
                                                        nvmlEccSramUniqueUncorrectedErrorCounts_v1_t* counts) {
  CHECK(device);
  return list<nvmlEccSramUniqueUncorrectedErrorEntry_v1_t>(&counts->entryCount, counts->entries, 2, [](unsigned i) {
    return nvmlEccSramUniqueUncorrectedErrorEntry_v1_t{1, 2, 3, 4, 0x100 * i, 0, 6};
  });
}

// How much there is that a session has made and not freed; for a test in the same process.
extern "C" __attribute__((visibility("default"))) int fake_nvml_made() { return made; }

// A server has a CUDA driver, too, and looks whether it is one. This one is never asked for more.
extern "C" __attribute__((visibility("default"))) int cuInit(unsigned) { return 100; }
extern "C" __attribute__((visibility("default"))) int cuDeviceGetCount(int*) { return 100; }

// Must never be reached from a client.
EXPORT nvmlDeviceSetPersistenceMode(nvmlDevice_t, nvmlEnableState_t) { abort(); }
