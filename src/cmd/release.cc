// nearmetal release: a GPU that was kept for virtual machines, given back to the host.
#include "cmd/attach_world.h"

namespace nm::cmd {

int release_in(AttachWorld& world, const Args& args) {
  attach::Request request;
  AttachShow show;
  CLI::App app(
      "Gives a GPU that is in no virtual machine any more back to the driver that had it before. It is reset on the "
      "way; one\n"
      "that does not answer afterwards is put into quarantine.\n"
      "Exit status: 0 done, 1 not done, 2 a mistake in the command line.",
      "nearmetal release");
  app.add_option("GPU", request.gpu, "a PCI address (65:00.0), a number from 0, or the beginning of a UUID")
      ->required();
  app.add_flag("--force", request.force, "even if it cannot be reset or does not answer; ends its quarantine");
  app.add_flag("--dry-run", request.dry_run, "print the commands that would do the same; change nothing");
  add_attach_show_flags(app, show);
  app.footer("Example:\n  nearmetal release 65:00.0");
  if (const auto status = parse(app, args)) return *status;
  return show_report(make_manager(world, show).release(request), show, request.dry_run);
}

int release_verb(const Args& args) {
  AttachWorld world = real_world();
  return release_in(world, args);
}

}  // namespace nm::cmd
