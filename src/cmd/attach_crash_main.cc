// For tests: the verbs of attaching, in a process that ends when it is told to.
//
//   nm_attach_crash VERB [ARGS...]
//
// NM_DIE_AT=N: SIGKILL at the Nth moment of the Executor (from 1): after the journal was written, before and after each
// step. NM_FAKE_ROOT=DIRECTORY: not this machine, but the one whose files lie there, with a kernel of files.
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>

#include "attach/fake_kernel.h"
#include "attach/qmp_backend.h"
#include "base/number.h"
#include "cmd/attach_world.h"

namespace {

nm::cmd::AttachWorld world() {
  const char* root = ::getenv("NM_FAKE_ROOT");
  if (!root) return nm::cmd::real_world();
  nm::cmd::AttachWorld world{.system = std::make_unique<nm::attach::FakeKernel>(root)};
  world.backends.push_back(std::make_unique<nm::attach::QmpBackend>(world.system->host()));
  return world;
}

}  // namespace

int main(int argc, char** argv) {
  nm::cmd::AttachWorld here = world();
  const char* at = ::getenv("NM_DIE_AT");
  int left = at ? nm::number_or<int>(at, 0) : 0;
  here.watcher = [&left](const nm::attach::Moment&) {
    if (left > 0 && --left == 0) ::raise(SIGKILL);
  };
  const std::string verb = argc > 1 ? argv[1] : "";
  const nm::cmd::Args args(argv + (argc > 1 ? 2 : 1), argv + argc);
  if (verb == "attach") return nm::cmd::attach_in(here, args);
  if (verb == "detach") return nm::cmd::detach_in(here, args);
  if (verb == "release") return nm::cmd::release_in(here, args);
  if (verb == "recover") return nm::cmd::recover_in(here, args);
  if (verb == "status") return nm::cmd::status_in(here, args);
  fmt::print(stderr, "usage: nm_attach_crash attach|detach|release|recover|status [ARGS...]\n");
  return 2;
}
