#include "server/daemon_hello.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "base/version.h"

namespace nm::server {
namespace {

constexpr size_t kForever = 48;  // magic, protocol, purpose, version
static_assert(offsetof(wire::Hello, version) + sizeof(wire::Hello::version) == kForever);

// A version string from the wire, safe to print.
std::string printable(const char* text, size_t capacity) {
  std::string out(text, ::strnlen(text, capacity));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out.empty() ? "(none)" : out;
}

}  // namespace

size_t HelloReader::wanted() const {
  if (received_.size() < kForever) return kForever - received_.size();
  if (received_.size() < sizeof(wire::Hello)) return sizeof(wire::Hello) - received_.size();
  return sizeof(wire::Hello) + client_.hello.env_size - received_.size();
}

HelloReader::State HelloReader::refuse(wire::Status status, std::string sentence) {
  refusal_ = {status, std::move(sentence)};
  return State::refused;
}

HelloReader::State HelloReader::feed(const void* bytes, size_t size) {
  const size_t before = received_.size();
  received_.append(static_cast<const char*>(bytes), std::min(size, wanted()));
  const size_t now = received_.size();
  wire::Hello& hello = client_.hello;
  memcpy(static_cast<void*>(&hello), received_.data(), std::min(now, sizeof hello));

  // The earliest moment at which a stranger shows: nobody is kept waiting for bytes that will not come.
  const size_t magic = std::min(now, hello.magic.size());
  if (memcmp(received_.data(), wire::kMagic.data(), magic) != 0) {
    return refuse(wire::Status::ok, "The peer does not speak nearmetal's protocol.");
  }
  if (before < kForever && now >= kForever) {
    if (const State state = check_fixed_part(); state != State::need_more) return state;
  }
  if (now < sizeof hello) return State::need_more;
  if (hello.env_size > wire::kMaxEnv) {
    return refuse(wire::Status::refused, fmt::format("The Hello announces {} bytes of environment; {} are the limit.",
                                                     hello.env_size, wire::kMaxEnv));
  }
  if (now < sizeof hello + hello.env_size) return State::need_more;
  return check_env();
}

HelloReader::State HelloReader::check_fixed_part() {
  const wire::Hello& hello = client_.hello;
  const std::string theirs = printable(hello.version, sizeof hello.version);
  if (hello.protocol != wire::kProtocol || theirs != kVersion) {
    return refuse(wire::Status::version_skew,
                  fmt::format("The client is nearmetal {} (protocol {}), the server is nearmetal {} (protocol {}): "
                              "install the same release on both.",
                              theirs, hello.protocol, kVersion, wire::kProtocol));
  }
  switch (hello.purpose) {
    case wire::Purpose::cuda:
    case wire::Purpose::nvml:
    case wire::Purpose::events:
    case wire::Purpose::lane:
    case wire::Purpose::status:
      return State::need_more;
  }
  return refuse(wire::Status::refused, fmt::format("The Hello names purpose {}, which this server does not know.",
                                                   static_cast<uint32_t>(hello.purpose)));
}

HelloReader::State HelloReader::check_env() {
  const std::string_view all(received_.data() + sizeof(wire::Hello), client_.hello.env_size);
  if (!all.empty() && all.back() != '\0') {
    return refuse(wire::Status::refused, "The environment in the Hello does not end with a NUL byte.");
  }
  std::vector<std::string_view> seen;
  for (size_t start = 0; start < all.size();) {
    const size_t end = all.find('\0', start);
    const std::string_view entry = all.substr(start, end - start);
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool listed =
        std::find(wire::kForwardedEnv.begin(), wire::kForwardedEnv.end(), name) != wire::kForwardedEnv.end();
    if (!listed || name.size() == entry.size()) {
      return refuse(wire::Status::refused,
                    fmt::format("The Hello brings the environment entry \"{}\", which is not among those that a client "
                                "may set.",
                                printable(name.data(), std::min<size_t>(name.size(), 64))));
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return refuse(wire::Status::refused, fmt::format("The Hello brings {} twice.", name));
    }
    seen.push_back(name);
    client_.env.emplace_back(entry);
    start = end + 1;
  }
  return State::complete;
}

std::string encode_welcome(wire::Status status, const wire::Token& token, std::string_view message) {
  message = message.substr(0, wire::kMaxMessage);
  wire::Welcome welcome;
  welcome.status = status;
  kVersion.copy(welcome.version, sizeof welcome.version - 1);
  welcome.token = token;
  welcome.message_size = static_cast<uint32_t>(message.size());
  std::string out(reinterpret_cast<const char*>(&welcome), sizeof welcome);
  out += message;
  return out;
}

std::string session_name(const wire::Token& token) { return fmt::format("{:016x}", token.words[0]); }

}  // namespace nm::server
