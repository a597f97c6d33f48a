// Whose turn it is, and what happens to those who have to wait or to give back.
#include "pool/test_books.h"

namespace nm::pool {
namespace {

using Lines = Books::Lines;
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Pool, GrantsWhatFitsAndSaysWhyTheRestWaits) {
  Books books;
  books.up(host("a", 2));
  EXPECT_EQ(books.submit(claim("c1", 2)), Lines{"c1 gets a:0,1"});
  EXPECT_EQ(books.submit(claim("c2", 1)),
            Lines{"c2 waits: There is no room for 1 × GPU: one host can give 0 GPUs now, all together 0 GPUs."});
  books.submit(claim("c3", 1));
  EXPECT_TRUE(says(books.submit(claim("c4", 3)).at(0), "c4 refused: 3 × GPU is more than the pool has: 2 in all"));
  EXPECT_EQ(books.order(), "c2 c3");
  EXPECT_EQ(books.pool.queue(at(0))[1].position, 2u);
  EXPECT_EQ(books.end("c1"), (Lines{"c2 gets a:0", "c3 gets a:1"}));
  EXPECT_EQ(books.order(), "");
}

TEST(Pool, SaysWhatCannotBe) {
  Books books;
  books.up(host("a", 2));
  books.submit(claim("c1", 1));
  EXPECT_EQ(books.trouble(Submitted{claim("c1", 1)}, at(0)), "Claim c1 is here already. Give the new one another id.");
  EXPECT_EQ(books.trouble(Ended{"x"}, at(0)), "Lease x is not there: it has ended before.");
  EXPECT_EQ(books.trouble(HostGone{"x"}, at(0)), "Host x is not in the pool. Nothing was done.");
  EXPECT_TRUE(says(books.trouble(Withdrawn{"c1"}, at(0)), "does not wait"));
  EXPECT_TRUE(says(books.trouble(Submitted{claim("bad id", 1)}, at(0)), "must have an id"));
  EXPECT_TRUE(says(books.trouble(Extended{books.lease("c1"), at(-5)}, at(0)), "end in the past"));
}

TEST(Pool, EndsALeaseAtItsLimitAndGivesItsGpuOnlyWhenItIsGone) {
  Books books;
  books.up(host("a", 1));
  books.submit(claim_of_project("c1", 1, "p", 60));
  books.submit(claim("c2", 1));
  EXPECT_EQ(books.pool.next_expiry(), at(60));
  EXPECT_EQ(books.decided(at(59)), Lines{});
  EXPECT_EQ(books.decided(at(60)), Lines{"c1-1 expired"});
  EXPECT_EQ(books.decided(at(100)), Lines{}) << "said once, and nothing is given while it may still run";
  EXPECT_EQ(books.end("c1", 101), Lines{"c2 gets a:0"});
}

TEST(Pool, ExtendsALease) {
  Books books;
  books.up(host("a", 1));
  books.submit(claim_of_project("c1", 1, "p", 60));
  books.happened(Extended{books.lease("c1"), at(90)}, at(30));
  EXPECT_EQ(books.decided(at(60)), Lines{});
  EXPECT_EQ(books.decided(at(90)), Lines{"c1-1 expired"});
}

TEST(Queue, SharesByWeight) {
  Policy policy;
  policy.projects["big"].weight = 3;
  Books books(policy);
  books.up(host("a", 4));
  books.submit(claim_of_project("all", 4, "other"));
  for (int i = 0; i < 8; ++i) {
    books.submit(claim_of_project("b" + std::to_string(i), 1, "big"));
    books.submit(claim_of_project("s" + std::to_string(i), 1, "small"));
  }
  books.end("all");
  std::map<std::string, int64_t> held;
  for (const auto& [project, use] : books.pool.uses()) held[project] = use.held;
  EXPECT_EQ(held["big"], 3 * kWhole);
  EXPECT_EQ(held["small"], 1 * kWhole);
}

TEST(Queue, ForgetsWhatAProjectHadLongAgo) {
  Policy policy;
  policy.half_life = std::chrono::hours(1);
  Books books(policy);
  books.up(host("a", 1));
  books.submit(claim_of_project("a1", 1, "a"), 0);
  books.submit(claim_of_project("a2", 1, "a"), 1);
  books.submit(claim_of_project("b1", 1, "b"), 2);
  EXPECT_EQ(books.end("a1", 3600), Lines{"b1 gets a:0"}) << "a has had an hour, b nothing";
  books.submit(claim_of_project("b2", 1, "b"), 3601);
  EXPECT_EQ(books.order(3601), "a2 b2");
  EXPECT_EQ(books.end("b1", 3600 * 30), Lines{"a2 gets a:0"});
}

TEST(Queue, PutsPriorityFirstWithinAProjectAndNowhereElse) {
  Books books;
  books.up(host("a", 1));
  books.submit(claim_of_project("run", 1, "x"));
  books.submit(claim_of_project("a1", 1, "a"));
  Claim urgent = claim_of_project("a2", 1, "a");
  urgent.priority = 5;
  books.submit(urgent);
  Claim pushy = claim_of_project("b1", 1, "b");
  pushy.priority = 1000;
  books.submit(pushy);
  EXPECT_EQ(books.order(), "a2 b1 a1");
}

TEST(Queue, LetsAProjectBorrowWhatIsIdle) {
  Books books(with_quotas({{"a", 2}, {"b", 2}}));
  books.up(host("h", 4));
  books.submit(claim_of_project("a1", 2, "a"));
  EXPECT_EQ(books.submit(claim_of_project("a2", 2, "a")), Lines{"a2 borrows h:2,3"});
}

TEST(Queue, GivesBackWhatWasBorrowed) {
  Books books(with_quotas({{"a", 2}, {"b", 2}}));
  books.up(host("h", 4));
  books.submit(claim_of_project("a1", 2, "a"));
  books.submit(claim_of_project("a2", 2, "a"));
  EXPECT_EQ(books.submit(claim_of_project("b1", 1, "b"), 10),
            (Lines{"a2-2 taken back for b1",
                   "b1 waits: It is next on h, as soon as what was borrowed there is back, in 30s at the latest."}));
  EXPECT_EQ(books.submit(claim_of_project("a3", 1, "a"), 11).size(), 1u) << "nobody slips in before b1";
  EXPECT_EQ(books.end("a2", 20), (Lines{"b1 gets h:2", "a3 borrows h:3"}));
}

TEST(Queue, TakesBackNothingThatIsWithinItsQuota) {
  Books books(with_quotas({{"a", 4}, {"b", 4}}));
  books.up(host("h", 4));
  books.submit(claim_of_project("a1", 4, "a"));
  EXPECT_EQ(books.submit(claim_of_project("b1", 2, "b")).size(), 1u);
  EXPECT_FALSE(books.pool.leases().begin()->second.ending);
  Books without(with_quotas({{"a", 1}}));
  without.up(host("h", 2));
  without.submit(claim_of_project("a1", 2, "a"));
  EXPECT_EQ(without.submit(claim_of_project("x", 1, "no-quota")).size(), 1u);
  EXPECT_FALSE(without.pool.leases().begin()->second.ending) << "only who has a quota can ask for its own";
}

TEST(Queue, TakesBackTheFewestAndFromItsOwnProjectFirst) {
  Books books(with_quotas({{"a", 0}, {"b", 2}}));
  books.up(host("h", 4));
  books.up(host("i", 2));
  books.submit(claim_of_project("a1", 4, "a"));  // h
  books.submit(claim_of_project("a2", 1, "a"));  // i
  books.submit(claim_of_project("a3", 1, "a"));  // i
  EXPECT_EQ(books.submit(claim_of_project("b1", 1, "b")).at(0), "a2-2 taken back for b1") << "one GPU and not four";
}

TEST(Queue, KeepsWhatFitsTheQuotaLater) {
  Books books(with_quotas({{"a", 2}}));
  books.up(host("h", 4));
  books.submit(claim_of_project("a1", 2, "a"));
  books.submit(claim_of_project("a2", 1, "a"));
  EXPECT_EQ(books.end("a1"), Lines{"a2-2 kept"});
  EXPECT_EQ(books.pool.uses().at("a"), (Use{kWhole, kWhole, books.pool.uses().at("a").average, at(0)}));
}

TEST(Queue, HoldsAProjectWithoutBorrowingToItsQuota) {
  Policy policy = with_quotas({{"a", 2}});
  policy.projects["a"].borrow = false;
  Books books(policy);
  books.up(host("h", 8));
  books.submit(claim_of_project("a1", 2, "a"));
  EXPECT_EQ(
      books.submit(claim_of_project("a2", 1, "a")),
      Lines{"a2 waits: Project a uses 2 GPUs of its quota of 2 GPUs, and this claim is for 1 GPU; it may not borrow."});
  EXPECT_EQ(
      books.submit(claim_of_project("a3", 3, "a")),
      Lines{"a3 refused: Project a has a quota of 2 GPUs and may not borrow; the claim is for 3 GPUs. Ask for fewer."});
  EXPECT_EQ(books.end("a1"), Lines{"a2 gets h:0"});
}

TEST(Queue, CountsPartsOfGpusInQuotas) {
  Policy policy = with_quotas({{"a", 1}});
  policy.projects["a"].borrow = false;
  Books books(policy);
  books.up(host("h", 8));
  Claim half = claim_of_project("a1", 1, "a");
  half.memory = {.thousandths = 500};
  EXPECT_EQ(books.submit(half), Lines{"a1 gets h:0"});
  half.id = "a2";
  EXPECT_EQ(books.submit(half), Lines{"a2 gets h:0"});
  half.id = "a3";
  EXPECT_EQ(books.submit(half).at(0).substr(0, 8), "a3 waits");
}

TEST(Queue, LetsSmallClaimsPassABigOneButNotForEver) {
  for (const int reservations : {0, 8}) {
    Policy policy;
    policy.reservations = reservations;
    Books books(policy);
    books.up(host("h", 4));
    books.up(host("i", 4));
    int64_t now = 0;
    for (int i = 0; i < 8; ++i) books.submit(claim_of_project("s" + std::to_string(i), 1, "p"), now);
    Claim big = claim_of_project("big", 4, "p");
    big.topology = Topology::same_host;
    books.submit(big, ++now);
    bool served = false;
    for (int i = 8; i < 100 && !served; ++i) {  // another comes, and then the oldest that runs ends
      books.submit(claim_of_project("s" + std::to_string(i), 1, "p"), ++now);
      const Lease* oldest = nullptr;
      for (const auto& [id, lease] : books.pool.leases()) {
        if (!oldest || lease.granted < oldest->granted) oldest = &lease;
      }
      const std::string ends = oldest->claim.id;
      books.end(ends, ++now);
      served = books.lease("big") != "no-lease-of-big";
    }
    EXPECT_EQ(served, reservations > 0) << reservations;
  }
}

TEST(Queue, FillsAKeptHostWithThoseWhoLeaveInTime) {
  Policy policy;
  policy.reservations = 1;
  Books books(policy);
  books.up(host("h", 2));
  books.submit(claim_of_project("s1", 1, "p", 1000), 0);
  const Claim big = claim_of_project("big", 2, "p");
  EXPECT_EQ(books.submit(big, 1),
            Lines{"big waits: It is next on h, as soon as what runs there ends, in 16m39s at the latest."});
  EXPECT_EQ(books.submit(claim_of_project("long", 1, "p", 2000), 2).at(0).substr(0, 10), "long waits");
  EXPECT_EQ(books.submit(claim_of_project("endless", 1, "p"), 2).at(0).substr(0, 13), "endless waits");
  EXPECT_EQ(books.submit(claim_of_project("short", 1, "q", 500), 3), Lines{"short gets h:1"});
  EXPECT_EQ(books.end("short", 400), Lines{});
  EXPECT_EQ(books.end("s1", 1000).at(0), "big gets h:0,1");
}

TEST(Queue, KeepsTheQuotaForTheClaimThatWaitsForIt) {
  Books books(with_quotas({{"a", 4}}));
  books.up(host("h", 8));
  for (int i = 0; i < 3; ++i) books.submit(claim_of_project("s" + std::to_string(i), 1, "a"));
  books.submit(claim_of_project("other", 5, "b"));
  books.submit(claim_of_project("big", 4, "a"));
  books.submit(claim_of_project("s3", 1, "a"));
  EXPECT_EQ(books.end("other"), (Lines{"big borrows h:4,5,6,7", "s3 gets h:3"}))
      << "once it has something, the quota is others' again";
}

TEST(Pool, LosesTheLeasesOfAHostThatIsGone) {
  Books books;
  books.up(host("a", 2));
  books.up(host("b", 2));
  books.submit(claim("c1", 4));
  EXPECT_EQ(books.happened(HostGone{"a"}, at(1)), Lines{"c1-1 lost with a"});
  EXPECT_EQ(books.submit(claim("c2", 1)).at(0).substr(0, 8), "c2 waits") << "what is left of c1 on b may still run";
  books.up(host("a", 2));
  EXPECT_EQ(books.order(), "c2");
  EXPECT_EQ(books.end("c1", 2).at(0).substr(0, 7), "c2 gets");
}

TEST(Pool, KeepsLeasesWhenAHostTellsAnewWhatItHas) {
  Books books;
  Host a = host("a", 2);
  books.up(a);
  books.submit(claim("c1", 1));
  a.devices[1].state = Device::State::quarantined;
  EXPECT_EQ(books.up(a), Lines{});
  EXPECT_EQ(books.submit(claim("c2", 1)).at(0).substr(0, 8), "c2 waits");
  a.devices[1].state = Device::State::ready;
  EXPECT_EQ(books.up(a), Lines{"c2 gets a:1"});
  a.devices.erase(a.devices.begin());
  EXPECT_EQ(books.up(a), Lines{"c1-1 lost with a"});
}

TEST(Pool, LetsAClaimWaitAgainWhereItStoodIfItsGrantCouldNotBeKept) {
  Books books;
  books.up(host("a", 1));
  books.submit(claim("c1", 1));
  books.submit(claim("c2", 1));
  EXPECT_EQ(books.happened(NotKept{books.lease("c1")}, at(1)), Lines{"c1 gets a:0"});
}

TEST(Pool, IsRebuiltFromItsContentsAndRefusesWhatCannotBe) {
  Books books;
  books.up(host("a", 2));
  books.submit(claim("c1", 1));
  Contents contents = books.pool.contents();
  ASSERT_TRUE(Pool::rebuild({}, contents));
  Lease twice = contents.leases[0];
  twice.id = "other";
  twice.claim.id = "c9";
  twice.path = Path::passthrough;
  contents.leases.push_back(twice);
  const auto pool = Pool::rebuild({}, contents);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().message,
            "Lease other cannot have device a-gpu0 of host a: lease c1-1 has it. End one of them.");
  contents = books.pool.contents();
  contents.hosts.clear();
  EXPECT_TRUE(Pool::rebuild({}, contents)) << "hosts join one after the other";
}

TEST(Pool, NeverGoesBackInTime) {
  Books books;
  books.up(host("a", 1));
  books.submit(claim_of_project("c1", 1, "p", 60), 1000);
  EXPECT_EQ(books.decided(at(0)), Lines{});
  EXPECT_EQ(books.pool.leases().begin()->second.until, at(1060));
}

}  // namespace
}  // namespace nm::pool
