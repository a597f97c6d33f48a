#include "identity/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "identity/files.h"
#include "identity/toml.h"

namespace nm::identity {
namespace {

Result<std::vector<std::string>> strings(const toml::node& node, const std::string& where, const char* key) {
  const Error wrong = {fmt::format("{}{} must be a list of strings, and not an empty one.", at_line(where, node), key)};
  const auto* list = node.as_array();
  std::vector<std::string> out;
  if (!list || list->empty()) return wrong;
  for (const toml::node& element : *list) {
    auto text = element.value_exact<std::string>();
    if (!text || text->empty()) return wrong;
    out.push_back(std::move(*text));
  }
  return out;
}

Result<Rule> parse_rule(const toml::table& table, const std::string& where) {
  const auto keys = check_keys(table, where, "a rule", {"users", "projects", "models", "paths", "max_gpus"});
  if (!keys) return keys.error();
  Rule rule;
  const auto* users = table.get("users");
  if (!users) return Error{fmt::format("{}a rule needs users. [\"*\"] means all.", at_line(where, table))};
  auto names = strings(*users, where, "users");
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (name == "*" || is_member_name(name)) continue;
    return Error{fmt::format("{}\"{}\" is not the name of a user.", at_line(where, *users), name)};
  }
  rule.users = std::move(*names);
  for (const auto& [key, place] :
       {std::pair{"projects", &rule.projects}, {"models", &rule.models}, {"paths", &rule.paths}}) {
    const auto* node = table.get(key);
    if (!node) continue;
    auto list = strings(*node, where, key);
    if (!list) return list.error();
    *place = std::move(*list);
  }
  for (const std::string& path : rule.paths.value_or(std::vector<std::string>{})) {
    if (path == "network" || path == "passthrough" || path == "any") continue;
    return Error{
        fmt::format("{}a path is network, passthrough or any, not \"{}\".", at_line(where, *table.get("paths")), path)};
  }
  if (const auto* most = table.get("max_gpus")) {
    rule.max_gpus = most->value_exact<int64_t>();
    if (!rule.max_gpus || *rule.max_gpus < 0 || *rule.max_gpus > 1'000'000) {
      return Error{fmt::format("{}max_gpus must be a number from 0 to 1000000.", at_line(where, *most))};
    }
  }
  return rule;
}

bool has(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// What `model` names is compared without regard to case: "H200" in the one, "h200" in the other.
bool same_model(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return (x | 32) == (y | 32); });
}

enum class Fits { no, except_number, yes };

Fits fits(const Rule& rule, const Member& peer, const Request& request) {
  if (!has(rule.users, "*") && !has(rule.users, peer.name)) return Fits::no;
  if (rule.projects && !has(*rule.projects, request.project)) return Fits::no;
  if (rule.paths && !has(*rule.paths, "any") && !has(*rule.paths, request.path)) return Fits::no;
  // Any model at all is more than a rule for some of them gives.
  const auto is_it = [&](const std::string& model) { return same_model(model, request.model); };
  if (rule.models && std::none_of(rule.models->begin(), rule.models->end(), is_it)) return Fits::no;
  // Two comparisons, so that no sum can overflow.
  const bool number =
      !rule.max_gpus || (request.held <= *rule.max_gpus && request.gpus <= *rule.max_gpus - request.held);
  return number ? Fits::yes : Fits::except_number;
}

}  // namespace

Result<Policy> parse_policy(const std::string& text, const std::string& where) {
  const auto table = parse_toml(text, where);
  if (!table) return table.error();
  if (const auto keys = check_keys(*table, where, "a policy", {"allow"}); !keys) return keys.error();
  Policy policy = {.open = false, .rules = {}};
  const auto* rules = table->get("allow");
  if (!rules) return policy;
  const auto* list = rules->as_array();
  if (!list || !list->is_homogeneous<toml::table>()) {
    return Error{fmt::format("{}rules are written [[allow]].", at_line(where, *rules))};
  }
  for (const toml::node& node : *list) {
    auto rule = parse_rule(*node.as_table(), where);
    if (!rule) return rule.error();
    policy.rules.push_back(std::move(*rule));
  }
  return policy;
}

Result<Policy> read_policy(const PoolDir& dir) {
  if (!exists(dir.policy())) return Policy{};
  const auto text = read_file(dir.policy(), 1 << 20);
  if (!text) return text.error();
  return parse_policy(*text, dir.policy());
}

Result<void> allowed(const Policy& policy, const Member& peer, const Request& request) {
  if (peer.role != Role::user) {
    return Error{
        fmt::format("{} is a host of the pool, and only users claim GPUs. Use a user's certificate: `nearmetal "
                    "pool invite --user NAME`.",
                    peer.text())};
  }
  if (request.gpus < 1 || request.held < 0) return Error{"A claim is for one GPU or more."};
  if (policy.open) return {};
  std::optional<int64_t> most;
  for (const Rule& rule : policy.rules) {
    switch (fits(rule, peer, request)) {
      case Fits::yes:
        return {};
      case Fits::except_number:
        most = std::max(most.value_or(0), *rule.max_gpus);
        break;
      case Fits::no:
        break;
    }
  }
  if (most) {
    return Error{
        fmt::format("The pool's policy lets {} hold {} GPU(s) of this kind; {} are held, {} more are asked for. "
                    "End a session, or ask whoever keeps the policy.",
                    peer.text(), *most, request.held, request.gpus)};
  }
  return Error{
      fmt::format("The pool's policy has no rule that lets {} have {}{}{} by the path {}. Ask whoever keeps the "
                  "policy.",
                  peer.text(), request.model.empty() ? "a GPU" : request.model,
                  request.project.empty() ? "" : " for the project ", request.project, request.path)};
}

}  // namespace nm::identity
