#include "cmd/serve_options.h"

#include <fmt/format.h>

#include <thread>

#include "base/process.h"

namespace nm::cmd {
namespace {

Result<int64_t> within(const char* option, std::optional<int64_t> value, int64_t otherwise, int64_t most) {
  const int64_t number = value.value_or(otherwise);
  if (number >= 0 && number <= most) return number;
  return Error{fmt::format("{} is {}; it must be from 0 to {}.", option, number, most)};
}

Result<log::Level> level_named(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "info") return log::Level::info;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return Error{fmt::format("log level \"{}\" is unknown; there are debug, info, warn and error.", name)};
}

}  // namespace

void add_serve_flags(CLI::App& app, ServeSettings& flags, std::string& config_path) {
  app.add_option("--listen", flags.listen, "unix:PATH or tcp:127.0.0.1:PORT or tcp:[::1]:PORT; may be repeated")
      ->take_all()
      ->expected(1, 64)
      ->allow_extra_args(false)
      ->type_name("ADDRESS");
  app.add_option("--group", flags.group, "let this group use the Unix socket (mode 0660; else 0600)");
  app.add_option("--driver", flags.driver,
                 "the libcuda.so.1 to serve: a path, soft (the software GPU) or auto (the default: the machine's "
                 "driver where one answers, else soft)");
  app.add_option("--nvml", flags.nvml, "the libnvidia-ml.so.1 to serve (default: the driver's)");
  app.add_option("--warm", flags.warm, "workers kept ready for sessions to come (default 2)");
  app.add_option("--max-sessions", flags.max_sessions, "refuse more sessions than this (default 0: no limit)");
  app.add_option("--drain-seconds", flags.drain_seconds, "how long a stop waits for sessions (default 10)");
  app.add_option("--log-level", flags.log_level, "debug, info (the default), warn or error");
  app.add_option("--config", config_path, "TOML file with any of these: listen, group, driver, nvml, warm, ...");
}

Result<ServePlan> plan_serve(const ServeSettings& settings) {
  ServePlan plan = {.driver = settings.driver.value_or("auto"), .nvml = settings.nvml.value_or("")};
  const std::string standard = wire::default_address().text();
  for (const std::string& text : settings.listen.value_or(std::vector<std::string>{standard})) {
    auto address = wire::parse_address(text);
    if (!address) return Error{"--listen: " + address.error().message};
    plan.daemon.listen.push_back(std::move(*address));
  }
  if (plan.daemon.listen.empty()) return Error{"--listen: the list is empty. Name an address or leave it out."};
  const auto warm = within("--warm", settings.warm, 2, 256);
  const auto sessions = within("--max-sessions", settings.max_sessions, 0, 1'000'000);
  const auto drain = within("--drain-seconds", settings.drain_seconds, 10, 86'400);
  for (const auto* number : {&warm, &sessions, &drain}) {
    if (!*number) return number->error();
  }
  const auto level = level_named(settings.log_level.value_or("info"));
  if (!level) return level.error();

  plan.log_level = *level;
  plan.daemon.group = settings.group.value_or("");
  plan.daemon.max_sessions = static_cast<size_t>(*sessions);
  plan.daemon.drain = std::chrono::seconds(*drain);
  plan.daemon.pool.warm = static_cast<size_t>(*warm);
  plan.daemon.pool.max_starting = std::thread::hardware_concurrency() + 2;
  plan.daemon.pool.program = "/proc/self/exe";
  plan.daemon.pool.env = current_environment();
  return plan;
}

}  // namespace nm::cmd
