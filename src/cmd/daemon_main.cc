// nearmetald: the server. With --worker, one of its own workers; with --gate, --enrol and --refresh, what it has for
// clients on other hosts (cmd/gate.h); with --probe-driver and --load-driver, its look at the
// machine's driver and at one that was named. These are for its own use.
#include "base/log.h"
#include "base/version.h"
#include "cmd/driver_choice.h"
#include "cmd/gate.h"
#include "cmd/serve_options.h"
#include "server/image_cache.h"
#include "server/worker.h"

namespace nm::cmd {
namespace {

int worker(const Args& args) {
  server::WorkerOptions options;
  bool no_cuda = false;
  CLI::App app("Serves one session. Started by nearmetald.", "nearmetald --worker");
  app.add_option("--control-fd", options.control_fd)->required();
  app.add_option("--driver", options.driver)->required();
  app.add_option("--nvml", options.nvml_driver);
  app.add_option("--page-fd", options.page_fd);
  app.add_flag("--no-cuda", no_cuda);
  app.add_option("--image-cache", options.image_cache);
  app.add_option("--image-cache-bytes", options.image_cache_bytes);
  if (const auto status = parse(app, args)) return *status;
  options.init_cuda = !no_cuda;
  return server::worker_main(options);
}

// The directory, if workers will be able to use it. A server without one serves, it only asks for images again.
std::string usable_image_cache(const ServePlan& plan) {
  if (plan.image_cache_bytes == 0) return "";
  if (plan.image_cache.empty()) {
    log::info("Images are not kept: there is neither XDG_CACHE_HOME nor HOME. --image-cache names a directory.");
    return "";
  }
  if (auto cache = server::ImageCache::open(plan.image_cache, plan.image_cache_bytes); !cache) {
    log::warn(cache.error().message + " Until then images are not kept.");
    return "";
  }
  return plan.image_cache;
}

int serve(const Args& args) {
  ServeSettings settings;
  std::string config_path;
  CLI::App app("Offers this machine's GPUs to programs run with `nearmetal run`. nearmetald is the same program.",
               "nearmetal serve");
  add_serve_flags(app, settings, config_path);
  app.footer(
      "SIGTERM stops it: no new sessions, time for those that run, nothing left behind.\n\n"
      "Example:\n  nearmetal serve --listen unix:/run/nearmetal/nearmetal.sock --group gpu --listen "
      "tcp:127.0.0.1:4000");
  if (const auto status = parse(app, args)) return *status;

  if (!config_path.empty()) {
    const auto file = read_serve_config(config_path);
    if (!file) return fail(file.error().message, kUsage);
    if (const auto valid = plan_serve(*file, config_path); !valid) return fail(valid.error().message, kUsage);
    settings.fill_from(*file);
  }
  auto plan = plan_serve(settings);
  if (!plan) return fail(plan.error().message, kUsage);
  log::set_level(plan->log_level);
  const auto drivers = choose_drivers(plan->driver, plan->nvml, own_tree());
  if (!drivers) return fail(drivers.error().message, kUsage);
  log::info(drivers->because);

  plan->daemon.pool.command = {"nearmetald", "--worker", "--driver", drivers->cuda};
  if (!drivers->nvml.empty()) {
    plan->daemon.pool.command.insert(plan->daemon.pool.command.end(), {"--nvml", drivers->nvml});
  }
  if (const auto cache = usable_image_cache(*plan); !cache.empty()) {
    plan->daemon.pool.command.insert(plan->daemon.pool.command.end(), {"--image-cache", cache, "--image-cache-bytes",
                                                                       std::to_string(plan->image_cache_bytes)});
  }
  if (const auto ready = serve_encrypted(plan->pool, plan->daemon); !ready) return fail(ready.error().message);
  if (const auto served = server::serve(plan->daemon); !served) return fail(served.error().message);
  return 0;
}

}  // namespace
}  // namespace nm::cmd

int main(int argc, char** argv) {
  using namespace nm::cmd;
  const Args args(argv + 1, argv + argc);
  const Args rest(args.begin() + (args.empty() ? 0 : 1), args.end());
  const std::string first = args.empty() ? "" : args[0];
  if (first == "--worker") return worker(rest);
  if (first == "--gate") return gate(rest);
  if (first == "--enrol") return enrol(rest);
  if (first == "--refresh") return refresh(rest);
  if (first == "--probe-driver" && rest.size() == 1) return probe_driver(rest[0]);
  if (first == "--load-driver" && rest.size() == 1) return load_driver(rest[0]);
  if (first == "--version") return version_verb({});
  return serve(args);
}
