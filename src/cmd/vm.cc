// nearmetal vm: virtual machines with GPUs.
#include "cmd/vm.h"

#include <fmt/format.h>

namespace nm::cmd {
namespace {

void print_help(FILE* to) {
  fmt::print(to,
             "Virtual machines with GPUs.\n\nUsage: nearmetal vm VERB [ARGS...]\n\n"
             "  run      start a virtual machine with GPUs of this host\n"
             "\n`nearmetal vm VERB --help` tells more.\n\n"
             "Example:\n"
             "  nearmetal vm run --gpu 0 --memory 16G disk.qcow2\n");
}

}  // namespace

int vm_verb(const Args& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help(args.empty() ? stderr : stdout);
    return args.empty() ? kUsage : 0;
  }
  if (args[0] == "run") return vm_run_verb({args.begin() + 1, args.end()});
  return fail(fmt::format("`nearmetal vm` has no verb \"{}\": run.", args[0]), kUsage);
}

}  // namespace nm::cmd
