#include "pool/lease.h"

#include <fmt/format.h>

#include <set>

#include "pool/value_json.h"

namespace nm::pool {
namespace {

constexpr Word<Path> kWays[] = {{Path::network, "network"}, {Path::passthrough, "passthrough"}};
constexpr size_t kMostHeld = 65536, kMostLeaseBytes = 16 << 20;
constexpr int64_t kLastMs = int64_t{1} << 52;  // some 140,000 years, and exact in every language's numbers

}  // namespace

Result<void> check(const Lease& lease) {
  const auto wrong = [&](const std::string& what) -> Error {
    return Error{fmt::format("Lease \"{}\" {}.", printable(lease.id) ? lease.id : "?", what)};
  };
  if (!is_id(lease.id)) return wrong("must have an id of letters, digits and - _ . : @");
  if (const auto good = check(lease.claim); !good) return wrong("has a wrong claim: " + good.error().message);
  if (lease.devices.empty()) return wrong("has no device");
  if (lease.path == Path::any) return wrong("must be by network or by passthrough");
  if (lease.until < lease.granted) return wrong("ends before it begins");
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Held& held : lease.devices) {
    if (!is_id(held.host) || !is_id(held.device)) return wrong("has a device without a host or a name");
    if (!seen.insert({held.host, held.device}).second)
      return wrong(fmt::format("has device {} of {} twice", held.device, held.host));
    if (held.memory < 1 || held.memory > kMostMemory || held.share < 1 || held.share > kWhole) {
      return wrong(fmt::format("has an impossible part of device {}", held.device));
    }
  }
  return {};
}

Json json_of(const Lease& lease) {
  Json devices = Json::array();
  for (const Held& held : lease.devices) {
    devices.push_back(
        {{"host", held.host}, {"device", held.device}, {"memory_mib", held.memory}, {"share", held.share}});
  }
  Json json = {{"id", lease.id},           {"claim", json_of(lease.claim)},
               {"path", word(lease.path)}, {"devices", devices},
               {"charge", lease.charge},   {"granted_ms", lease.granted.time_since_epoch().count()}};
  if (lease.until != kNever) json["until_ms"] = lease.until.time_since_epoch().count();
  if (lease.borrowed) json["borrowed"] = true;
  if (lease.ending) json["ending"] = true;
  return json;
}

Result<Lease> lease_of(const Json& json) {
  Lease lease;
  int64_t granted = 0, until = -1;
  ObjectReader read(json, "lease");
  read.text("id", &lease.id, true);
  read.value(
      "claim",
      [&](const Json& element) -> Result<void> {
        auto claim = claim_of(element);
        if (!claim) return claim.error();
        lease.claim = std::move(*claim);
        return {};
      },
      true);
  read.word("path", &lease.path, kWays);
  read.list(
      "devices", kMostHeld,
      [&](const Json& element) -> Result<void> {
        Held held;
        ObjectReader part(element, "lease's device");
        part.text("host", &held.host, true);
        part.text("device", &held.device, true);
        part.number("memory_mib", &held.memory, 1, kMostMemory, true);
        part.number("share", &held.share, 1, kWhole, true);
        lease.devices.push_back(held);
        return part.finish();
      },
      true);
  read.number("charge", &lease.charge, 0, int64_t{kWhole} * kMostHeld, true);
  read.number("granted_ms", &granted, 0, kLastMs, true);
  read.number("until_ms", &until, 0, kLastMs);
  lease.granted = Time(Duration(granted));
  lease.until = until < 0 ? kNever : Time(Duration(until));
  read.flag("borrowed", &lease.borrowed);
  read.flag("ending", &lease.ending);
  if (const auto done = read.finish(); !done) return done.error();
  if (const auto good = check(lease); !good) return good.error();
  return lease;
}

Result<Lease> parse_lease(std::string_view text) {
  const auto json = parse_json(text, "lease", kMostLeaseBytes);
  if (!json) return json.error();
  return lease_of(*json);
}

std::string to_json(const Lease& lease) { return json_of(lease).dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace nm::pool
