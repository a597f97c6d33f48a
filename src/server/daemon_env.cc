#include "server/daemon_env.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/process.h"
#include "wire/hello.h"

namespace nm::server {
namespace {

constexpr std::string_view kVisible = "CUDA_VISIBLE_DEVICES";
constexpr std::string_view kOrder = "CUDA_DEVICE_ORDER";

// What the driver does when the name is not set (CUDA programming guide, environment variables).
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kDefaults = {{
    {"CUDA_DEVICE_ORDER", "FASTEST_FIRST"},
    {"CUDA_MODULE_LOADING", "LAZY"},
    {"CUDA_LAUNCH_BLOCKING", "0"},
    {"CUDA_DEVICE_MAX_CONNECTIONS", "8"},
    {"CUDA_CACHE_DISABLE", "0"},
    {"CUDA_FORCE_PTX_JIT", "0"},
}};

std::string_view default_of(std::string_view name) {
  const auto* found = std::find_if(kDefaults.begin(), kDefaults.end(), [&](const auto& d) { return d.first == name; });
  return found == kDefaults.end() ? std::string_view() : found->second;
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> out;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    std::string_view entry = list.substr(0, comma);
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    out.push_back(entry);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return out;
}

std::string_view pick(const std::vector<std::string_view>& offered, std::string_view wish) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(wish.data(), wish.data() + wish.size(), index);
  if (error == std::errc() && end == wish.data() + wish.size()) {
    return index < offered.size() ? offered[index] : std::string_view();
  }
  // A UUID, perhaps abbreviated: it must be one of those that the server offers by UUID.
  const auto found = std::find_if(offered.begin(), offered.end(),
                                  [&](std::string_view o) { return wish.size() > 4 && o.starts_with(wish); });
  return found == offered.end() ? std::string_view() : *found;
}

}  // namespace

std::string visible_devices_within(std::string_view server, std::string_view client) {
  const auto offered = split(server);
  std::string out;
  for (const auto wish : split(client)) {
    const auto device = pick(offered, wish);
    if (device.empty()) break;
    out += (out.empty() ? "" : ",") + std::string(device);
  }
  return out;
}

WorkerEnv::WorkerEnv(std::vector<std::string> own, const Tree& tree) : own_(std::move(own)) {
  for (const std::string name : {"LD_PRELOAD", "LD_LIBRARY_PATH"}) {
    const auto entry = std::find_if(own_.begin(), own_.end(), [&](const auto& e) { return e.starts_with(name + "="); });
    if (entry == own_.end()) continue;
    const std::string kept = without_dir(entry->substr(name.size() + 1), tree.client);
    unset_env(own_, name);
    if (!kept.empty()) set_env(own_, name, kept);
  }
  for (const std::string& entry : own_) {
    const auto equals = std::min(entry.find('='), entry.size() - 1);
    const std::string name = entry.substr(0, equals);
    if (std::find(wire::kForwardedEnv.begin(), wire::kForwardedEnv.end(), name) != wire::kForwardedEnv.end()) {
      values_.emplace_back(name, entry.substr(equals + 1));
    }
  }
}

const std::string* WorkerEnv::own_value(std::string_view name) const {
  const auto found = std::find_if(values_.begin(), values_.end(), [&](const auto& v) { return v.first == name; });
  return found == values_.end() ? nullptr : &found->second;
}

std::vector<std::string> WorkerEnv::significant(const std::vector<std::string>& client) const {
  std::vector<std::string> out;
  for (const std::string& entry : client) {
    const auto equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    std::string value = entry.substr(equals + 1);
    const std::string* own = own_value(name);
    if (name == kVisible && own) value = visible_devices_within(*own, value);
    // Another order would let the client's choice count over other devices than those the server offers.
    if (name == kOrder && own_value(kVisible)) continue;
    const bool changes = own ? *own != value : name == kVisible || default_of(name) != value;
    if (changes) out.push_back(name + "=" + value);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace nm::server
