// Where claims go: each test is a rule of the house.
#include "pool/place.h"

#include "pool/test_pool.h"

namespace nm::pool {
namespace {

const Policy kPack;
Policy by(Placement placement) { return Policy{.placement = placement}; }

// "a:0,1 b:3", or why not
std::string placed(const Snapshot& snapshot, const Claim& claim, const Policy& policy = kPack) {
  const Answer answer = place(snapshot, claim, policy);
  if (const auto* wait = std::get_if<Wait>(&answer)) return "wait: " + wait->reason;
  if (const auto* refuse = std::get_if<Refuse>(&answer)) return "refuse: " + refuse->sentence;
  std::string text, last;
  for (const Held& held : std::get<Grant>(answer).devices) {
    text += (held.host == last ? "," : (last.empty() ? "" : " ") + held.host + ":") +
            held.device.substr(held.device.find("gpu") + 3);
    last = held.host;
  }
  return text;
}

Host partly(const std::string& id, int gpus, int taken, const Of& of = {}) {
  Host h = host(id, gpus, of);
  for (int i = 0; i < taken; ++i) take(h, static_cast<size_t>(i));
  return h;
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Place, PrefersTheClientsOwnHost) {
  Claim one = claim("c", 1);
  const Snapshot snapshot = {partly("a", 8, 7), host("b", 8)};
  EXPECT_EQ(placed(snapshot, one), "a:7");
  one.client_host = "b";
  EXPECT_EQ(placed(snapshot, one), "b:0") << "though that breaks into a whole host";
  one.client_host = "a";
  one.number = 2;
  EXPECT_EQ(placed(snapshot, one), "b:0,1") << "own host has no room";
  one.client_host = "nobody-knows";
  EXPECT_EQ(placed(snapshot, one), "b:0,1");
}

TEST(Place, KeepsWholeHostsFreeForBigClaims) {
  const Snapshot snapshot = {host("a", 8), partly("b", 8, 1), partly("c", 8, 5), host("d", 2)};
  EXPECT_EQ(placed(snapshot, claim("c", 1)), "c:5") << "the fullest host that has room";
  EXPECT_EQ(placed(snapshot, claim("c", 4)), "b:4,5,6,7") << "of two nodes, the one that fits";
  EXPECT_EQ(placed(snapshot, claim("c", 8)), "a:0,1,2,3,4,5,6,7");
  EXPECT_EQ(placed({host("a", 8), host("d", 2)}, claim("c", 1)), "d:0") << "the smallest whole host";
}

TEST(Place, SpreadsWhereTheOwnerWantsIt) {
  const Snapshot snapshot = {partly("a", 4, 2), partly("b", 4, 1), host("c", 4)};
  EXPECT_EQ(placed(snapshot, claim("c", 1), by(Placement::spread)), "c:0");
  EXPECT_EQ(placed(snapshot, claim("c", 1), by(Placement::first_fit)), "a:2");
  EXPECT_EQ(placed({host("x", 1), partly("y", 4, 2)}, claim("c", 1), by(Placement::best_fit)), "x:0");
}

TEST(Place, LeavesTheBigModelsToThoseWhoNeedThem) {
  const Snapshot snapshot = {host("a", 2), host("b", 2, {.model = "NVIDIA L4", .memory = 24 * 1024})};
  Claim any = claim("c", 1);
  EXPECT_EQ(placed(snapshot, any), "b:0");
  any.memory = {.mib = 80 * 1024};
  EXPECT_EQ(placed(snapshot, any), "a:0");
  EXPECT_EQ(placed(snapshot, claim("c", 1, "h200")), "a:0");
  EXPECT_TRUE(says(placed(snapshot, claim("c", 3)), "refuse: 3 × GPU is more than the pool has: 2 in all"))
      << "one claim is of one model";
}

TEST(Place, KeepsToAnIslandWhereNvlinkIsWished) {
  Host h = host("a", 8, {.per_island = 4});
  take(h, 0);
  take(h, 4);
  Claim four = claim("c", 4);
  EXPECT_EQ(placed({h}, four).substr(0, 2), "a:") << "any four will do";
  four.topology = Topology::nvlink;
  EXPECT_TRUE(
      says(placed({h}, four), "wait: There is no room for 4 × GPU connected by NVLink: one host can give 3 GPUs now"));
  four.number = 3;
  EXPECT_EQ(placed({h}, four), "a:1,2,3");
  EXPECT_EQ(placed({host("b", 4, {.per_island = -1})}, four).substr(0, 8), "refuse: ") << "no links at all";
  four.topology = Topology::same_numa;
  EXPECT_EQ(placed({host("b", 4, {.per_numa = 2, .per_island = -1})}, four).substr(0, 8), "refuse: ");
}

TEST(Place, TakesTheSmallestIslandThatSuffices) {
  Host h = host("a", 8, {.per_island = 4});
  take(h, 0);
  take(h, 1);
  EXPECT_EQ(placed({h}, claim("c", 2)), "a:2,3") << "the whole island stays whole";
  EXPECT_EQ(placed({h}, claim("c", 3)), "a:4,5,6");
  EXPECT_EQ(placed({h}, claim("c", 5)), "a:2,4,5,6,7") << "the largest island and what else it takes";
}

TEST(Place, SpansHostsOnlyWhereNoneHasRoomAndTheClaimAllows) {
  const Snapshot snapshot = {host("a", 4), host("b", 4), partly("c", 4, 1)};
  Claim six = claim("x", 6);
  EXPECT_EQ(placed(snapshot, six), "a:0,1,2,3 c:1,2") << "the rest comes from the host in use";
  EXPECT_EQ(placed(snapshot, claim("x", 11)), "a:0,1,2,3 b:0,1,2,3 c:1,2,3");
  six.topology = Topology::same_host;
  EXPECT_TRUE(says(placed(snapshot, six), "refuse: 6 × GPU on one host is more than the pool has: 4 is the most"));
  EXPECT_TRUE(says(placed({partly("a", 4, 2), partly("b", 4, 3)}, claim("x", 4)), "all together 3 GPUs"));
}

TEST(Place, PutsPartsOfGpusWherePartsAreTakenAlready) {
  Host a = host("a", 2), b = host("b", 2);
  take(a, 1, 250);
  take(b, 0, 500);
  Claim half = claim("c", 1);
  half.share = 500;
  EXPECT_EQ(placed({a, b}, half), "b:0") << "what fits exactly";
  half.share = 600;
  EXPECT_EQ(placed({a, b}, half), "a:1");
  half.share = 800;
  EXPECT_EQ(placed({a, b}, half), "a:0") << "an idle GPU of a host in use";
  half.share = 500;
  EXPECT_EQ(placed({a, b}, half, by(Placement::spread)), "a:0");
  half.number = 3;
  EXPECT_EQ(placed({a, b}, half), "b:0,1 a:1");
}

TEST(Place, CountsMemoryAndComputeApart) {
  Host a = host("a", 1);
  a.devices[0].held = Path::network;
  a.devices[0].share_left = 100;  // much memory, little compute
  Claim little = claim("c", 1);
  little.memory = {.mib = 100 * 1024};
  little.share = 100;
  EXPECT_EQ(placed({a}, little), "a:0");
  little.share = 101;
  EXPECT_TRUE(says(placed({a}, little), "wait: No GPU has room"));
}

TEST(Place, NeverSharesAGpuThatIsPassedThrough) {
  Host a = host("a", 1);
  take(a, 0, kWhole, Path::passthrough);
  a.devices[0].share_left = 500;  // whoever says so
  a.devices[0].memory_left = a.devices[0].memory;
  Claim half = claim("c", 1);
  half.share = 500;
  EXPECT_EQ(placed({a}, half).substr(0, 5), "wait:");
  Claim whole = claim("c", 1);
  whole.path = Path::passthrough;
  Host b = host("b", 1);
  take(b, 0, 1);
  EXPECT_EQ(placed({b}, whole).substr(0, 5), "wait:") << "somebody has a thousandth of it over the network";
  EXPECT_EQ(placed({host("d", 1, {.passthrough = false})}, whole),
            "refuse: No host hands over GPU by passthrough. Leave the path out, or ask for another model.");
  EXPECT_EQ(placed({host("d", 1, {.network = false})}, half).substr(0, 7), "refuse:");
  const Answer any = place({host("d", 1, {.network = false})}, claim("c", 1), kPack);
  EXPECT_EQ(std::get<Grant>(any).way, Path::passthrough);
}

TEST(Place, GivesNothingThatIsQuarantinedAttachedLostOrDraining) {
  for (const auto state : {Device::State::quarantined, Device::State::attached, Device::State::lost}) {
    Host a = host("a", 1);
    a.devices[0].state = state;
    EXPECT_EQ(placed({a}, claim("c", 1)).substr(0, 5), "wait:") << word(state);
  }
  Host a = host("a", 1);
  a.draining = true;
  EXPECT_EQ(placed({a}, claim("c", 1)).substr(0, 5), "wait:");
}

TEST(Place, KeepsToHostsWithTheLabels) {
  Host a = host("a", 2), b = host("b", 2);
  b.labels = {{"zone", "2"}, {"rack", "7"}};
  Claim labelled = claim("c", 1);
  labelled.labels = {{"zone", "2"}};
  EXPECT_EQ(placed({a, b}, labelled), "b:0");
  labelled.client_host = "a";
  EXPECT_EQ(placed({a, b}, labelled), "b:0") << "own host, wrong zone";
  EXPECT_EQ(placed({a, b}, claim("c", 4)), "a:0,1 b:0,1") << "without labels, both";
  labelled.labels["zone"] = "3";
  EXPECT_EQ(placed({a, b}, labelled), "refuse: No host with GPU has the labels zone=3. Ask for fewer of them.");
}

TEST(Place, SaysWhichModelsAreNearest) {
  const Snapshot snapshot = {host("a", 1), host("b", 1, {.model = "NVIDIA L4", .memory = 24 * 1024})};
  EXPECT_EQ(placed(snapshot, claim("c", 1, "h201")),
            "refuse: No host of the pool has a GPU of model \"h201\". The nearest are: NVIDIA H200.");
  EXPECT_EQ(placed(snapshot, claim("c", 1, "voodoo")),
            "refuse: No host of the pool has a GPU of model \"voodoo\". There are: NVIDIA H200, NVIDIA L4.");
  Claim much = claim("c", 1, "l4");
  much.memory = {.mib = 80 * 1024};
  EXPECT_EQ(placed(snapshot, much), "refuse: No l4 of the pool has 80G of memory: 24G is the most. Ask for less.");
  EXPECT_EQ(placed({}, claim("c", 1)), "wait: No host has joined the pool yet.");
}

TEST(Place, SaysWhatIsMissing) {
  const Answer answer = place({partly("a", 8, 2), partly("b", 8, 7)}, claim("c", 8, "h200"), kPack);
  EXPECT_EQ(std::get<Wait>(answer),
            (Wait{"There is no room for 8 × h200: one host can give 6 GPUs now, all together 7 GPUs.", {8, 6, 7}}));
}

}  // namespace
}  // namespace nm::pool
