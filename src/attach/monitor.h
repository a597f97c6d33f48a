// The few questions that `nearmetal vm run` asks the monitor of a QEMU of its own.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace nm::attach {

// The host's thread of each virtual CPU, by the CPU's index.
Result<std::map<int, pid_t>> vcpu_threads(const std::string& socket, Millis limit);
// As a press of the power button.
Result<void> power_down(const std::string& socket, Millis limit);
// Somebody listens there.
bool monitor_there(const std::string& socket);
// Asks the guest to let go of a device. It may take its time, or never do so.
Result<void> ask_for_device(const std::string& socket, const std::string& id, Millis limit);

}  // namespace nm::attach
