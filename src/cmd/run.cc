// nearmetal run: our libraries in front, the server's address in the environment, then exec. Nothing of ours stays
// behind but, for a server on another host, a courier (cmd/reach.h), so CMD's exit status, signals and terminal are its
// own.
#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "base/process.h"
#include "cmd/command_line.h"
#include "cmd/config.h"
#include "cmd/reach.h"
#include "cmd/run_env.h"

namespace nm::cmd {
namespace {

// As env(1) and the container engines do: 125 ours, 126 not executable, 127 not found.
constexpr int kOurs = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

class UsageWithCommand : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string name) const override {
    return "Usage: " + name + " [OPTIONS] -- CMD [ARGS...]\n";
  }
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

int become(const Args& command, const std::vector<std::string>& env) {
  const auto argv = pointers(command), envp = pointers(env);
  ::execvpe(argv[0], argv.data(), envp.data());
  const int error = errno;
  if (error == ENOENT) {
    return fail(fmt::format("Cannot find {}, or the interpreter that it names. Check the name and PATH.", command[0]),
                kNotFound);
  }
  return fail(fmt::format("Cannot execute {}: {}. Check that it is a program that you may execute.", command[0],
                          strerror(error)),
              kNotExecutable);
}

// As CUDA_VISIBLE_DEVICES has them: indices, or UUIDs that may be cut short. CUDA takes anything else for the end of
// the list and leaves the program without the GPUs behind it.
bool is_gpu_list(std::string_view text) {
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string_view name = text.substr(start, end - start);
    const bool index = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    if (!index && !name.starts_with("GPU-") && !name.starts_with("MIG-")) return false;
    start = end + 1;
  }
  return true;
}

}  // namespace

int run_verb(const Args& args) {
  std::string server, gpus;
  CLI::App app("Runs CMD with our libcuda.so.1 and libnvidia-ml.so.1 in front; its CUDA calls are made by the server.",
               "nearmetal run");
  app.formatter(std::make_shared<UsageWithCommand>());
  app.add_option("--server", server,
                 "unix:PATH, tcp:HOST:PORT or tls:HOST:PORT (else NEARMETAL_SERVER, else the configuration)")
      ->type_name("ADDRESS");
  const auto* chosen = app.add_option("--gpus", gpus, "which of the server's GPUs CMD sees, as in CUDA_VISIBLE_DEVICES")
                           ->type_name("0,2");
  app.prefix_command();
  app.footer(
      "The exit status is CMD's; 125: nearmetal itself failed, 126: CMD cannot be executed, 127: CMD was not found.\n\n"
      "Example:\n  nearmetal run --server unix:/run/nearmetal/nearmetal.sock --gpus 0,2 -- python3 train.py");
  // What follows "--" is CMD's, whatever it looks like.
  const auto split = std::find(args.begin(), args.end(), "--");
  if (const auto status = parse(app, {args.begin(), split}, kOurs)) return *status;
  Args command = app.remaining();
  if (split != args.end()) command.insert(command.end(), split + (command.empty() ? 1 : 0), args.end());
  if (command.empty()) return fail("There is no program to run. Write nearmetal run -- CMD [ARGS...].", kOurs);
  if (command[0].starts_with("-")) {
    return fail(fmt::format("{} is not an option of `nearmetal run`. Write CMD after --.", command[0]), kOurs);
  }

  if (chosen->count() > 0 && !is_gpu_list(gpus)) {
    return fail(fmt::format("--gpus \"{}\" is not a list of GPUs. Write their numbers, 0,2, or their UUIDs; `nearmetal "
                            "gpus` lists both.",
                            gpus),
                kOurs);
  }
  const auto address = client_server(server);
  if (!address) return fail(address.error().message, kOurs);
  auto env = run_environment(current_environment(), own_tree(), *address, gpus);
  if (!env) return fail(env.error().message, kOurs);
  if (const auto reached = reach(*address, *env, true); !reached) return fail(reached.error().message, kOurs);
  return become(command, *env);
}

}  // namespace nm::cmd
