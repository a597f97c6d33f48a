// ModuleLoad: from a module's image to a function that can be launched, and unloading it. PTX never seen before is
// compiled by the driver; the same PTX again comes from what the driver keeps, where it keeps anything; machine code,
// as the driver's linker makes it of the same PTX, is only loaded. Bound by the driver's compiler, or by moving the
// image.
#include <cstring>

#include "device/cuda_api.h"
#include "kernels/kernels.h"
#include "workload/path/programs.h"
#include "workload/timing.h"

namespace nm::workload::path {
namespace {

// What the driver's linker makes of PTX.
std::vector<char> link(std::string ptx) {
  CUlinkState state = nullptr;
  CU(cuLinkCreate_v2, 0, nullptr, nullptr, &state);
  CU(cuLinkAddData_v2, state, CU_JIT_INPUT_PTX, ptx.data(), ptx.size() + 1, "nearmetal", 0, nullptr, nullptr);
  void* image = nullptr;
  size_t bytes = 0;
  CU(cuLinkComplete, state, &image, &bytes);
  std::vector<char> copy(bytes);
  std::memcpy(copy.data(), image, bytes);  // it goes with the state
  CU(cuLinkDestroy, state);
  return copy;
}

// out[0] = value, by the module's kernel.
bool stores(Run& run, CUfunction function) {
  device::Device& device = run.device();
  const device::Buffer out = device.allocate(4);
  device.fill(out, 0, 0xffffffff, 4);
  const int value = static_cast<int>(run.random()() >> 34);
  device.launch(device::Kernel{function}, {1}, {1}, out, value);
  return device.download<int>(out, 1)[0] == value;
}

}  // namespace

void module_load(Run& run) {
  const std::string text(kernels::find("latency", "plain")->ptx);
  struct Way {
    const char* name;
    std::vector<double> load, function, unload;
  };
  Way ways[] = {{"ptx", {}, {}, {}}, {"ptx_again", {}, {}, {}}, {"cubin", {}, {}, {}}};
  std::vector<double> linking;
  bool right = true;
  for (int pass = -1; pass < run.passes(); ++pass) {
    const std::string ptx =
        text + ".visible .const .align 8 .u64 nearmetal_salt = " + std::to_string(fresh_salt()) + ";\n";
    std::vector<char> cubin;
    const double linked = seconds_of([&] { cubin = link(ptx + "\n"); });
    if (pass >= 0) linking.push_back(1e3 * linked);
    for (Way& way : ways) {
      const void* const image = &way == &ways[2] ? cubin.data() : ptx.c_str();
      CUmodule module = nullptr;
      CUfunction function = nullptr;
      const double loaded = seconds_of([&] { CU(cuModuleLoadDataEx, &module, image, 0, nullptr, nullptr); });
      const double found = seconds_of([&] { CU(cuModuleGetFunction, &function, module, "store"); });
      right = right && stores(run, function);
      const double unloaded = seconds_of([&] { CU(cuModuleUnload, module); });
      if (pass < 0) continue;
      way.load.push_back(1e3 * loaded), way.function.push_back(1e6 * found), way.unload.push_back(1e6 * unloaded);
    }
  }
  run.sample({"module_link", "ms", false}, linking);
  for (const Way& way : ways) {
    const std::string of = std::string("_") + way.name;
    run.sample({"module_load" + of, "ms", false}, way.load);
    run.sample({"module_get_function" + of, "us", false}, way.function);
    run.sample({"module_unload" + of, "us", false}, way.unload);
  }
  run.check("kernels of the modules", right);
}

}  // namespace nm::workload::path
