#include "pool/policy.h"

#include <fmt/format.h>

namespace nm::pool {
namespace {

struct Name {
  Placement placement;
  std::string_view name;
};
constexpr Name kNames[] = {{Placement::pack, "pack"},
                           {Placement::spread, "spread"},
                           {Placement::first_fit, "first-fit"},
                           {Placement::best_fit, "best-fit"}};

}  // namespace

std::string_view word(Placement placement) {
  for (const Name& name : kNames) {
    if (name.placement == placement) return name.name;
  }
  return "?";
}

Result<Placement> parse_placement(std::string_view text) {
  for (const Name& name : kNames) {
    if (name.name == text) return name.placement;
  }
  return Error{fmt::format("There is no policy \"{}\": pack, spread, first-fit or best-fit.", text)};
}

}  // namespace nm::pool
