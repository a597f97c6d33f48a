// Which libcuda.so.1 and libnvidia-ml.so.1 a server serves.
#pragma once

#include <string>

#include "base/paths.h"
#include "base/result.h"

namespace nm::cmd {

struct Drivers {
  std::string cuda;     // path of the libcuda.so.1 to serve
  std::string nvml;     // path or name of the libnvidia-ml.so.1 to serve; empty: none
  std::string because;  // a sentence for the log
};

// `driver`: a path, "soft" (the software GPU), or "auto": the genuine driver where one answers with a device, else the
// software GPU. `nvml`: a path, or empty: the one that belongs to the driver.
Result<Drivers> choose_drivers(const std::string& driver, const std::string& nvml, const Tree& tree);

// The other half of "auto", run in a process of its own (`nearmetald --probe-driver NAME`), because a driver that does
// not suit the machine may do anything: loads NAME, calls cuInit and prints where it was found and how many devices it
// has. The result is the exit status.
int probe_driver(const std::string& name);

// The same for a path that somebody gave (`nearmetald --load-driver PATH`): loads it and looks whether it is a driver,
// but leaves cuInit to the workers, which can take long and may succeed later.
int load_driver(const std::string& path);

}  // namespace nm::cmd
