// What must hold whatever happens: random clusters, projects, claims, ends, losses, in random order.
#include <algorithm>
#include <set>

#include "pool/generate.h"
#include "pool/test_books.h"

namespace nm::pool {
namespace {

// Nothing is granted that is not there, no device goes two ways, and what is kept of a project is within its quota.
void expect_sound(const Pool& pool, uint64_t seed) {
  struct Taken {
    Mib memory = 0;
    int share = 0;
    std::set<Path> ways;
    size_t leases = 0;
  };
  std::map<std::pair<std::string, std::string>, Taken> taken;
  std::map<std::string, Use> uses;
  for (const auto& [id, lease] : pool.leases()) {
    int64_t charge = 0;
    for (const Held& held : lease.devices) {
      Taken& t = taken[{held.host, held.device}];
      t.memory += held.memory;
      t.share += held.share;
      t.ways.insert(lease.path);
      ++t.leases;
      const HostEntry* entry = pool.cluster().find(held.host);
      const Device* device = entry ? entry->host.find(held.device) : nullptr;
      if (device) charge += std::max<int64_t>(held.share, (held.memory * kWhole + device->memory - 1) / device->memory);
    }
    ASSERT_LE(charge, lease.charge) << id << " seed " << seed;
    uses[lease.claim.project].held += lease.charge;
    if (!lease.borrowed) uses[lease.claim.project].kept += lease.charge;
  }
  for (const auto& [where, t] : taken) {
    const HostEntry* entry = pool.cluster().find(where.first);
    if (!entry) continue;  // the host is gone, its leases are ending
    const Device* device = entry->host.find(where.second);
    ASSERT_NE(device, nullptr);
    ASSERT_LE(t.memory, device->memory) << where.second << " seed " << seed;
    ASSERT_LE(t.share, kWhole) << where.second << " seed " << seed;
    ASSERT_EQ(t.ways.size(), 1u) << where.second << " seed " << seed;
    ASSERT_TRUE(t.leases == 1 || !t.ways.contains(Path::passthrough)) << where.second << " seed " << seed;
    ASSERT_EQ(device->memory_left, device->memory - t.memory) << where.second << " seed " << seed;
    ASSERT_EQ(device->share_left, kWhole - t.share) << where.second << " seed " << seed;
  }
  for (const auto& [project, use] : uses) {
    const ProjectRule& rule = pool.policy().rule(project);
    ASSERT_LE(use.kept, rule.quota.value_or(INT64_MAX)) << project << " seed " << seed;
    ASSERT_LE(rule.borrow ? 0 : use.held, rule.quota.value_or(INT64_MAX)) << project << " seed " << seed;
    ASSERT_EQ(pool.uses().at(project).held, use.held) << project << " seed " << seed;
    ASSERT_EQ(pool.uses().at(project).kept, use.kept) << project << " seed " << seed;
  }
}

// Random events, each at a later time.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed) {
    policy_.reservations = static_cast<int>(random_.below(4));
    policy_.placement = random_.below(4) ? Placement::pack : Placement::spread;
    policy_.take_back = random_.below(4) > 0;
    for (int p = 0; p < 3; ++p) {
      ProjectRule rule{.weight = static_cast<int>(1 + random_.below(3))};
      if (random_.below(4)) rule.quota = kWhole * (2 + random_.below(8));
      rule.borrow = random_.below(4) > 0;
      policy_.projects["p" + std::to_string(p)] = rule;
    }
    for (int h = 0; h < 5; ++h) hosts_.push_back(random_host(h));
  }

  const Policy& policy() const { return policy_; }
  const std::vector<Host>& hosts() const { return hosts_; }
  int64_t now() const { return now_; }
  int64_t later() { return now_ += 1 + random_.below(100); }
  int64_t below(int64_t bound) { return random_.below(bound); }

