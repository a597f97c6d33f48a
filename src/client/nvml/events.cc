// Waiting for events. The session answers one call at a time, so a wait is many short ones with pauses between them, in
// which the program's other threads are heard. What happens in a pause the set remembers.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "client/nvml/stub_support.h"
#include "nvml_remote.h"

namespace nm::client::nvml {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How late an event may be heard.
constexpr milliseconds kPause{40};

nvmlReturn_t wait(const char* name, nvmlEventSet_t set, unsigned timeout_ms, nvmlEventData_t* data) {
  const auto end = steady_clock::now() + milliseconds(timeout_ms);
  const auto left = [end] {
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(end - steady_clock::now()));  // never too short
  };
  for (;;) {
    const auto slice = std::min(left(), milliseconds(wire::kMaxNvmlWaitMs));
    nvmlReturn_t result = remote::nm_event_set_wait(set, static_cast<unsigned>(slice.count()), data);
    if (result != NVML_ERROR_TIMEOUT || left() == milliseconds(0)) return traced(name, result);
    std::this_thread::sleep_for(std::min(left(), kPause));
  }
}

}  // namespace
}  // namespace nm::client::nvml

using namespace nm::client::nvml;

extern "C" {

NM_EXPORT nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t* data, unsigned timeout_ms) {
  if (!data) return answer("nvmlEventSetWait_v2", NVML_ERROR_INVALID_ARGUMENT);
  return wait("nvmlEventSetWait_v2", set, timeout_ms, data);
}

// Older programs have room for no more than the beginning.
NM_EXPORT nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_v1_t* data, unsigned timeout_ms) {
  if (!data) return answer("nvmlEventSetWait", NVML_ERROR_INVALID_ARGUMENT);
  nvmlEventData_t all;
  nvmlReturn_t result = wait("nvmlEventSetWait", set, timeout_ms, &all);
  if (result == NVML_SUCCESS) memcpy(data, &all, sizeof *data);
  return result;
}

}  // extern "C"
