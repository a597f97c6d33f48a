// One client's NVML session: questions in, answers out, in order, on one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "nvml_table.h"
#include "server/call.h"
#include "server/connection.h"
#include "server/handle_table.h"
#include "server/session_page.h"

namespace nm::server {

// What the handlers work on. Handles are drawn here; a client only gives back what it was given.
struct NvmlState {
  NvmlTable driver;
  bool has_library = false;
  bool initialised = false;
  HandleTable<nvmlDevice_t> device{static_cast<Kind>(0xe0)};
  HandleTable<nvmlUnit_t> unit{static_cast<Kind>(0xe1)};
  HandleTable<nvmlGpuInstance_t> gpu_instance{static_cast<Kind>(0xe2)};
  HandleTable<nvmlComputeInstance_t> compute_instance{static_cast<Kind>(0xe3)};
  HandleTable<nvmlEventSet_t> event_set{static_cast<Kind>(0xe4)};
  HandleTable<nvmlGpmSample_t> gpm_sample{static_cast<Kind>(0xe5)};
  // What the client made and has not freed, an event set with how many registrations it has.
  std::map<nvmlEventSet_t, unsigned> event_sets;
  std::set<nvmlGpmSample_t> gpm_samples;

  NvmlState() = default;
  NvmlState(const NvmlState&) = delete;
  ~NvmlState();  // frees what the client forgot
};

using NvmlHandler = Outcome (*)(NvmlState&, wire::Reader& in, wire::Writer& out, nvmlReturn_t* result);

// Null: no such operation.
NvmlHandler nvml_handler_of(uint16_t op);

// One record. `reply` is the body of the answer, empty where NVML was not called.
Outcome handle_nvml(NvmlState& state, uint16_t op, std::span<const uint8_t> body, std::vector<uint8_t>* reply,
                    nvmlReturn_t* result);

// The library at `path` as a state to serve; one without a library (which every nvmlInit is told) if there is none.
std::unique_ptr<NvmlState> load_nvml(const std::string& path);

// Until the client goes or breaks the protocol.
void serve_nvml(NvmlState& state, Connection& connection, SessionPage* page = nullptr);

}  // namespace nm::server
