#include "cmd/attach_world.h"

#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "attach/launch.h"
#include "attach/libvirt.h"
#include "attach/qmp_backend.h"
#include "cmd/yaml.h"
#include "guest/run_place.h"

namespace nm::cmd {
namespace {

using attach::Moment;

void show_progress(const Moment& moment) {
  if (moment.what == Moment::What::starting) {
    fmt::print(stderr, "[{}/{}] {}\n", moment.step + 1, moment.steps, moment.title);
  } else if (moment.what == Moment::What::undoing) {
    fmt::print(stderr, "[{}/{}] going back: {}\n", moment.step + 1, moment.steps, moment.title);
  }
}

}  // namespace

AttachWorld real_world() {
  AttachWorld world{.system = std::make_unique<attach::RealSystem>()};
  world.backends.push_back(std::make_unique<attach::QmpBackend>(world.system->host()));
  const char* uri = ::getenv("LIBVIRT_DEFAULT_URI");  // as virsh has it
  world.backends.push_back(
      std::make_unique<attach::LibvirtBackend>(*world.system, uri && *uri ? uri : "qemu:///system"));
  world.backends.push_back(std::make_unique<attach::LaunchBackend>(guest::runs));
  return world;
}

void add_attach_show_flags(CLI::App& app, AttachShow& show) {
  app.add_option("--timeout", show.timeout, "seconds that the guest may take to answer (60), and the kernel (10)")
      ->check(CLI::Range(0.1, 86400.0))
      ->type_name("SECONDS");
  app.add_option("-o,--output", show.output, "text (the default), json or yaml")
      ->check(CLI::IsMember({"text", "json", "yaml"}))
      ->type_name("FORMAT");
}

attach::Manager make_manager(AttachWorld& world, const AttachShow& show) {
  // A file that may grow no further is to be an error, not our end.
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  attach::heed_interrupts();
  attach::Context context{.system = *world.system};
  if (show.timeout > 0) context.kernel = context.guest = Millis(static_cast<int64_t>(show.timeout * 1000));
  const bool quiet = show.output != "text";
  const attach::Watcher more = world.watcher;
  return attach::Manager(context, attach::state_directory(), world.list(),
                         {.watcher =
                              [quiet, more](const Moment& moment) {
                                if (!quiet) show_progress(moment);
                                if (more) more(moment);
                              },
                          .say = [](const std::string& sentence) { fmt::print(stderr, "nearmetal: {}\n", sentence); }});
}

int show_report(const Result<attach::Report>& report, const AttachShow& show, bool dry_run) {
  if (!report) return fail(report.error().message);
  if (show.output != "text") {
    auto functions = nlohmann::ordered_json::array();
    std::string guest, backend;
    if (report->now) {
      for (const auto& address : report->now->functions) functions.push_back(address.text());
      guest = report->now->guest;
      backend = report->now->backend;
    }
    const auto or_null = [](const std::string& text) {
      return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
    };
    const nlohmann::ordered_json json = {{"gpu", report->gpu.text()},
                                         {"dry_run", dry_run},
                                         {"state", !report->now    ? "host"
                                                   : guest.empty() ? "kept"
                                                                   : "attached"},
                                         {"guest", or_null(guest)},
                                         {"backend", or_null(backend)},
                                         {"functions", std::move(functions)},
                                         {"notes", report->notes},
                                         {"commands", report->script}};
    fmt::print("{}", to_text(json, show.output));
    return 0;
  }
  if (dry_run) {
    for (const std::string& note : report->notes) fmt::print("# Note: {}\n", note);
    for (const std::string& line : report->script) fmt::print("{}\n", line);
    return 0;
  }
  for (const std::string& note : report->notes) fmt::print(stderr, "nearmetal: {}\n", note);
  fmt::print("{}\n", report->sentence);
  return 0;
}

}  // namespace nm::cmd