  Claim random_claim() {
    Claim c = claim("c" + std::to_string(++claims_), static_cast<int>(1 + random_.below(6)));
    c.project = "p" + std::to_string(random_.below(4));
    c.topology = static_cast<Topology>(random_.below(4));
    c.priority = static_cast<int>(random_.below(3));
    if (random_.below(5) == 0) c.model = "b";
    switch (random_.below(4)) {
      case 0:
        c.share = static_cast<int>(125 * (1 + random_.below(7)));
        break;
      case 1:
        c.path = Path::passthrough;
        break;
      case 2:
        c.memory.mib = 1 + random_.below(900);
        break;
      default:
        break;
    }
    if (random_.below(2)) c.limit = Duration(1000 * (1 + random_.below(500)));
    if (random_.below(3) == 0) c.client_host = hosts_[static_cast<size_t>(random_.below(5))].id;
    return c;
  }
  Host random_host(int number) {
    Host made = host("h" + std::to_string(number), static_cast<int>(1 + random_.below(8)),
                     {.model = random_.below(3) ? "GPU A" : "GPU B",
                      .memory = 1000,
                      .per_island = static_cast<int>(random_.below(4)) * 2});
    for (Device& device : made.devices) {
      if (random_.below(10) == 0) device.state = static_cast<Device::State>(random_.below(4));
      device.passthrough = random_.below(3) > 0;
    }
    return made;
  }
  // Something that can happen to this pool now.
  Event event(const Pool& pool) {
    const auto& leases = pool.leases();
    const auto any_lease = [&] {
      return std::next(leases.begin(), random_.below(static_cast<int64_t>(leases.size())))->first;
    };
    const int64_t what = random_.below(100);
    if (what < 40 && !leases.empty()) return Ended{any_lease()};
    if (what < 44 && !leases.empty()) return NotKept{any_lease()};
    if (what < 48 && pool.waiting().size() > 0) return Withdrawn{pool.waiting().waiting().begin()->first};
    if (what < 52) return HostUp{hosts_[static_cast<size_t>(random_.below(5))]};
    if (what < 54) {
      const std::string& id = hosts_[static_cast<size_t>(random_.below(5))].id;
      if (pool.cluster().find(id)) return HostGone{id};
    }
    return Submitted{random_claim()};
  }

 private:
  Random random_;
  Policy policy_;
  std::vector<Host> hosts_;
  int64_t now_ = 0;
  int claims_ = 0;
};

TEST(Property, NothingIsGrantedTwiceAndQuotasAreKept) {
  size_t granted = 0, borrowed = 0, taken = 0, promised = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Chaos chaos(seed);
    Pool pool(chaos.policy());
    for (const Host& host : chaos.hosts()) ASSERT_TRUE(pool.apply(HostUp{host}, at(0)));
    for (int i = 0; i < 150; ++i) {
      const Event event = chaos.event(pool);
      chaos.later();
      const auto done = pool.apply(event, at(chaos.now()));
      ASSERT_TRUE(done) << done.error().message << " seed " << seed;
      for (const Action& action : pool.decide(at(chaos.now()))) {
        if (const auto* grant = std::get_if<Granted>(&action)) {
          ++granted;
          borrowed += grant->lease.borrowed;
        }
        if (const auto* back = std::get_if<TakenBack>(&action)) {
          ++taken;
          ASSERT_TRUE(pool.leases().at(back->lease).borrowed) << "seed " << seed;
        }
      }
      promised += pool.promises().size();
      expect_sound(pool, seed);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(granted, 5000u);
  EXPECT_GT(borrowed, 100u);
  EXPECT_GT(taken, 20u);
  EXPECT_GT(promised, 1000u);
}

// What a decision does, without what is said only once.
std::vector<Action> deeds(std::vector<Action> actions) {
  std::erase_if(actions, [](const Action& action) {
    return std::holds_alternative<Waits>(action) || std::holds_alternative<Refused>(action);
  });
  return actions;
}

TEST(Property, ARebuiltPoolGoesOnAsTheOneItWasTakenFrom) {
  size_t compared = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    Chaos chaos(seed);
    Pool pool(chaos.policy());
    for (const Host& host : chaos.hosts()) ASSERT_TRUE(pool.apply(HostUp{host}, at(0)));
    for (int i = 0; i < 120; ++i) {
      const Event event = chaos.event(pool);
      chaos.later();
      pool.decide(at(chaos.now()));
      if (!pool.apply(event, at(chaos.now()))) continue;
      if (std::holds_alternative<Ended>(event)) {
        auto rebuilt = Pool::rebuild(pool.policy(), pool.contents());
        ASSERT_TRUE(rebuilt) << rebuilt.error().message << " seed " << seed;
        const auto expected = deeds(pool.decide(at(chaos.now())));
        const auto actual = deeds(rebuilt->decide(at(chaos.now())));
        ASSERT_EQ(actual.size(), expected.size()) << "seed " << seed << " event " << i;
        for (size_t a = 0; a < actual.size(); ++a) {
          ASSERT_TRUE(actual[a] == expected[a])
              << text_of(actual[a]) << " for " << text_of(expected[a]) << ", seed " << seed << " event " << i;
        }
        compared += actual.size();
      }
      pool.decide(at(chaos.now()));
    }
  }
  EXPECT_GT(compared, 500u);
}

