// A pool that carries out what it decides, for tests, and says what it did in short lines.
#pragma once

#include <string>
#include <vector>

#include "pool/pool.h"
#include "pool/test_pool.h"

namespace nm::pool {

inline std::string text_of(const Action& action) {
  struct Text {
    std::string operator()(const Granted& a) const {
      std::string text = a.lease.claim.id + (a.lease.borrowed ? " borrows" : " gets");
      std::string last;
      for (const Held& held : a.lease.devices) {
        text += (held.host == last ? "," : " " + held.host + ":") + held.device.substr(held.device.find("gpu") + 3);
        last = held.host;
      }
      return text;
    }
    std::string operator()(const Refused& a) const { return a.claim + " refused: " + a.sentence; }
    std::string operator()(const Waits& a) const { return a.claim + " waits: " + a.wait.reason; }
    std::string operator()(const Expired& a) const { return a.lease + " expired"; }
    std::string operator()(const TakenBack& a) const { return a.lease + " taken back for " + a.for_claim; }
    std::string operator()(const Lost& a) const { return a.lease + " lost with " + a.host; }
    std::string operator()(const Kept& a) const { return a.lease + " kept"; }
  };
  return std::visit(Text{}, action);
}

class Books {
 public:
  explicit Books(Policy policy = {}) : pool(std::move(policy)) {}

  using Lines = std::vector<std::string>;

  Lines happened(const Event& event, Time now) {
    const auto done = pool.apply(event, now);
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    return decided(now);
  }
  Lines decided(Time now) {
    Lines lines;
    for (const Action& action : pool.decide(now)) lines.push_back(text_of(action));
    return lines;
  }
  std::string trouble(const Event& event, Time now) {
    const auto done = pool.apply(event, now);
    return done ? "" : done.error().message;
  }
  Lines up(const Host& host) { return happened(HostUp{host}, at(0)); }
  Lines submit(const Claim& claim, int64_t seconds = 0) { return happened(Submitted{claim}, at(seconds)); }
  // By the claim's id.
  Lines end(const std::string& claim, int64_t seconds = 0) { return happened(Ended{lease(claim)}, at(seconds)); }
  std::string lease(const std::string& claim) const {
    for (const auto& [id, lease] : pool.leases()) {
      if (lease.claim.id == claim) return id;
    }
    return "no-lease-of-" + claim;
  }
  std::string order(int64_t seconds = 0) const {  // of those who wait
    std::string text;
    for (const Place& place : pool.queue(at(seconds))) text += (text.empty() ? "" : " ") + place.waiting->claim.id;
    return text;
  }

  Pool pool;
};

inline Claim claim_of_project(const std::string& id, int number, const std::string& project,
                              int64_t limit_seconds = 0) {
  Claim c = claim(id, number);
  c.project = project;
  c.limit = Duration(limit_seconds * 1000);
  return c;
}

inline Policy with_quotas(std::map<std::string, int> gpus) {
  Policy policy;
  for (const auto& [project, quota] : gpus) policy.projects[project].quota = int64_t{quota} * kWhole;
  return policy;
}

}  // namespace nm::pool
