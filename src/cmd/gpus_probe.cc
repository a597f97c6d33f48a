// The other half of `nearmetal gpus`: a plain program of the driver API, started as `run` starts programs.
#include <dlfcn.h>
#include <fmt/format.h>

#include "cmd/command_line.h"
#include "cmd/gpus_query.h"

namespace nm::cmd {
namespace {

// CUdevice_attribute values.
constexpr int kMultiprocessorCount = 16, kCapabilityMajor = 75, kCapabilityMinor = 76;

// The handful of functions needed, by their exported names.
struct Driver {
  explicit Driver(void* library) : library_(library) {}

  template <typename... Args>
  int call(const char* name, Args... args) const {
    const auto function = reinterpret_cast<int (*)(Args...)>(::dlsym(library_, name));
    if (!function) throw std::runtime_error(fmt::format("{} does not export {}", "libcuda.so.1", name));
    const int result = function(args...);
    if (result != 0) throw std::runtime_error(fmt::format("{} answered {}", name, result));
    return result;
  }

 private:
  void* library_;
};

std::string uuid_text(const unsigned char (&bytes)[16]) {
  std::string out = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

GpuInfo describe(const Driver& driver, int index) {
  GpuInfo gpu = {.index = index};
  int device = 0;
  driver.call("cuDeviceGet", &device, index);
  char name[256] = {}, pci[64] = {};
  unsigned char uuid[16] = {};
  size_t bytes = 0;
  driver.call("cuDeviceGetName", &name[0], static_cast<int>(sizeof name), device);
  driver.call("cuDeviceGetUuid_v2", &uuid[0], device);
  driver.call("cuDeviceGetPCIBusId", &pci[0], static_cast<int>(sizeof pci), device);
  driver.call("cuDeviceTotalMem_v2", &bytes, device);
  driver.call("cuDeviceGetAttribute", &gpu.capability_major, kCapabilityMajor, device);
  driver.call("cuDeviceGetAttribute", &gpu.capability_minor, kCapabilityMinor, device);
  driver.call("cuDeviceGetAttribute", &gpu.multiprocessors, kMultiprocessorCount, device);
  gpu.name = name;
  gpu.uuid = uuid_text(uuid);
  gpu.pci = pci;
  gpu.memory_bytes = bytes;
  return gpu;
}

}  // namespace

int gpus_probe_verb(const Args&) {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) return fail(fmt::format("Cannot load the client library: {}.", ::dlerror()));
  try {
    const Driver driver(library);
    const auto init = reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"));
    std::vector<GpuInfo> gpus;
    const int started = init ? init(0) : -1;
    constexpr int kNoDevice = 100;
    if (started == kNoDevice) return fail("The server offers no GPU.");
    if (started != 0) return fail(fmt::format("cuInit answered {}.", started));
    int count = 0;
    driver.call("cuDeviceGetCount", &count);
    for (int i = 0; i < count; ++i) gpus.push_back(describe(driver, i));
    fmt::print("{}\n", to_json(gpus));
    return 0;
  } catch (const std::runtime_error& error) {
    return fail(fmt::format("{}.", error.what()));
  }
}

}  // namespace nm::cmd
