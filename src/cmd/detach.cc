// nearmetal detach: a GPU, taken out of its virtual machine while it runs.
#include "cmd/attach_world.h"

namespace nm::cmd {

int detach_in(AttachWorld& world, const Args& args) {
  attach::Request request;
  AttachShow show;
  CLI::App app(
      "Takes a GPU out of the virtual machine that has it, and waits until that has let go. The GPU is then kept for "
      "the\n"
      "next machine; nearmetal release, or --release, gives it back to the host.\n"
      "Exit status: 0 done, 1 not done, 2 a mistake in the command line.",
      "nearmetal detach");
  app.add_option("GPU", request.gpu, "a PCI address (65:00.0), a number from 0, or the beginning of a UUID")
      ->required();
  app.add_flag("--release", request.release, "then give it back to the host's driver");
  app.add_flag("--dry-run", request.dry_run, "print the commands that would do the same; change nothing");
  add_attach_show_flags(app, show);
  app.footer("Example:\n  nearmetal detach 65:00.0 --release");
  if (const auto status = parse(app, args)) return *status;
  return show_report(make_manager(world, show).detach(request), show, request.dry_run);
}

int detach_verb(const Args& args) {
  AttachWorld world = real_world();
  return detach_in(world, args);
}

}  // namespace nm::cmd
