#include "cmd/serve_options.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <thread>

#include "base/process.h"

namespace nm::cmd {
namespace {

Result<int64_t> within(const std::string& option, std::optional<int64_t> value, int64_t otherwise, int64_t most) {
  const int64_t number = value.value_or(otherwise);
  if (number >= 0 && number <= most) return number;
  return Error{fmt::format("{} is {}; it must be from 0 to {}.", option, number, most)};
}

Result<log::Level> level_named(const std::string& option, const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "info") return log::Level::info;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return Error{fmt::format("{} is \"{}\"; it must be debug, info, warn or error.", option, name)};
}

// What the library says of a text that is no number does not say what would be one.
CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& text) {
        const size_t sign = text.starts_with("-") ? 1 : 0;
        const bool digits = text.size() > sign && text.find_first_not_of("0123456789", sign) == text.npos;
        return digits && text.size() <= 18 ? "" : fmt::format("\"{}\" is not a whole number of use here.", text);
      },
      "");
}

// Of systemd's making, else the user's; empty: this process has neither.
std::string standard_image_cache() {
  const auto absolute = [](const char* name) -> std::string {
    const char* value = ::getenv(name);
    return value && value[0] == '/' ? value : "";
  };
  if (const std::string given = absolute("CACHE_DIRECTORY"); !given.empty())
    return given.substr(0, given.find(':')) + "/images";
  if (const std::string cache = absolute("XDG_CACHE_HOME"); !cache.empty()) return cache + "/nearmetal/images";
  if (const std::string home = absolute("HOME"); !home.empty()) return home + "/.cache/nearmetal/images";
  return "";
}

}  // namespace

void add_serve_flags(CLI::App& app, ServeSettings& flags, std::string& config_path) {
  app.add_option("--listen", flags.listen,
                 "unix:PATH, tcp:127.0.0.1:PORT, or for members of the pool tls:0.0.0.0:PORT; may be repeated")
      ->take_all()
      ->expected(1, 64)
      ->allow_extra_args(false)
      ->type_name("ADDRESS");
  app.add_option("--group", flags.group, "let this group use the Unix socket (mode 0660; else 0600)")
      ->type_name("NAME");
  app.add_option("--driver", flags.driver,
                 "the libcuda.so.1 to serve: a path, soft (the software GPU) or auto (the default: the machine's "
                 "driver where one answers, else soft)")
      ->type_name("DRIVER");
  app.add_option("--nvml", flags.nvml, "the libnvidia-ml.so.1 to serve (default: the driver's)")->type_name("PATH");
  const auto number = [&app](const char* name, std::optional<int64_t>& place, const char* help) {
    app.add_option(name, place, help)->check(whole_number())->type_name("NUMBER");
  };
  number("--warm", flags.warm, "workers kept ready for sessions to come (default 2)");
  number("--max-sessions", flags.max_sessions, "refuse more sessions than this (default 0: no limit)");
  number("--drain-seconds", flags.drain_seconds, "how long a stop waits for sessions (default 10)");
  app.add_option("--image-cache", flags.image_cache,
                 "where kernel images that came over TCP are kept for programs to come (default: nearmetal/images in "
                 "XDG_CACHE_HOME or ~/.cache)")
      ->type_name("DIR");
  number("--image-cache-size", flags.image_cache_size, "MiB that they may take together (default 1024; 0: keep none)");
  app.add_option("--pool", flags.pool,
                 "this host's certificate and its pool, for tls: addresses (default: as `nearmetal pool init` has it)")
      ->type_name("DIR");
  app.add_option("--log-level", flags.log_level, "debug, info (the default), warn or error")->type_name("LEVEL");
  app.add_option("--config", config_path,
                 "TOML file that may set listen, group, driver, nvml, warm, max_sessions, drain_seconds, image_cache, "
                 "image_cache_size, pool and log_level; a flag wins over its key")
      ->type_name("FILE");
}

Result<ServePlan> plan_serve(const ServeSettings& settings, const std::string& file) {
  // "--drain-seconds", or "/etc/nearmetal/nearmetald.toml: drain_seconds".
  const auto option = [&file](std::string key) {
    if (!file.empty()) return file + ": " + key;
    std::replace(key.begin(), key.end(), '_', '-');
    return "--" + key;
  };
  ServePlan plan = {.driver = settings.driver.value_or("auto"), .nvml = settings.nvml.value_or("")};
  const std::string standard = wire::default_address().text();
  for (const std::string& text : settings.listen.value_or(std::vector<std::string>{standard})) {
    auto address = wire::parse_address(text);
    if (!address) return Error{option("listen") + ": " + address.error().message};
    plan.daemon.listen.push_back(std::move(*address));
  }
  if (plan.daemon.listen.empty())
    return Error{option("listen") + ": the list is empty. Name an address or leave it out."};
  const auto is_unix = [](const wire::Address& address) { return address.kind == wire::Address::Kind::unix_socket; };
  if (settings.group && std::none_of(plan.daemon.listen.begin(), plan.daemon.listen.end(), is_unix)) {
    return Error{fmt::format("{}: there is no Unix socket for \"{}\" to use. Listen on unix:PATH too, or leave it out.",
                             option("group"), *settings.group)};
  }
  const auto warm = within(option("warm"), settings.warm, 2, 256);
  const auto sessions = within(option("max_sessions"), settings.max_sessions, 0, 1'000'000);
  const auto drain = within(option("drain_seconds"), settings.drain_seconds, 10, 86'400);
  for (const auto* number : {&warm, &sessions, &drain}) {
    if (!*number) return number->error();
  }
  const auto cache_size = within(option("image_cache_size"), settings.image_cache_size, 1024, 1 << 24);
  if (!cache_size) return cache_size.error();
  if (settings.image_cache && !settings.image_cache->starts_with("/")) {
    return Error{fmt::format("{} is \"{}\"; it must be an absolute path. --image-cache-size 0 keeps no images.",
                             option("image_cache"), *settings.image_cache)};
  }
  if (settings.pool && !settings.pool->starts_with("/")) {
    return Error{fmt::format("{} is \"{}\"; it must be an absolute path.", option("pool"), *settings.pool)};
  }
  const auto level = level_named(option("log_level"), settings.log_level.value_or("info"));
  if (!level) return level.error();

  plan.log_level = *level;
  plan.pool = settings.pool.value_or("");
  plan.image_cache = settings.image_cache.value_or(standard_image_cache());
  // Clients on this machine's Unix sockets never ask for one.
  const bool far = !std::all_of(plan.daemon.listen.begin(), plan.daemon.listen.end(), is_unix);
  plan.image_cache_bytes = far ? static_cast<uint64_t>(*cache_size) << 20 : 0;
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
