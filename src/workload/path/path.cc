// The table of the suite path.
#include "workload/path/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> path_suite() {
  static constexpr Program kPrograms[] = {
      {"LaunchLatency", "path", -1, true, "launching a kernel that does nothing", path::launch_latency},
      {"GraphLaunch", "path", -1, false, "graphs of such kernels: capture, instantiate, replay", path::graph_launch},
      {"ContextCreate", "path", -1, false, "a context: creation, first use, destruction", path::context_create},
      {"ModuleLoad", "path", -1, false, "modules of PTX and of machine code", path::module_load},
      {"AllocFree", "path", -1, false, "device memory, 4 KiB to 256 MiB", path::alloc_free},
      {"Events", "path", -1, false, "create, record, query, synchronise, elapsed", path::events},
      {"HostCopies", "path", -1, true, "to and from the device, pinned and pageable, by size", path::host_copies},
      {"DeviceTriad", "path", -1, true, "copy, mul, add, triad, dot in device memory", path::device_triad},
      {"PointerChase", "path", -1, true, "latency of dependent loads, by size", path::pointer_chase},
      {"PeerCopies", "path", -1, false, "from one device to another, by size", path::peer_copies},
      {"ReadBack", "path", -1, true, "a launch and the four bytes that it leaves", path::read_back},
  };
  return kPrograms;
}

namespace path {

std::string text_of(size_t bytes) {
  if (bytes >= 1 << 30) return std::to_string(bytes >> 30) + "GiB";
  if (bytes >= 1 << 20) return std::to_string(bytes >> 20) + "MiB";
  if (bytes >= 1 << 10) return std::to_string(bytes >> 10) + "KiB";
  return std::to_string(bytes) + "B";
}

}  // namespace path
}  // namespace nm::workload
