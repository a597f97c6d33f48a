// ContextCreate: a context of the process's own, beside the one that it works in: creation, first use (memory, a copy
// there and back), destruction. Bound by the driver and its kernel module: address spaces are made, channels opened.
#include "device/cuda_api.h"
#include "workload/path/programs.h"
#include "workload/pattern.h"
#include "workload/timing.h"

namespace nm::workload::path {

void context_create(Run& run) {
  CUcontext own = nullptr;
  CU(cuCtxGetCurrent, &own);
  std::vector<double> create, use, destroy;
  size_t wrong = 0;
  for (int pass = -1; pass < run.passes(); ++pass) {
    CUcontext context = nullptr;
    const double created = seconds_of([&] { CU(cuCtxCreate_v2, &context, 0, device::cuda_device(run.device())); });
    const auto salt = static_cast<uint32_t>(run.random()());
    std::vector<uint32_t> there(1024), back(1024, 0xdeadbeef);
    fill_pattern(there, salt);
    const double used = seconds_of([&] {
      CUdeviceptr memory = 0;
      CU(cuMemAlloc_v2, &memory, there.size() * 4);
      CU(cuMemcpyHtoD_v2, memory, there.data(), there.size() * 4);
      CU(cuMemcpyDtoH_v2, back.data(), memory, back.size() * 4);
      CU(cuMemFree_v2, memory);
    });
    wrong += count_wrong(back, salt);
    const double destroyed = seconds_of([&] { CU(cuCtxDestroy_v2, context); });
    CU(cuCtxSetCurrent, own);
    if (pass < 0) continue;
    create.push_back(1e3 * created), use.push_back(1e3 * used), destroy.push_back(1e3 * destroyed);
  }
  run.sample({"context_create", "ms", false}, create);
  run.sample({"context_first_use", "ms", false}, use);
  run.sample({"context_destroy", "ms", false}, destroy);
  run.check("memory of the contexts: wrong words", static_cast<double>(wrong), 0);
}

}  // namespace nm::workload::path
