// Reads the software GPU's NVML, which the build puts into the environment.
#include "device/nvml.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nm::device {
namespace {

const StateField* field(const std::vector<StateField>& state, const std::string& name) {
  const auto found = std::find_if(state.begin(), state.end(), [&](const StateField& f) { return f.name == name; });
  return found == state.end() ? nullptr : &*found;
}

TEST(NvmlState, clocks_event_reasons_have_names) {
  EXPECT_EQ(names_of_clocks_event_reasons(0), "none");
  EXPECT_EQ(names_of_clocks_event_reasons(1), "gpu_idle");
  EXPECT_EQ(names_of_clocks_event_reasons(0x4 | 0x40), "sw_power_cap,hw_thermal_slowdown");
  EXPECT_EQ(names_of_clocks_event_reasons(uint64_t{1} << 40 | 0x80), "hw_power_brake_slowdown,bit_40");
}

TEST(NvmlState, a_device_is_found_by_its_pci_address) {
  Info info;
  info.pci = "0000:F0:00.0";
  const std::vector<StateField> state = read_state(info);
  const StateField* const version = field(state, "driver_version");
  ASSERT_NE(version, nullptr);
  EXPECT_FALSE(std::get<std::string>(version->value).empty());
}

TEST(NvmlState, what_is_not_told_is_left_out) {
  Info info;
  info.pci = "0000:F0:00.0";
  EXPECT_EQ(field(read_state(info), "temperature_c"), nullptr);  // the software GPU has none
}

TEST(NvmlState, a_device_that_is_not_there_has_no_state) {
  Info info;
  info.uuid = "GPU-00000000-0000-0000-0000-000000000000";
  info.pci = "0000:F9:00.0";
  EXPECT_TRUE(read_state(info).empty());
  EXPECT_TRUE(read_state(Info{}).empty());
}

}  // namespace
}  // namespace nm::device
