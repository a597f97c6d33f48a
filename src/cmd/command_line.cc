#include "cmd/command_line.h"

#include <fmt/format.h>

namespace nm::cmd {

std::optional<int> parse(CLI::App& app, const Args& args, int usage_status) {
  try {
    app.parse(Args(args.rbegin(), args.rend()));  // CLI11 takes them last first
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}: {}\nTry `{} --help`.\n", app.get_name(), error.what(), app.get_name());
    return usage_status;
  }
}

int fail(const std::string& sentence, int status) {
  fmt::print(stderr, "nearmetal: {}\n", sentence);
  return status;
}

}  // namespace nm::cmd
