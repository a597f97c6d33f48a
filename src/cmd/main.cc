// nearmetal: the program as a table of contents.
#include <fmt/format.h>

#include <string_view>

#include "base/version.h"
#include "cmd/verbs.h"

namespace {

struct Verb {
  std::string_view name;
  std::string_view summary;  // empty: not listed
  int (*run)(const nm::cmd::Args&);
};

constexpr Verb kVerbs[] = {
    {"run", "run a program, unmodified, with a server's GPUs", nm::cmd::run_verb},
    {"gpus", "list the GPUs that a server offers, or this host's own", nm::cmd::gpus_verb},
    {"doctor", "tell whether this host can hand a GPU to a virtual machine", nm::cmd::doctor_verb},
    {"attach", "give a GPU of this host to a virtual machine that runs", nm::cmd::attach_verb},
    {"detach", "take a GPU out of its virtual machine", nm::cmd::detach_verb},
    {"release", "give a GPU that was kept for virtual machines back to the host", nm::cmd::release_verb},
    {"recover", "finish or undo what a crash interrupted", nm::cmd::recover_verb},
    {"status", "show which GPUs are in virtual machines, and what is unfinished", nm::cmd::status_verb},
    {"vm", "start virtual machines with GPUs", nm::cmd::vm_verb},
    {"top", "show a server's sessions and what they do", nm::cmd::top_verb},
    {"bench", "measure what a way to a GPU costs", nm::cmd::bench_verb},
    {"pool", "many hosts as one: make a pool, invite, join, revoke, simulate", nm::cmd::pool_verb},
    {"serve", "offer this machine's GPUs", nm::cmd::serve_verb},
    {"version", "print the release", nm::cmd::version_verb},
    {"__gpus-probe", "", nm::cmd::gpus_probe_verb},
    {"__courier", "", nm::cmd::courier_verb},
};

void print_help(FILE* to) {
  fmt::print(to, "nearmetal {}: GPUs for programs on machines that have none.\n\nUsage: nearmetal VERB [ARGS...]\n\n",
             nm::kVersion);
  for (const Verb& verb : kVerbs) {
    if (!verb.summary.empty()) fmt::print(to, "  {:<9}{}\n", verb.name, verb.summary);
  }
  fmt::print(to,
             "\n`nearmetal VERB --help` tells more.\n\n"
             "Example:\n"
             "  nearmetal serve --listen unix:/tmp/gpu.sock &\n"
             "  nearmetal run --server unix:/tmp/gpu.sock -- ./my_cuda_program\n");
}

}  // namespace

int main(int argc, char** argv) {
  const nm::cmd::Args args(argv + 1, argv + argc);
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help(args.empty() ? stderr : stdout);
    return args.empty() ? 2 : 0;
  }
  if (args[0] == "--version") return nm::cmd::version_verb({});
  for (const Verb& verb : kVerbs) {
    if (verb.name == args[0]) return verb.run({args.begin() + 1, args.end()});
  }
  fmt::print(stderr, "nearmetal: there is no verb \"{}\". `nearmetal --help` lists them.\n", args[0]);
  return 2;
}
