#include "pool/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pool/value_json.h"

namespace nm::pool {
namespace {

using State = Device::State;
constexpr Word<State> kStates[] = {
    {State::ready, "ready"}, {State::attached, "attached"}, {State::quarantined, "quarantined"}, {State::lost, "lost"}};
constexpr Word<Path> kHeld[] = {{Path::any, "idle"}, {Path::network, "network"}, {Path::passthrough, "passthrough"}};
constexpr size_t kMostHostBytes = 256 << 10, kMostLabels = 32;
constexpr int kMostNumber = 1023;  // of a NUMA node or an island

Result<Device> device_of(const Json& json) {
  Device device;
  ObjectReader read(json, "device");
  read.text("id", &device.id, true);
  read.text("model", &device.model, true);
  read.number("memory_mib", &device.memory, 1, kMostMemory, true);
  device.memory_left = device.memory;
  read.number("numa", &device.numa, -1, kMostNumber);
  read.number("island", &device.island, -1, kMostNumber);
  read.word("state", &device.state, kStates);
  read.flag("network", &device.network);
  read.flag("passthrough", &device.passthrough);
  read.number("memory_left_mib", &device.memory_left, 0, kMostMemory);
  read.number("share_left", &device.share_left, 0, kWhole);
  read.word("held", &device.held, kHeld);
  if (const auto done = read.finish(); !done) return done.error();
  return device;
}

Json json_of(const Device& device) {
  return {{"id", device.id},
          {"model", device.model},
          {"memory_mib", device.memory},
          {"numa", device.numa},
          {"island", device.island},
          {"state", word(device.state)},
          {"network", device.network},
          {"passthrough", device.passthrough},
          {"memory_left_mib", device.memory_left},
          {"share_left", device.share_left},
          {"held", name_of(kHeld, device.held)}};
}

}  // namespace

std::string_view word(State state) { return name_of(kStates, state); }

const Device* Host::find(std::string_view id) const {
  const auto found =
      std::find_if(devices.begin(), devices.end(), [&](const Device& device) { return device.id == id; });
  return found == devices.end() ? nullptr : &*found;
}

Result<void> check(const Host& host) {
  const auto wrong = [&](const std::string& what) -> Error {
    return Error{fmt::format("Host \"{}\" {}.", printable(host.id) ? host.id : "?", what)};
  };
  if (!is_id(host.id)) return wrong("must have a name of letters, digits and - _ . : @");
  if (host.devices.size() > kMostDevices)
    return wrong(fmt::format("has {} devices; {} is the most", host.devices.size(), kMostDevices));
  std::set<std::string_view> seen;
  for (const Device& device : host.devices) {
    if (!is_id(device.id)) return wrong("has a device without an id of letters, digits and - _ . : @");
    if (!seen.insert(device.id).second) return wrong(fmt::format("has device {} twice", device.id));
    if (device.model.empty() || !printable(device.model))
      return wrong(fmt::format("has device {} without a model", device.id));
    if (device.memory < 1 || device.memory > kMostMemory || device.memory_left < 0 ||
        device.memory_left > device.memory || device.share_left < 0 || device.share_left > kWhole) {
      return wrong(fmt::format("has device {} with more memory or compute left than it has", device.id));
    }
    if (device.idle() && (device.memory_left != device.memory || device.share_left != kWhole)) {
      return wrong(fmt::format("has device {} idle and partly taken", device.id));
    }
  }
  return {};
}

double fragmentation(const Snapshot& snapshot) {
  int64_t left = 0, whole = 0;
  for (const Host& host : snapshot) {
    if (host.draining) continue;
    int64_t here = 0;
    bool idle = true;
    for (const Device& device : host.devices) {
      idle = idle && device.idle();
      if (device.state == State::ready && device.held != Path::passthrough) here += device.share_left;
    }
    left += here;
    if (idle) whole += here;
  }
  return left == 0 ? 0 : 1 - static_cast<double>(whole) / static_cast<double>(left);
}

Json json_of(const Host& host) {
  Json devices = Json::array();
  for (const Device& device : host.devices) devices.push_back(json_of(device));
  Json json = {{"id", host.id}};
  if (host.draining) json["draining"] = true;
  if (!host.labels.empty()) json["labels"] = host.labels;
  json["devices"] = devices;
  return json;
}

Result<Host> host_of(const Json& json) {
  Host host;
  ObjectReader read(json, "host");
  read.text("id", &host.id, true);
  read.flag("draining", &host.draining);
  read.texts("labels", &host.labels, kMostLabels);
  read.list(
      "devices", kMostDevices,
      [&](const Json& element) -> Result<void> {
        auto device = device_of(element);
        if (!device) return device.error();
        host.devices.push_back(std::move(*device));
        return {};
      },
      true);
  if (const auto done = read.finish(); !done) return done.error();
  if (const auto good = check(host); !good) return good.error();
  return host;
}

Result<Host> parse_host(std::string_view text) {
  const auto json = parse_json(text, "host", kMostHostBytes);
  if (!json) return json.error();
  return host_of(*json);
}

std::string to_json(const Host& host) { return json_of(host).dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace nm::pool
