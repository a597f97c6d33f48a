// What claims, hosts and leases look like in text, and what is refused.
#include "pool/lease.h"
#include "pool/model_name.h"
#include "pool/test_pool.h"

namespace nm::pool {
namespace {

std::string trouble(const std::string& json) {
  const auto claim = parse_claim(json);
  return claim ? "" : claim.error().message;
}

TEST(Size, MemoryIsAnAmountOrAPart) {
  EXPECT_EQ(*parse_memory("40G"), (Memory{.mib = 40960}));
  EXPECT_EQ(*parse_memory("1.5GiB"), (Memory{.mib = 1536}));
  EXPECT_EQ(*parse_memory("512M"), (Memory{.mib = 512}));
  EXPECT_EQ(*parse_memory("0.5"), (Memory{.thousandths = 500}));
  EXPECT_EQ(*parse_memory("25%"), (Memory{.thousandths = 250}));
  EXPECT_EQ(*parse_memory("1"), (Memory{.thousandths = 1000}));
  for (const char* wrong :
       {"", "0", "40", "-1", "1.0001", "G", "40 G", "40GB", "0.5G.", "1.", "99999999999999999999G", "1e3G", "2000T"}) {
    const auto memory = parse_memory(wrong);
    ASSERT_FALSE(memory) << wrong;
    EXPECT_NE(memory.error().message.find("write 40G"), std::string::npos) << memory.error().message;
  }
  for (const char* text : {"40G", "511M", "0.5", "0.125", "1"}) EXPECT_EQ(print(*parse_memory(text)), text);
}

TEST(Size, TimesAreReadAndPrinted) {
  EXPECT_EQ(*parse_duration("1h30m"), Duration(5'400'000));
  for (const char* text : {"45s", "12m", "12m30s", "4h", "1h05m", "2d", "2d05h"})
    EXPECT_EQ(print(*parse_duration(text)), text);
  for (const char* wrong : {"", "0s", "h", "4", "4x", "-4h", "99999999d", "4294967295d4294967295d"})
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(ModelName, IsWhatPeopleSay) {
  EXPECT_TRUE(names_model("h200", "NVIDIA H200"));
  EXPECT_TRUE(names_model("", "NVIDIA H200"));
  EXPECT_TRUE(names_model("A100 80GB", "NVIDIA A100-SXM4-80GB"));
  EXPECT_TRUE(names_model("rtx4090", "NVIDIA GeForce RTX 4090"));
  EXPECT_TRUE(names_model("rtx 4090", "NVIDIA GeForce RTX 4090"));
  EXPECT_FALSE(names_model("h20", "NVIDIA H200"));
  EXPECT_FALSE(names_model("rtx 409", "NVIDIA GeForce RTX 4090"));
  EXPECT_FALSE(names_model("--", "NVIDIA H200"));
}

TEST(ModelName, OffersTheNearest) {
  const std::vector<std::string> known = {"NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3", "NVIDIA H200",
                                          "NVIDIA L40S"};
  EXPECT_EQ(nearest_models("h201", known).front(), "NVIDIA H200");
  EXPECT_EQ(nearest_models("A10O", known).front(), "NVIDIA A100-SXM4-80GB");
  EXPECT_TRUE(nearest_models("warp drive", known).empty());
}

TEST(Claim, TravelsAsJson) {
  Claim claim{.id = "c-1", .number = 2, .model = "h200", .memory = {.mib = 40960}, .share = 250};
  claim.path = Path::network;
  claim.topology = Topology::nvlink;
  claim.limit = Duration(3'600'000);
  claim.project = "vision";
  claim.priority = -3;
  claim.user = "jürgen";
  claim.client_host = "hgx-1";
  claim.labels = {{"zone", "a"}};
  const auto back = parse_claim(to_json(claim));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, claim);
  EXPECT_EQ(*parse_claim(R"({"id": "x"})"), (Claim{.id = "x"}));
}

TEST(Claim, RefusesWhatItDoesNotKnowByName) {
  EXPECT_EQ(trouble(R"({"id": "x", "numbr": 2})").substr(0, 40), "The claim has an unknown key \"numbr\". Th");
  EXPECT_EQ(trouble(R"({})"), "The claim's \"id\" is missing.");
  EXPECT_EQ(trouble(R"([])"), "The claim must be a JSON object.");
  EXPECT_EQ(trouble(R"({"id")"), "The claim is no JSON. Check for a missing quote or brace.");
  EXPECT_EQ(trouble(R"({"id": 3})"), "The claim's \"id\" must be a string.");
  EXPECT_EQ(trouble(R"({"id": "x", "number": 0})"), "The claim's \"number\" must be a whole number from 1 to 65536.");
  EXPECT_EQ(trouble(R"({"id": "x", "number": 18446744073709551615})"),
            "The claim's \"number\" must be a whole number from 1 to 65536.");
  EXPECT_EQ(trouble(R"({"id": "x", "number": 1.5})"), "The claim's \"number\" must be a whole number from 1 to 65536.");
  EXPECT_EQ(trouble(R"({"id": "x", "path": "pigeon"})"),
            "The claim's \"path\" is \"pigeon\"; it must be one of any, network, passthrough.");
  EXPECT_NE(trouble(R"({"id": "x", "memory": "40"})").find("write 40G or 512M"), std::string::npos);
  EXPECT_NE(trouble("{\"id\": \"a\\u0007\"}").find("control characters"), std::string::npos);
  EXPECT_NE(trouble(R"({"id": "a b"})").find("must have an id"), std::string::npos);
  EXPECT_NE(trouble(R"({"id": "x", "path": "passthrough", "share": "0.5"})").find("hands over whole ones"),
            std::string::npos);
  EXPECT_NE(trouble("{\"id\": \"" + std::string(70'000, 'x') + "\"}").find("is the most"), std::string::npos);
  EXPECT_NE(trouble(std::string(60'000, '[')), "");
  EXPECT_NE(trouble("{\"id\": \"\xff\xfe\"}"), "");
}

TEST(Claim, OfMemoryAndShareTheOneNotSaidFollowsTheOther) {
  Claim claim{.id = "c"};
  EXPECT_EQ(need_on(claim, 1000, Path::network), (Need{1000, 1000, true}));
  claim.memory = {.thousandths = 500};
  EXPECT_EQ(need_on(claim, 1001, Path::network), (Need{500, 500, false})) << "two halves must fit";
  claim.memory = {.mib = 333};
  EXPECT_EQ(need_on(claim, 1000, Path::network), (Need{333, 333, false}));
  claim.share = 100;
  EXPECT_EQ(need_on(claim, 1000, Path::network), (Need{333, 100, false}));
  EXPECT_EQ(need_on(claim, 1000, Path::network).charge(1000), 333) << "the scarcer of the two counts";
  claim.memory = {};
  EXPECT_EQ(need_on(claim, 1000, Path::network), (Need{100, 100, false}));
  EXPECT_EQ(need_on(claim, 1000, Path::passthrough), (Need{1000, 1000, true})) << "handed over whole";
}

TEST(Host, TravelsAsJsonAndIsChecked) {
  Host h = host("hgx-1", 2);
  take(h, 1, 250);
  h.labels["zone"] = "a";
  h.draining = true;
  h.devices[0].state = Device::State::quarantined;
  const auto back = parse_host(to_json(h));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, h);
  const auto said = [](const std::string& json) { return parse_host(json).error().message; };
  EXPECT_EQ(said(R"({"id": "h"})"), "The host's \"devices\" is missing.");
  EXPECT_EQ(said(R"({"id": "h", "devices": [{"id": "g", "model": "X", "memory_mib": 0}]})"),
            "The device's \"memory_mib\" must be a whole number from 1 to 1073741824.");
  EXPECT_EQ(
      said(R"({"id": "h", "devices": [{"id":"g","model":"X","memory_mib":9},{"id":"g","model":"X","memory_mib":9}]})"),
      "Host \"h\" has device g twice.");
  EXPECT_EQ(said(R"({"id": "h", "devices": [{"id":"g","model":"X","memory_mib":9,"memory_left_mib":10}]})"),
            "Host \"h\" has device g with more memory or compute left than it has.");
}

TEST(Lease, TravelsAsJsonAndIsChecked) {
  Lease lease{.id = "l",
              .claim = claim("c", 2),
              .path = Path::passthrough,
              .devices = {{"a", "0", 10, 1000}, {"b", "0", 10, 1000}}};
  lease.charge = 2000;
  lease.granted = at(1);
  lease.until = at(2);
  lease.borrowed = lease.ending = true;
  const auto back = parse_lease(to_json(lease));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, lease);
  lease.until = kNever;
  EXPECT_EQ(*parse_lease(to_json(lease)), lease);
  lease.devices[1] = lease.devices[0];
  EXPECT_EQ(parse_lease(to_json(lease)).error().message, "Lease \"l\" has device 0 of a twice.");
  lease.devices.clear();
  EXPECT_EQ(parse_lease(to_json(lease)).error().message, "Lease \"l\" has no device.");
}

}  // namespace
}  // namespace nm::pool
