#include "store/boot_clock.h"

#include <time.h>

#include <fstream>

namespace nm::store {
namespace {

class MachineClock final : public BootClock {
 public:
  MachineClock() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    if (!std::getline(file, boot_) || boot_.empty()) boot_ = "a boot without /proc";
  }

  Millis now() const override {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return std::chrono::duration_cast<Millis>(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }

  std::string boot() const override { return boot_; }

 private:
  std::string boot_;
};

}  // namespace

const BootClock& boot_clock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace nm::store
