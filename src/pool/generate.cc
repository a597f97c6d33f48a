#include "pool/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace nm::pool {

uint64_t Random::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
double Random::unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
int64_t Random::below(int64_t bound) {
  return bound <= 0 ? 0 : static_cast<int64_t>(next() % static_cast<uint64_t>(bound));
}
double Random::normal() { return std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * 3.14159265358979323846 * unit()); }
double Random::exponential(double mean) { return -mean * std::log(1 - unit()); }

namespace {

struct Model {
  const char *name, *said;
  Mib memory;
  double part;  // of the hosts, and of the claims
  bool linked;
};
constexpr Model kModels[] = {{"NVIDIA H200", "h200", 144'384, 0.7, true},
                             {"NVIDIA A100-SXM4-80GB", "a100", 81'920, 0.2, true},
                             {"NVIDIA L40S", "l40s", 46'068, 0.1, false}};

const Model& model_of(double where) {
  for (const Model& model : kModels) {
    if (where < model.part) return model;
    where -= model.part;
  }
  return kModels[0];
}

struct Size {
  int number;
  double part;
};
constexpr Size kSizes[] = {{1, 0.55},   {2, 0.14},  {4, 0.13},   {8, 0.14},
                           {16, 0.025}, {32, 0.01}, {64, 0.004}, {128, 0.001}};
constexpr int kProjects = 10;

int size_of(double where) {
  for (const Size& size : kSizes) {
    if (where < size.part) return size.number;
    where -= size.part;
  }
  return 1;
}

// People round up.
Duration rounded_limit(Duration runs) {
  for (const int hours : {1, 2, 4, 8, 12, 24, 48, 72, 168}) {
    if (runs <= std::chrono::hours(hours)) return std::chrono::hours(hours);
  }
  return std::chrono::hours(336);
}

}  // namespace

std::vector<Host> generate_hosts(const Generate& wish) {
  std::vector<Host> hosts;
  const int64_t per_host = std::clamp<int64_t>(wish.per_host, 1, kMostDevices);
  const int64_t count = (wish.gpus + per_host - 1) / per_host;
  for (int64_t h = 0, left = wish.gpus; h < count; ++h, left -= per_host) {
    const Model& model = model_of((static_cast<double>(h) + 0.5) / static_cast<double>(count));
    Host host{.id = fmt::format("host-{:05}", h + 1)};
    for (int64_t d = 0; d < std::min(per_host, left); ++d) {
      Device device{.id = fmt::format("{}-gpu{}", host.id, d),
                    .model = wish.model.empty() ? model.name : wish.model,
                    .memory = model.memory};
      if (!wish.model.empty()) device.memory = kModels[0].memory;
      device.memory_left = device.memory;
      device.numa = d < (per_host + 1) / 2 ? 0 : 1;
      device.island = model.linked || !wish.model.empty() ? 0 : -1;
      device.passthrough = true;
      host.devices.push_back(device);
    }
    hosts.push_back(std::move(host));
  }
  return hosts;
}

Trace generate(const Generate& wish) {
  Random random(wish.seed);
  Trace trace{.hosts = generate_hosts(wish)};
  double weights[kProjects], sum = 0;
  for (int p = 0; p < kProjects; ++p) sum += weights[p] = 1.0 / (p + 1.5);
  for (int p = 0; p < kProjects; ++p) {
    ProjectRule rule{.weight = std::max(1, static_cast<int>(100 * weights[p] / sum))};
    rule.quota =
        std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(wish.gpus) * 0.9 * weights[p] / sum)) * kWhole;
    trace.projects[fmt::format("project-{:02}", p + 1)] = rule;
  }
  double gpu_ms = 0;
  for (int64_t i = 0; i < wish.claims; ++i) {
    TraceClaim entry;
    Claim& claim = entry.claim;
    claim.id = fmt::format("c{}", i + 1);
    double where = random.unit() * sum;
    int p = 0;
    while (p + 1 < kProjects && where >= weights[p]) where -= weights[p++];
    claim.project = fmt::format("project-{:02}", p + 1);
    claim.user = fmt::format("user-{}", p * 20 + random.below(20));
    if (random.unit() < 0.05) claim.priority = 10;
    const Model& model = model_of(random.unit());
    const double most = static_cast<double>(wish.gpus) * (wish.model.empty() ? model.part : 1) / 4;
    claim.number = size_of(random.unit());
    while (claim.number > 1 && claim.number > most) claim.number /= 2;
    claim.model = wish.model.empty() ? (random.unit() < 0.9 ? model.said : "") : wish.model;
    double part = 1;
    if (claim.number == 1 && random.unit() < 0.3) {
      part = random.unit() < 0.5 ? 0.25 : 0.5;
      claim.memory.thousandths = static_cast<int>(part * kWhole);
    } else if (claim.number == 1 && random.unit() < 0.05) {
      claim.path = Path::passthrough;
    }
    const bool linked = model.linked || !wish.model.empty();
    if (claim.number > 1 && claim.number <= wish.per_host) {
      claim.topology = linked && !claim.model.empty() && random.unit() < 0.6 ? Topology::nvlink : Topology::same_host;
    }
    if (random.unit() < 0.1)
      claim.client_host = trace.hosts[static_cast<size_t>(random.below(static_cast<int64_t>(trace.hosts.size())))].id;
    const double median = claim.number >= 8 ? 3'600'000 : 1'200'000;
    const double runs = std::clamp(median * std::exp(1.5 * random.normal()), 30'000.0, 5.0 * 86'400'000);
    entry.runs = Duration(static_cast<int64_t>(runs));
    if (random.unit() < 0.8)
      claim.limit =
          rounded_limit(Duration(static_cast<int64_t>(runs * (random.unit() < 0.03 ? 0.7 : 1 + random.unit()))));
    gpu_ms += runs * claim.number * part;
    trace.claims.push_back(std::move(entry));
  }
  const double mean_gap =
      gpu_ms / std::max(0.01, wish.load) / static_cast<double>(wish.gpus) / static_cast<double>(wish.claims);
  double at = 0;
  for (TraceClaim& claim : trace.claims) {
    at += random.exponential(mean_gap);
    claim.at = Time(Duration(static_cast<int64_t>(at)));
  }
  return trace;
}

}  // namespace nm::pool
