// nearmetal attach: a GPU of this host, given to a virtual machine while it runs.
#include "cmd/attach_world.h"

namespace nm::cmd {

int attach_in(AttachWorld& world, const Args& args) {
  attach::Request request;
  AttachShow show;
  CLI::App app(
      "Gives a GPU of this host to a virtual machine that runs, or takes it from one machine to another. What it does "
      "is\n"
      "written down first, looked at after each step, and undone if any step fails.\n"
      "Exit status: 0 done, 1 not done, 2 a mistake in the command line.",
      "nearmetal attach");
  app.add_option("GPU", request.gpu, "a PCI address (65:00.0), a number from 0, or the beginning of a UUID")
      ->required();
  app.add_option("--vm", request.guest, "the machine's name, its process's number, or the path of its QMP socket")
      ->required()
      ->type_name("NAME");
  app.add_option("--from", request.from, "take it out of that machine first")->type_name("NAME");
  app.add_flag("--move", request.move, "take it out of whichever machine has it");
  app.add_flag("--persistent", request.persistent, "into the machine's definition too, where it has one");
  app.add_flag("--with-companions", request.wish.companions, "the card's other functions (audio, USB) go along");
  app.add_flag("--stop-holders", request.wish.stop_holders, "stop the services and processes that have it open");
  app.add_flag("--take-display", request.wish.take_display, "even if the host then has no display");
  app.add_flag("--dry-run", request.dry_run, "print the commands that would do the same; change nothing");
  add_attach_show_flags(app, show);
  app.footer("Example:\n  nearmetal attach 65:00.0 --vm train1 --with-companions --dry-run");
  if (const auto status = parse(app, args)) return *status;
  return show_report(make_manager(world, show).attach(request), show, request.dry_run);
}

int attach_verb(const Args& args) {
  AttachWorld world = real_world();
  return attach_in(world, args);
}

}  // namespace nm::cmd
