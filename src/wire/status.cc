#include "wire/status.h"

#include <algorithm>

namespace nm::wire {
namespace {

bool read_text(Reader& in, std::string* out) {
  const auto bytes = in.bytes();
  if (bytes.size() > kMaxStatusText) return false;
  *out = plain_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return true;
}

bool read_gpu(Reader& in, GpuStatus* out) {
  if (!read_text(in, &out->name)) return false;
  const auto uuid = in.bytes();
  if (uuid.size() != out->uuid.size()) return false;
  std::copy(uuid.begin(), uuid.end(), out->uuid.begin());
  out->memory = in.u64();
  out->held = in.u64();
  return !in.bad();
}

bool read_session(Reader& in, SessionStatus* out) {
  out->id = in.u64();
  if (!read_text(in, &out->program) || !read_text(in, &out->from)) return false;
  const uint64_t local = in.u64(), nvml = in.u64();
  out->pid = in.u64();
  out->uid = in.u64();
  const uint64_t transport = in.u64();
  if (local > 1 || nvml > 1 || transport > static_cast<uint64_t>(StatusTransport::ring)) return false;
  out->local = local;
  out->nvml = nvml;
  out->transport = static_cast<StatusTransport>(transport);
  for (uint64_t* word : {&out->age_us, &out->idle_us, &out->memory, &out->posted, &out->waited, &out->bytes_in,
                         &out->bytes_out, &out->kernels, &out->graphs, &out->worker_pid, &out->worker_cpu_us}) {
    *word = in.u64();
  }
  return !in.bad();
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::string out(text.substr(0, kMaxStatusText));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

void write_status(const ServerStatus& status, Writer& out) {
  out.words({kStatusVersion, status.clock_us, status.uptime_us, status.sessions_in_all, status.max_sessions});
  out.u64(status.gpus.size());
  for (const GpuStatus& g : status.gpus) {
    out.string(plain_text(g.name));
    out.bytes(g.uuid.data(), g.uuid.size());
    out.words({g.memory, g.held});
  }
  out.u64(status.sessions.size());
  for (const SessionStatus& s : status.sessions) {
    out.u64(s.id);
    out.string(plain_text(s.program));
    out.string(plain_text(s.from));
    out.words({s.local, s.nvml, s.pid, s.uid, static_cast<uint64_t>(s.transport)});
    out.words({s.age_us, s.idle_us, s.memory, s.posted, s.waited, s.bytes_in, s.bytes_out, s.kernels, s.graphs,
               s.worker_pid, s.worker_cpu_us});
  }
}

bool read_status(Reader& in, ServerStatus* out) {
  *out = {};
  if (in.u64() != kStatusVersion) return false;
  out->clock_us = in.u64();
  out->uptime_us = in.u64();
  out->sessions_in_all = in.u64();
  out->max_sessions = in.u64();
  const uint64_t gpus = in.u64();
  if (in.bad() || gpus > kMaxStatusGpus) return false;
  for (uint64_t i = 0; i < gpus; i++) {
    if (!read_gpu(in, &out->gpus.emplace_back())) return false;
  }
  const uint64_t sessions = in.u64();
  if (in.bad() || sessions > kMaxStatusSessions || sessions > out->sessions_in_all) return false;
  for (uint64_t i = 0; i < sessions; i++) {
    if (!read_session(in, &out->sessions.emplace_back())) return false;
  }
  return in.at_end();
}

}  // namespace nm::wire
