#include "cmd/config.h"

#include <errno.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <functional>
#include <map>
#include <memory>

namespace nm::cmd {
namespace {

// Reads one value into its place; false if the type is wrong.
using Reader = std::function<bool(const toml::node&)>;
struct Key {
  const char* type;
  Reader read;
};

template <typename T>
Reader into(std::optional<T>& place) {
  return [&place](const toml::node& node) {
    place = node.value_exact<T>();
    return place.has_value();
  };
}

Reader into(std::optional<std::vector<std::string>>& place) {
  return [&place](const toml::node& node) {
    place.emplace();
    if (const auto one = node.value_exact<std::string>()) {
      place->push_back(*one);
      return true;
    }
    const auto* list = node.as_array();
    if (!list) return false;
    for (const toml::node& element : *list) {
      const auto text = element.value_exact<std::string>();
      if (!text) return false;
      place->push_back(*text);
    }
    return true;
  };
}

// Not left to the TOML library, which takes a directory or a pipe for an empty file.
Result<std::string> text_of(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(::fopen(path.c_str(), "re"), ::fclose);
  std::string text;
  char buffer[4096];
  size_t got = 0;
  while (file && (got = ::fread(buffer, 1, sizeof buffer, file.get())) > 0) text.append(buffer, got);
  if (file && !::ferror(file.get())) return text;
  return Error{fmt::format("Cannot read the configuration {}: {}. Check the path.", path, strerror(errno))};
}

Result<void> read_file(const std::string& path, const std::map<std::string, Key, std::less<>>& keys) {
  const auto text = text_of(path);
  if (!text) return text.error();
  const toml::parse_result parsed = toml::parse(*text, path);
  if (!parsed) {
    const auto& error = parsed.error();
    return Error{fmt::format("{}:{}: {}.", path, error.source().begin.line, error.description())};
  }
  for (const auto& [name, node] : parsed.table()) {
    const auto line = node.source().begin.line;
    const auto key = keys.find(std::string_view(name));
    if (key == keys.end()) {
      std::string known;
      for (const auto& [each, ignored] : keys) known += (known.empty() ? "" : ", ") + each;
      return Error{
          fmt::format("{}:{}: unknown key \"{}\". The keys are: {}.", path, line, std::string_view(name), known)};
    }
    if (!key->second.read(node)) {
      return Error{fmt::format("{}:{}: \"{}\" must be {}.", path, line, std::string_view(name), key->second.type)};
    }
  }
  return {};
}

template <typename T>
void take(std::optional<T>& mine, const std::optional<T>& other) {
  if (!mine) mine = other;
}

Result<wire::Address> parse_from(const std::string& text, const std::string& where) {
  auto address = wire::parse_address(text);
  if (!address) return Error{where + ": " + address.error().message};
  return address;
}

std::vector<std::string> client_config_files() {
  std::vector<std::string> files;
  const char* xdg = ::getenv("XDG_CONFIG_HOME");
  const char* home = ::getenv("HOME");
  if (xdg && xdg[0] == '/') {
    files.push_back(std::string(xdg) + "/nearmetal/config.toml");
  } else if (home && home[0] == '/') {
    files.push_back(std::string(home) + "/.config/nearmetal/config.toml");
  }
  files.push_back("/etc/nearmetal/config.toml");
  return files;
}

}  // namespace

void ServeSettings::fill_from(const ServeSettings& other) {
  take(listen, other.listen);
  take(group, other.group);
  take(driver, other.driver);
  take(nvml, other.nvml);
  take(warm, other.warm);
  take(max_sessions, other.max_sessions);
  take(drain_seconds, other.drain_seconds);
  take(image_cache, other.image_cache);
  take(image_cache_size, other.image_cache_size);
  take(pool, other.pool);
  take(log_level, other.log_level);
}

Result<ServeSettings> read_serve_config(const std::string& path) {
  ServeSettings settings;
  const auto read = read_file(path, {
                                        {"listen", {"a string or a list of strings", into(settings.listen)}},
                                        {"group", {"a string", into(settings.group)}},
                                        {"driver", {"a string", into(settings.driver)}},
                                        {"nvml", {"a string", into(settings.nvml)}},
                                        {"warm", {"a whole number", into(settings.warm)}},
                                        {"max_sessions", {"a whole number", into(settings.max_sessions)}},
                                        {"drain_seconds", {"a whole number", into(settings.drain_seconds)}},
                                        {"image_cache", {"a string", into(settings.image_cache)}},
                                        {"image_cache_size", {"a whole number", into(settings.image_cache_size)}},
                                        {"pool", {"a string", into(settings.pool)}},
                                        {"log_level", {"a string", into(settings.log_level)}},
                                    });
  if (!read) return read.error();
  return settings;
}

Result<std::optional<std::string>> read_client_config(const std::string& path) {
  std::optional<std::string> server;
  if (::access(path.c_str(), F_OK) != 0) return server;
  if (const auto read = read_file(path, {{"server", {"a string", into(server)}}}); !read) return read.error();
  return server;
}

Result<std::optional<wire::Address>> named_server(const std::string& flag) {
  const auto found = [](Result<wire::Address> address) -> Result<std::optional<wire::Address>> {
    if (!address) return address.error();
    return std::optional(*address);
  };
  if (!flag.empty()) return found(parse_from(flag, "--server"));
  const char* variable = ::getenv("NEARMETAL_SERVER");
  if (variable && *variable) return found(parse_from(variable, "NEARMETAL_SERVER"));
  for (const std::string& path : client_config_files()) {
    auto server = read_client_config(path);
    if (!server) return server.error();
    if (*server) return found(parse_from(**server, path));
  }
  return std::optional<wire::Address>();
}

Result<wire::Address> client_server(const std::string& flag) {
  const auto named = named_server(flag);
  if (!named) return named.error();
  return *named ? **named : wire::default_address();
}

}  // namespace nm::cmd
