// Placing against brute force: on small clusters every set of devices is tried, and the best by the rules is known.
#include <algorithm>
#include <bit>
#include <optional>
#include <tuple>

#include "pool/generate.h"
#include "pool/place.h"
#include "pool/test_pool.h"

namespace nm::pool {
namespace {

struct Flat {
  const Host* host;
  const Device* device;
};

// What packing holds against a set: hosts more than one, whole hosts' GPUs broken into, whole GPUs broken into, and
// what is left of the hosts or GPUs that are used. Less is better.
using Score = std::tuple<int, int64_t, int64_t, int64_t, int64_t>;

bool usable(const Flat& flat, const Claim& claim, const Need& need, Path way) {
  const Device& d = *flat.device;
  if (d.state != Device::State::ready || flat.host->draining) return false;
  if (way == Path::passthrough) return d.passthrough && d.idle() && claim.memory.on(d.memory) <= d.memory;
  if (!d.network || d.held == Path::passthrough) return false;
  return need.whole ? d.idle() : d.memory_left >= need.memory && d.share_left >= need.share;
}

Score score(const std::vector<Flat>& set, const Claim& claim, Path way) {
  std::vector<const Host*> hosts;
  int64_t broken = 0, idle_taken = 0, left = 0;
  for (const Flat& flat : set) {
    if (std::find(hosts.begin(), hosts.end(), flat.host) == hosts.end()) hosts.push_back(flat.host);
    idle_taken += flat.device->idle();
    if (!flat.device->idle()) left += room(*flat.device);
  }
  for (const Host* host : hosts) {
    const auto idle = [](const Device& d) { return d.idle(); };
    const auto open = [&](const Device& d) { return Cluster::open_to(*host, d, way); };
    if (!std::all_of(host->devices.begin(), host->devices.end(), idle)) continue;
    // Where GPUs must be near to each other, hosts are ordered by what they have in one place, and only whole or not
    // counts.
    const bool near = claim.topology == Topology::same_numa || claim.topology == Topology::nvlink;
    broken += near ? 1 : std::count_if(host->devices.begin(), host->devices.end(), open);
  }
  const bool away = !claim.client_host.empty() && (hosts.size() > 1 || hosts[0]->id != claim.client_host);
  return {static_cast<int>(hosts.size()) * 2 + away, broken, idle_taken, idle_taken > 0 ? 0 : left, 0};
}

// The best score of any set by this way; none: there is no set.
std::optional<Score> brute_force(const Snapshot& snapshot, const Claim& claim, Path way) {
  std::vector<Flat> all;
  for (const Host& host : snapshot) {
    for (const Device& device : host.devices) all.push_back({&host, &device});
  }
  std::optional<Score> best;
  for (uint32_t bits = 1; bits < 1u << all.size(); ++bits) {
    if (std::popcount(bits) != claim.number) continue;
    std::vector<Flat> set;
    for (size_t i = 0; i < all.size(); ++i) {
      if (bits >> i & 1) set.push_back(all[i]);
    }
    bool good = true;
    for (const Flat& flat : set) {
      good = good && usable(flat, claim, need_on(claim, flat.device->memory, way), way);
      good = good && (claim.topology == Topology::any || flat.host == set[0].host);
      good = good && (claim.topology != Topology::same_numa || flat.device->numa == set[0].device->numa);
      good = good && (claim.topology != Topology::nvlink || claim.number == 1 ||
                      (flat.device->island >= 0 && flat.device->island == set[0].device->island));
    }
    if (good && (!best || score(set, claim, way) < *best)) best = score(set, claim, way);
  }
  return best;
}

TEST(Place, EqualsBruteForceOnSmallClusters) {
  Random random(20);
  size_t granted = 0, waited = 0;
  for (int round = 0; round < 3000; ++round) {
    Snapshot snapshot;
    int left = 10;
    for (int h = 0; h < 4 && left > 0; ++h) {
      const int gpus = static_cast<int>(1 + random.below(std::min(4, left)));
      left -= gpus;
      Host made = host(std::string(1, static_cast<char>('a' + h)), gpus,
                       {.memory = 1000, .per_numa = 2, .per_island = static_cast<int>(random.below(4)) - 1});
      made.draining = random.below(20) == 0;
      const int busy = static_cast<int>(random.below(3));
      for (size_t d = 0; d < made.devices.size(); ++d) {
        Device& device = made.devices[d];
        device.passthrough = random.below(4) > 0;
        device.network = random.below(8) > 0;
        if (random.below(12) == 0) device.state = Device::State::quarantined;
        if (random.below(3) >= busy) continue;
        switch (random.below(3)) {
          case 0:
            take(made, d, kWhole, random.below(2) ? Path::network : Path::passthrough);
            break;
          case 1:
            take(made, d, static_cast<int>(250 * (1 + random.below(3))));
            break;
          default:
            device.held = Path::network;
            device.share_left = static_cast<int>(100 * random.below(10));
            device.memory_left = 100 * random.below(10);
        }
      }
      snapshot.push_back(made);
    }
    Claim wish = claim("c", static_cast<int>(1 + random.below(4)));
    const Path way = random.below(4) ? Path::network : Path::passthrough;
    wish.path = way;
    wish.topology = static_cast<Topology>(random.below(4));
    if (way == Path::network && random.below(2)) {
      wish.share = static_cast<int>(100 * (1 + random.below(10)));
      if (random.below(2)) wish.memory.mib = 100 * (1 + random.below(10));
    }
    if (random.below(4) == 0)
      wish.client_host = snapshot[static_cast<size_t>(random.below(static_cast<int64_t>(snapshot.size())))].id;

    const auto expected = brute_force(snapshot, wish, way);
    const Answer answer = place(snapshot, wish, {});
    const auto* grant = std::get_if<Grant>(&answer);
    const std::string about = fmt::format("round {}: {}", round, to_json(wish));
    ASSERT_EQ(grant != nullptr, expected.has_value()) << about;
    if (!grant) {
      ++waited;
      continue;
    }
    ++granted;
    ASSERT_EQ(grant->devices.size(), static_cast<size_t>(wish.number)) << about;
    std::vector<Flat> set;
    for (const Held& held : grant->devices) {
      for (const Host& host : snapshot) {
        if (host.id == held.host) set.push_back({&host, host.find(held.device)});
      }
    }
    const Score actual = score(set, wish, way), best = *expected;
    // Across several hosts only their number is promised, and of whole GPUs; several parts at once go host by host.
    const bool across = std::get<0>(best) >= 4;
    const bool parts = !need_on(wish, 1000, way).whole;
    if (wish.number > 1 && parts && across) continue;
    if (wish.number > 1) {
      ASSERT_EQ(std::get<0>(actual) / 2, std::get<0>(best) / 2) << about;
      if (across) continue;
      ASSERT_EQ(std::get<0>(actual), std::get<0>(best)) << about;
      if (parts) continue;
      ASSERT_EQ(std::get<1>(actual), std::get<1>(best)) << about;
      continue;
    }
    ASSERT_EQ(actual, best) << about;
  }
  EXPECT_GT(granted, 500u);
  EXPECT_GT(waited, 500u);
}

}  // namespace
}  // namespace nm::pool
