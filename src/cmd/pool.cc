// nearmetal pool: many hosts' GPUs as one.
#include "cmd/pool.h"

#include <fmt/format.h>

namespace nm::cmd {
namespace {

struct PoolVerb {
  std::string_view name, summary;
  int (*run)(const Args&);
};

constexpr PoolVerb kPoolVerbs[] = {
    {"simulate", "replay a trace of claims: what a policy makes of the hosts, and what it costs", pool_simulate_verb},
};

void print_help(FILE* to) {
  fmt::print(to, "Many hosts' GPUs as one pool.\n\nUsage: nearmetal pool VERB [ARGS...]\n\n");
  for (const PoolVerb& verb : kPoolVerbs) fmt::print(to, "  {:<9}{}\n", verb.name, verb.summary);
  fmt::print(to,
             "\n`nearmetal pool VERB --help` tells more.\n\n"
             "Example:\n"
             "  nearmetal pool simulate --generate --gpus 256 --claims 2000\n");
}

}  // namespace

int pool_verb(const Args& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help(args.empty() ? stderr : stdout);
    return args.empty() ? kUsage : 0;
  }
  std::string names;
  for (const PoolVerb& verb : kPoolVerbs) {
    if (verb.name == args[0]) return verb.run({args.begin() + 1, args.end()});
    names += (names.empty() ? "" : ", ") + std::string(verb.name);
  }
  return fail(fmt::format("`nearmetal pool` has no verb \"{}\". There is: {}.", args[0], names), kUsage);
}

}  // namespace nm::cmd
