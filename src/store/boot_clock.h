// The clock of leases: CLOCK_BOOTTIME, which all processes of a host read alike (unlike a steady_clock by its
// contract), which nobody sets, and which counts while the machine sleeps, so that a lease does not live through the
// night in a closed laptop. It begins anew with each boot: a time of it means something only together with the boot it
// is from.
#pragma once

#include <string>

#include "base/clock.h"

namespace nm::store {

class BootClock {
 public:
  virtual ~BootClock() = default;
  virtual Millis now() const = 0;
  // Which boot of which machine this is: /proc/sys/kernel/random/boot_id.
  virtual std::string boot() const = 0;
};

// The machine's.
const BootClock& boot_clock();

}  // namespace nm::store
