// The configuration files, TOML. A key nobody knows is an error that names key, file and line: a setting that is
// silently ignored is worse than none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/address.h"

namespace nm::cmd {

// Everything `serve` can be told, by flag or by file; what is absent was not said there.
struct ServeSettings {
  std::optional<std::vector<std::string>> listen;  // a single string is a list of one
  std::optional<std::string> group;
  std::optional<std::string> driver;
  std::optional<std::string> nvml;
  std::optional<int64_t> warm;
  std::optional<int64_t> max_sessions;
  std::optional<int64_t> drain_seconds;
  std::optional<std::string> image_cache;
  std::optional<int64_t> image_cache_size;  // MiB
  std::optional<std::string> pool;
  std::optional<std::string> log_level;

  // What is said here wins over `other`.
  void fill_from(const ServeSettings& other);
};

Result<ServeSettings> read_serve_config(const std::string& path);

// The `server` key of a client's file; nothing if the file is not there or does not set it.
Result<std::optional<std::string>> read_client_config(const std::string& path);

// The server that a client talks to: the flag, else NEARMETAL_SERVER, else $XDG_CONFIG_HOME/nearmetal/config.toml, else
// /etc/nearmetal/config.toml, else the built-in default. The error names where a bad address came from.
Result<wire::Address> client_server(const std::string& flag);
// The same; nothing where nobody named one.
Result<std::optional<wire::Address>> named_server(const std::string& flag);

}  // namespace nm::cmd
