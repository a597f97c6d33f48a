// What a pool's owner decides: where claims go, and whose turn it is. Values; docs/decisions/0020 says why the rules
// are these.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "pool/size.h"

namespace nm::pool {

// `pack` breaks into a whole host or a whole GPU only when nothing else fits, and keeps islands whole; `spread` takes
// the emptiest. The textbook's two are for comparison.
enum class Placement { pack, spread, first_fit, best_fit };
// Between projects by weight and use, or everybody in order of arrival.
enum class Order { fair, arrival };

struct ProjectRule {
  int weight = 1;                // its part of the pool, against the others' weights
  std::optional<int64_t> quota;  // thousandths of a GPU that nobody takes back; absent: no bound
  bool borrow = true;            // may have more than its quota while nobody within theirs wants it

  bool operator==(const ProjectRule&) const = default;
};

struct Policy {
  Placement placement = Placement::pack;
  Order order = Order::fair;
  Duration half_life{std::chrono::hours(24)};  // use of so long ago counts half
  // So many claims that find no room have hosts kept for them, which drain until they fit. 0: none, and a claim for
  // whole hosts may wait for ever.
  int reservations = 8;
  bool take_back = true;   // end what was borrowed for a claim that is within its quota
  Duration grace{30'000};  // what is taken back, or lives longer than it may, gets so long to end by itself
  std::map<std::string, ProjectRule> projects;
  ProjectRule others;  // projects without a rule of their own

  const ProjectRule& rule(const std::string& project) const {
    const auto found = projects.find(project);
    return found == projects.end() ? others : found->second;
  }
  bool operator==(const Policy&) const = default;
};

std::string_view word(Placement placement);
Result<Placement> parse_placement(std::string_view name);

}  // namespace nm::pool
