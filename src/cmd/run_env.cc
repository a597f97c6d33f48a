#include "cmd/run_env.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/process.h"

namespace nm::cmd {
namespace {

std::string value_of(const std::vector<std::string>& env, const std::string& name) {
  for (const std::string& entry : env) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return "";
}

// Ours first; what was there stays behind it, and a second `run` inside does not double it.
void put_first(std::vector<std::string>& env, const std::string& name, const std::string& ours,
               const std::string& dir) {
  const std::string rest = without_dir(value_of(env, name), dir);
  set_env(env, name, rest.empty() ? ours : ours + ":" + rest);
}

}  // namespace

Result<std::vector<std::string>> run_environment(std::vector<std::string> env, const Tree& tree,
                                                 const wire::Address& server, const std::string& gpus) {
  const std::string cuda = tree.client + "/libcuda.so.1", nvml = tree.client + "/libnvidia-ml.so.1";
  for (const std::string& library : {cuda, nvml}) {
    if (::access(library.c_str(), R_OK) != 0) {
      return Error{fmt::format("{} is missing. Keep bin/ and lib/ of nearmetal together.", library)};
    }
  }
  // The dynamic linker knows no escapes in these lists.
  if (tree.client.find_first_of(" :;$\t\n") != std::string::npos) {
    return Error{
        fmt::format("The dynamic linker cannot be pointed at \"{}\". Move nearmetal to a path without spaces, "
                    "colons, semicolons and dollar signs.",
                    tree.client)};
  }
  put_first(env, "LD_PRELOAD", cuda + ":" + nvml, tree.client);
  put_first(env, "LD_LIBRARY_PATH", tree.client, tree.client);
  set_env(env, "TRITON_LIBCUDA_PATH", tree.client);
  const std::string asan = value_of(env, "ASAN_OPTIONS");
  if (asan.find("verify_asan_link_order") == std::string::npos) {
    set_env(env, "ASAN_OPTIONS", (asan.empty() ? "" : asan + ":") + "verify_asan_link_order=0");
  }
  set_env(env, "NEARMETAL_SERVER", server.text());
  if (!gpus.empty()) set_env(env, "CUDA_VISIBLE_DEVICES", gpus);
  return env;
}

}  // namespace nm::cmd
