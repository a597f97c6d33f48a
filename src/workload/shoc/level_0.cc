// The table of SHOC's level 0.
#include "workload/shoc/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_0() {
  static constexpr Program kPrograms[] = {
      {"BusSpeedDownload", "shoc", 0, true, "copies to the device, 1 KiB and up", shoc::bus_speed_download},
      {"BusSpeedReadback", "shoc", 0, true, "copies from the device, 1 KiB and up", shoc::bus_speed_readback},
      {"MaxFlops", "shoc", 0, true, "arithmetic in registers", shoc::max_flops},
      {"DeviceMemory", "shoc", 0, true, "global, shared and texture memory", shoc::device_memory},
      {"KernelCompile", "shoc", 0, true, "from a program's text to a kernel", shoc::kernel_compile},
      {"QueueDelay", "shoc", 0, true, "from handing over a launch to its start", shoc::queue_delay},
  };
  return kPrograms;
}

}  // namespace nm::workload
