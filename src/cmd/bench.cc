// nearmetal bench: what a way to a GPU costs, measured.
#include "cmd/bench.h"

#include <fmt/format.h>

namespace nm::cmd {
namespace {

struct BenchVerb {
  std::string_view name, summary;
  int (*run)(const Args&);
};

constexpr BenchVerb kBenchVerbs[] = {
    {"list", "list the benchmark programs", bench_list_verb},
    {"run", "measure this machine's GPU", bench_run_verb},
    {"compare", "measure two or more ways to a GPU, by turns, and compare them", bench_compare_verb},
    {"report", "compare what was measured before, here or elsewhere", bench_report_verb},
};

void print_help(FILE* to) {
  fmt::print(to, "What a way to a GPU costs, measured.\n\nUsage: nearmetal bench VERB [ARGS...]\n\n");
  for (const BenchVerb& verb : kBenchVerbs) fmt::print(to, "  {:<9}{}\n", verb.name, verb.summary);
  fmt::print(to,
             "\n`nearmetal bench VERB --help` tells more.\n\n"
             "Example:\n"
             "  nearmetal bench compare native 'run --server unix:/tmp/gpu.sock' --html report.html\n");
}

}  // namespace

int bench_verb(const Args& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help(args.empty() ? stderr : stdout);
    return args.empty() ? kUsage : 0;
  }
  for (const BenchVerb& verb : kBenchVerbs) {
    if (verb.name == args[0]) return verb.run({args.begin() + 1, args.end()});
  }
  return fail(fmt::format("`nearmetal bench` has no verb \"{}\": list, run, compare or report.", args[0]), kUsage);
}

}  // namespace nm::cmd
