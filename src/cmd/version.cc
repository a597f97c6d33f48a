#include "base/version.h"

#include <fmt/format.h>

#include "cmd/command_line.h"
#include "wire/hello.h"

namespace nm::cmd {

int version_verb(const Args& args) {
  CLI::App app("Prints the release. Client and server must be of the same.", "nearmetal version");
  app.footer("Example:\n  nearmetal version");
  if (const auto status = parse(app, args)) return *status;
  fmt::print("nearmetal {} (protocol {})\n", kVersion, wire::kProtocol);
  return 0;
}

}  // namespace nm::cmd
