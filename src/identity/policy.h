// Who may claim what. The file:
//
//   [[allow]]
//   users = ["alice", "bob"]      # or ["*"]; needed
//   projects = ["vision"]         # each of these: left out means any
//   models = ["h200"]
//   paths = ["network"]           # network, passthrough, any
//   max_gpus = 4                  # that such a user may hold together; left out: no limit
//
// One rule that fits is enough. Without a file every user of the pool may claim anything: to be invited is the
// permission. With one, what no rule allows is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "identity/member.h"
#include "identity/pool_dir.h"

namespace nm::identity {

struct Rule {
  std::vector<std::string> users;
  std::optional<std::vector<std::string>> projects, models, paths;
  std::optional<int64_t> max_gpus;
};

struct Policy {
  bool open = true;  // there is no file
  std::vector<Rule> rules;
};

struct Request {
  std::string project;  // empty: none named
  std::string model;    // empty: any
  std::string path = "network";
  int64_t gpus = 1;
  int64_t held = 0;  // that the peer has already
};

Result<Policy> parse_policy(const std::string& text, const std::string& where);
Result<Policy> read_policy(const PoolDir& dir);

// The error is a sentence about why not.
Result<void> allowed(const Policy& policy, const Member& peer, const Request& request);

}  // namespace nm::identity