TEST(Property, TheSameEventsGiveTheSameActions) {
  std::vector<std::string> runs[2];
  for (auto& run : runs) {
    Chaos chaos(7);
    Books books(chaos.policy());
    for (const Host& host : chaos.hosts()) books.up(host);
    for (int i = 0; i < 300; ++i) {
      const Event event = chaos.event(books.pool);
      const bool good = static_cast<bool>(books.pool.apply(event, at(chaos.later())));
      run.push_back(good ? "good" : "bad");
      for (const std::string& line : books.decided(at(chaos.now()))) run.push_back(line);
    }
  }
  EXPECT_GT(runs[0].size(), 400u);
  EXPECT_EQ(runs[0], runs[1]);
}

// A claim within its project's quota is served, whoever else comes, as long as what runs ends.
TEST(Property, NobodyWithinTheirQuotaStarves) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    Policy policy;
    policy.reservations = 2;
    policy.projects["big"].quota = 16 * kWhole;
    policy.projects["small"].quota = 16 * kWhole;
    Books books(policy);
    for (int h = 0; h < 4; ++h) books.up(host("h" + std::to_string(h), 8));
    int64_t now = 0;
    int number = 0;
    std::set<std::string> big;
    int64_t longest = 0;
    std::map<std::string, int64_t> since;
    for (int i = 0; i < 600; ++i) {
      now += 10;
      // More small ones than there is room for, always; sometimes one for a whole host or two.
      while (books.pool.waiting().size() < 12) {
        Claim c = claim("s" + std::to_string(++number), static_cast<int>(1 + random.below(3)));
        c.project = random.below(2) ? "small" : "big";
        if (random.below(3) == 0) c.share = 500;
        ASSERT_TRUE(books.pool.apply(Submitted{c}, at(now)));
        books.pool.decide(at(now));
      }
      if (i % 60 == 0) {
        Claim c = claim("big" + std::to_string(i), random.below(2) ? 8 : 16);
        c.project = "big";
        c.topology = c.number == 8 ? Topology::nvlink : Topology::any;
        ASSERT_TRUE(books.pool.apply(Submitted{c}, at(now)));
        since[c.id] = now;
        books.pool.decide(at(now));
      }
      // The oldest two leases end.
      for (int e = 0; e < 2; ++e) {
        const Lease* oldest = nullptr;
        for (const auto& [id, lease] : books.pool.leases()) {
          if (!oldest || std::tie(lease.granted, id) < std::tie(oldest->granted, oldest->id)) oldest = &lease;
        }
        if (!oldest) break;
        const std::string id = oldest->id;
        ASSERT_TRUE(books.pool.apply(Ended{id}, at(now)));
        books.pool.decide(at(now));
      }
      for (auto it = since.begin(); it != since.end();) {
        if (books.pool.waiting().find(it->first)) {
          longest = std::max(longest, now - it->second);
          ++it;
        } else {
          it = since.erase(it);
        }
      }
    }
    EXPECT_LT(longest, 1500) << "seed " << seed
                             << ": a lease lives for less than 320 here, so this is some turns of the whole pool";
  }
}

}  // namespace
}  // namespace nm::pool
