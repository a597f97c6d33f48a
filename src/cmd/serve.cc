// nearmetal serve: becomes nearmetald, which stands beside it. So `nearmetal`, which travels to machines that only use
// GPUs, carries no server.
#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include "base/paths.h"
#include "cmd/command_line.h"

namespace nm::cmd {

int serve_verb(const Args& args) {
  const std::string program = own_tree().bin + "/nearmetald";
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return fail(fmt::format("Cannot start {}: {}. Keep nearmetal and nearmetald together.", program, strerror(errno)));
}

}  // namespace nm::cmd
