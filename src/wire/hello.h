// The first bytes of every connection, both ways. The rest of the wire is in api/wire.md.
//
// The client sends a Hello and `env_size` bytes of environment ("NAME=VALUE\0" repeated, only names in kForwardedEnv).
// The server answers with a Welcome and `message_size` bytes of text; status 0 means that records may follow.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nm::wire {

inline constexpr std::array<char, 8> kMagic = {'n', 'e', 'a', 'r', 'm', 'e', 't', 'l'};
// Raised with every change of the wire; api/abi.lock shows such a change in review.
inline constexpr uint32_t kProtocol = 6;
inline constexpr uint32_t kMaxEnv = 8192;
inline constexpr uint32_t kMaxMessage = 4096;

// What a connection is for.
enum class Purpose : uint32_t {
  cuda = 1,    // a new session of the CUDA driver API: gets a worker process of its own
  nvml = 2,    // a new session of NVML
  events = 3,  // joins the session named by `token`: the server calls the client's host functions over it
  lane = 4,    // joins likewise: carries bytes of large copies (wire/lanes.h)
  status = 5,  // asks for a wire/status.h, and gets no session
};

// Settings of the genuine driver that only count when they are in its process's environment before cuInit.
inline constexpr std::array<std::string_view, 8> kForwardedEnv = {
    "CUDA_VISIBLE_DEVICES",     "CUDA_DEVICE_ORDER",           "CUDA_MODULE_LOADING",      "CUDA_LAUNCH_BLOCKING",
    "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_CACHE_DISABLE",       "CUDA_FORCE_PTX_JIT",       "CUDA_SCALE_LAUNCH_QUEUES",
};

struct Token {
  uint64_t words[2] = {0, 0};
  bool operator==(const Token&) const = default;
};

struct Hello {
  std::array<char, 8> magic = kMagic;
  uint32_t protocol = kProtocol;
  Purpose purpose = Purpose::cuda;
  char version[32] = {};  // the client's release, NUL-terminated, for the sentence about skew
  Token token;            // purpose events or lane: the session to join; else zero
  uint32_t pid = 0;       // the caller's process id as it sees it: names the session in logs
  uint32_t env_size = 0;  // at most kMaxEnv
  char program[32] = {};  // how the program calls itself, NUL-terminated: for people who look at the server
};
static_assert(sizeof(Hello) == 104);

enum class Status : uint32_t {
  ok = 0,
  version_skew = 1,  // `message` names both versions
  refused = 2,       // `message` says why
  unknown_session = 3,
};

struct Welcome {
  std::array<char, 8> magic = kMagic;
  uint32_t protocol = kProtocol;
  Status status = Status::ok;
  char version[32] = {};
  Token token;  // names the new session
  uint32_t message_size = 0;  // at most kMaxMessage
  uint32_t reserved = 0;
};
static_assert(sizeof(Welcome) == 72);

}  // namespace nm::wire
