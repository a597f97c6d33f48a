// The options of `nearmetal serve`, from flags and file, checked.
#pragma once

#include "base/log.h"
#include "cmd/command_line.h"
#include "cmd/config.h"
#include "server/daemon.h"

namespace nm::cmd {

// Declares the flags on `app`; they are written to `flags` and `config_path` when it parses.
void add_serve_flags(CLI::App& app, ServeSettings& flags, std::string& config_path);

struct ServePlan {
  server::DaemonOptions daemon;  // without pool.command: that needs the drivers
  std::string driver;            // as choose_drivers takes them
  std::string nvml;
  std::string image_cache;         // directory; empty: there is no place for one
  uint64_t image_cache_bytes = 0;  // 0: no image is kept
  std::string pool;                // directory of this host's certificate; empty: the usual one
  log::Level log_level = log::Level::info;
};

// Defaults filled in and every value checked. The error names the option: as a key of `file` if that is given, else as
// a flag.
Result<ServePlan> plan_serve(const ServeSettings& settings, const std::string& file = "");

}  // namespace nm::cmd
