#include "pool/claim.h"

#include <fmt/format.h>

#include <algorithm>

#include "pool/value_json.h"

namespace nm::pool {
namespace {

constexpr Word<Path> kPaths[] = {{Path::any, "any"}, {Path::network, "network"}, {Path::passthrough, "passthrough"}};
constexpr Word<Topology> kTopologies[] = {{Topology::any, "any"},
                                          {Topology::same_host, "same-host"},
                                          {Topology::same_numa, "same-numa"},
                                          {Topology::nvlink, "nvlink"}};
constexpr int kMostNumber = 65536, kMostPriority = 1000;
constexpr size_t kMostLabels = 32, kMostClaimBytes = 64 << 10;

}  // namespace

std::string_view word(Path path) { return name_of(kPaths, path); }
std::string_view word(Topology topology) { return name_of(kTopologies, topology); }

int Need::charge(Mib device) const {
  const auto by_memory = static_cast<int>((memory * kWhole + device - 1) / device);
  return whole ? kWhole : std::max(share, by_memory);
}

Need need_on(const Claim& claim, Mib device, Path path) {
  Need need{device, kWhole, true};
  if (path == Path::passthrough) return need;
  if (claim.memory.said()) {
    need.memory = claim.memory.on(device);
    need.share = claim.memory.thousandths ? claim.memory.thousandths
                                          : static_cast<int>(std::max<int64_t>(1, need.memory * kWhole / device));
  }
  if (claim.share != 0) {
    need.share = claim.share;
    if (!claim.memory.said()) need.memory = std::max<Mib>(1, device * claim.share / kWhole);
  }
  need.whole = need.share >= kWhole && need.memory >= device;
  return need;
}

bool suffices(const Claim& claim, Mib device, Path path) {
  if (path == Path::passthrough) {
    return claim.memory.on(device) <= device && claim.memory.thousandths % kWhole == 0 && claim.share % kWhole == 0;
  }
  const Need need = need_on(claim, device, path);
  return need.memory <= device && need.memory >= 1 && need.share <= kWhole;
}

std::string describe(const Claim& claim) {
  std::string text = fmt::format("{} × {}", claim.number, claim.model.empty() ? "GPU" : claim.model);
  if (claim.memory.said()) text += fmt::format(" with {} of memory", print(claim.memory));
  if (claim.share != 0 && claim.share != kWhole) text += fmt::format(", {} of its compute", print_share(claim.share));
  if (claim.topology == Topology::same_host) text += " on one host";
  if (claim.topology == Topology::same_numa) text += " on one NUMA node";
  if (claim.topology == Topology::nvlink) text += " connected by NVLink";
  if (claim.path == Path::passthrough) text += " by passthrough";
  return text;
}

Result<void> check(const Claim& claim) {
  const auto wrong = [&](const std::string& what) -> Error {
    return Error{fmt::format("Claim \"{}\" {}.", printable(claim.id) ? claim.id : "?", what)};
  };
  if (!is_id(claim.id)) return wrong("must have an id of letters, digits and - _ . : @");
  if (claim.number < 1 || claim.number > kMostNumber)
    return wrong(fmt::format("asks for {} GPUs; ask for 1 to {}", claim.number, kMostNumber));
  if (claim.memory.mib < 0 || claim.memory.mib > kMostMemory || claim.memory.thousandths < 0 ||
      claim.memory.thousandths > kWhole || (claim.memory.mib != 0 && claim.memory.thousandths != 0)) {
    return wrong("asks for an impossible amount of memory; ask for 40G, or a part from 0.001 to 1");
  }
  if (claim.share < 0 || claim.share > kWhole) return wrong("asks for an impossible share; ask for 0.001 to 1");
  if (claim.limit < Duration{0} || claim.limit > kLongest)
    return wrong("has an impossible time limit; ten years is the most");
  if (std::abs(claim.priority) > kMostPriority)
    return wrong(
        fmt::format("has priority {}; it must be from -{} to {}", claim.priority, kMostPriority, kMostPriority));
  if (!is_id(claim.project)) return wrong("must name a project, of letters, digits and - _ . : @");
  for (const std::string* text : {&claim.model, &claim.user, &claim.client_host}) {
    if (!printable(*text)) return wrong("has control characters or too long a text in model, user or client_host");
  }
  if (claim.labels.size() > kMostLabels) return wrong("has more than 32 labels");
  if (claim.path == Path::passthrough && (claim.share % kWhole != 0 || claim.memory.thousandths % kWhole != 0)) {
    return wrong(
        "asks for a part of a GPU by passthrough, which hands over whole ones; leave the part out, or use --path "
        "network");
  }
  return {};
}

Json json_of(const Claim& claim) {
  Json json = {{"id", claim.id}, {"number", claim.number}, {"project", claim.project}};
  if (!claim.model.empty()) json["model"] = claim.model;
  if (claim.memory.said()) json["memory"] = print(claim.memory);
  if (claim.share != 0) json["share"] = print_share(claim.share);
  if (claim.path != Path::any) json["path"] = word(claim.path);
  if (claim.topology != Topology::any) json["topology"] = word(claim.topology);
  if (claim.limit != Duration{0}) json["limit_ms"] = claim.limit.count();
  if (claim.priority != 0) json["priority"] = claim.priority;
  if (!claim.user.empty()) json["user"] = claim.user;
  if (!claim.client_host.empty()) json["client_host"] = claim.client_host;
  if (!claim.labels.empty()) json["labels"] = claim.labels;
  return json;
}

Result<Claim> claim_of(const Json& json) {
  Claim claim;
  ObjectReader read(json, "claim");
  read.text("id", &claim.id, true);
  read.number("number", &claim.number, 1, kMostNumber);
  read.text("model", &claim.model);
  read.parsed("memory", &claim.memory, parse_memory);
  read.parsed("share", &claim.share, parse_share);
  read.word("path", &claim.path, kPaths);
  read.word("topology", &claim.topology, kTopologies);
  int64_t limit = 0;
  read.number("limit_ms", &limit, 1, kLongest.count());
  claim.limit = Duration(limit);
  read.text("project", &claim.project);
  read.number("priority", &claim.priority, -kMostPriority, kMostPriority);
  read.text("user", &claim.user);
  read.text("client_host", &claim.client_host);
  read.texts("labels", &claim.labels, kMostLabels);
  if (const auto done = read.finish(); !done) return done.error();
  if (const auto good = check(claim); !good) return good.error();
  return claim;
}

Result<Claim> parse_claim(std::string_view text) {
  const auto json = parse_json(text, "claim", kMostClaimBytes);
  if (!json) return json.error();
  return claim_of(*json);
}

std::string to_json(const Claim& claim) { return json_of(claim).dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace nm::pool
