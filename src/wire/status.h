// What a server says of itself and of its sessions, to whoever may connect: the answer to a Hello with purpose status.
//
// Behind the Welcome: u64 byte count, at most kMaxStatus, and as many bytes in the words of wire/codec.h, the first of
// them kStatusVersion. Counts are sums since a session began; rates are the reader's to make of two answers. Text comes
// from strangers (programs name themselves), so both sides keep what a terminal may be sent: printable ASCII.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace nm::wire {

inline constexpr uint64_t kStatusVersion = 1;
inline constexpr uint64_t kMaxStatus = 1 << 20;
// Of an answer. A server with more sessions shows those that called last.
inline constexpr uint64_t kMaxStatusGpus = 64, kMaxStatusSessions = 1024;
inline constexpr size_t kMaxStatusText = 127;

struct GpuStatus {
  std::string name;
  std::array<uint8_t, 16> uuid{};
  uint64_t memory = 0;  // bytes, all there is
  uint64_t held = 0;    // bytes that sessions have allocated
  bool operator==(const GpuStatus&) const = default;
};

enum class StatusTransport : uint64_t { unknown = 0, socket = 1, ring = 2 };

struct SessionStatus {
  uint64_t id = 0;      // names it in the server's log
  std::string program;  // as the client's Hello says; empty: it does not
  std::string from;     // "unix:/run/nearmetal.sock", or the peer's own "tcp:127.0.0.1:50000"
  bool local = false;   // over a Unix socket: `pid` and `uid` are the kernel's word; else `pid` is the client's
  bool nvml = false;    // a session of NVML, not of CUDA
  uint64_t pid = 0;     // 0: not known
  uint64_t uid = 0;     // where `local`
  StatusTransport transport = StatusTransport::unknown;
  uint64_t age_us = 0, idle_us = 0;  // since it began, since it called last
  uint64_t memory = 0;               // bytes of GPU memory held
  uint64_t posted = 0, waited = 0;   // records
  uint64_t bytes_in = 0, bytes_out = 0;
  uint64_t kernels = 0, graphs = 0;  // launches
  uint64_t worker_pid = 0, worker_cpu_us = 0;
  bool operator==(const SessionStatus&) const = default;
};

struct ServerStatus {
  uint64_t clock_us = 0;  // the server's, for the time between two answers
  uint64_t uptime_us = 0;
  uint64_t sessions_in_all = 0, max_sessions = 0;  // the latter 0: no limit
  std::vector<GpuStatus> gpus;
  std::vector<SessionStatus> sessions;
  bool operator==(const ServerStatus&) const = default;
};

void write_status(const ServerStatus& status, Writer& out);
// False: not a whole answer of this version, or more than a server may say.
bool read_status(Reader& in, ServerStatus* out);

// At most kMaxStatusText bytes of it, and nothing that a terminal would obey.
std::string plain_text(std::string_view text);

}  // namespace nm::wire
