#include "server/nvml_session.h"

#include <dlfcn.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/nvml_support.h"
#include "server/session_meter.h"

namespace nm::server {

NvmlState::~NvmlState() {
  for (auto [set, registrations] : event_sets) {
    if (driver.nvmlEventSetFree) driver.nvmlEventSetFree(set);
  }
  for (nvmlGpmSample_t sample : gpm_samples) {
    if (driver.nvmlGpmSampleFree) driver.nvmlGpmSampleFree(sample);
  }
}

std::unique_ptr<NvmlState> load_nvml(const std::string& path) {
  auto state = std::make_unique<NvmlState>();
  if (path.empty()) return state;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    log::warn(std::string("NVML is not served: ") + dlerror() + ". Name another library with --nvml.");
    return state;
  }
  for_each_function(state->driver, [&](const char* name, void** out) { *out = dlsym(library, name); });
  state->has_library = state->driver.nvmlInit_v2 != nullptr;
  if (!state->has_library) log::warn("NVML is not served: " + path + " is not a libnvidia-ml.so.1.");
  return state;
}

Outcome handle_nvml(NvmlState& state, uint16_t op, std::span<const uint8_t> body, std::vector<uint8_t>* reply,
                    nvmlReturn_t* result) {
  NvmlHandler handler = nvml_handler_of(op);
  if (!handler) return Outcome::protocol_error;
  wire::Reader in(body);
  wire::Writer out(*reply);
  reply->clear();
  *result = NVML_ERROR_UNKNOWN;
  return handler(state, in, out, result);
}

void serve_nvml(NvmlState& state, Connection& connection, SessionPage* page) {
  std::vector<uint8_t> reply;
  const DriverTable none{};
  SessionMeter meter(none, page);
  for (;;) {
    wire::RecordHeader header;
    std::span<const uint8_t> body;
    auto next = connection.next(&header, &body);
    if (next == Connection::Next::closed || !connection.flush()) return;
    if (next == Connection::Next::nothing) {
      connection.wait(-1);
      continue;
    }
    if (header.sequence == 0 || header.bulk || header.fds) return;
    meter.arrived(header);
    nvmlReturn_t result;
    if (handle_nvml(state, header.op, body, &reply, &result) == Outcome::protocol_error) return;
    wire::ReplyHeader answer{};
    answer.sequence = header.sequence;
    answer.result = result;
    connection.send(answer, reply, {}, nullptr);
    meter.sent(sizeof answer + reply.size());
    meter.called(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count());
  }
}

}  // namespace nm::server
