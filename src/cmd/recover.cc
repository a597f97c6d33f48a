// nearmetal recover: what an interrupted attach, detach or release left, finished or undone.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cmd/attach_world.h"
#include "cmd/yaml.h"

namespace nm::cmd {

int recover_in(AttachWorld& world, const Args& args) {
  AttachShow show;
  CLI::App app(
      "After a crash, a power cut or a virtual machine's end: undoes each interrupted attach, finishes each "
      "interrupted\n"
      "detach and release, and forgets attachments that are no more. Does nothing where all is well.\n"
      "Exit status: 0 all is well, 1 something is left that could not be done, 2 a mistake in the command line.",
      "nearmetal recover");
  add_attach_show_flags(app, show);
  app.footer("Example:\n  nearmetal recover");
  if (const auto status = parse(app, args)) return *status;
  const auto recovered = make_manager(world, show).recover();
  if (!recovered) return fail(recovered.error().message);
  bool good = true;
  auto list = nlohmann::ordered_json::array();
  for (const attach::Recovery& recovery : *recovered) {
    good &= recovery.good;
    if (show.output == "text") fmt::print(recovery.good ? stdout : stderr, "{}\n", recovery.sentence);
    list.push_back({{"gpu", recovery.gpu.text()}, {"recovered", recovery.good}, {"sentence", recovery.sentence}});
  }
  if (show.output != "text") {
    fmt::print("{}", to_text({{"recoveries", std::move(list)}}, show.output));
  } else if (recovered->empty()) {
    fmt::print("There is nothing to recover.\n");
  }
  return good ? 0 : kFailed;
}

int recover_verb(const Args& args) {
  AttachWorld world = real_world();
  return recover_in(world, args);
}

}  // namespace nm::cmd
