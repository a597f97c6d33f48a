#include "attach/monitor.h"

#include <fmt/format.h>

#include "attach/qmp.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

Result<Qmp::Json> ask(const std::string& socket, const std::string& command, const Qmp::Json& arguments, Millis limit) {
  auto qmp = Qmp::connect(socket, limit);
  if (!qmp) return qmp.error();
  const auto answer = qmp->command(command, arguments, limit);
  if (!answer) return answer.error();
  if (answer->good()) return answer->value;
  return Error{fmt::format("QEMU at {} refuses {}: {}.", socket, command, inventory::clean(answer->error, 300))};
}

Error makes_no_sense(const std::string& socket, const std::string& command) {
  return Error{fmt::format("QEMU at {} answers {} in a way that makes no sense here.", socket, command)};
}

}  // namespace

Result<std::map<int, pid_t>> vcpu_threads(const std::string& socket, Millis limit) {
  const auto cpus = ask(socket, "query-cpus-fast", Qmp::Json::object(), limit);
  if (!cpus) return cpus.error();
  std::map<int, pid_t> threads;
  if (!cpus->is_array()) return makes_no_sense(socket, "query-cpus-fast");
  for (const Qmp::Json& cpu : *cpus) {
    if (!cpu.is_object() || !cpu.contains("cpu-index") || !cpu["cpu-index"].is_number_integer() ||
        !cpu.contains("thread-id") || !cpu["thread-id"].is_number_integer()) {
      return makes_no_sense(socket, "query-cpus-fast");
    }
    const auto index = cpu["cpu-index"].get<int64_t>(), thread = cpu["thread-id"].get<int64_t>();
    if (index < 0 || index > 100'000 || thread <= 0 || thread > INT32_MAX) {
      return makes_no_sense(socket, "query-cpus-fast");
    }
    threads[static_cast<int>(index)] = static_cast<pid_t>(thread);
  }
  return threads;
}

Result<void> power_down(const std::string& socket, Millis limit) {
  const auto done = ask(socket, "system_powerdown", Qmp::Json::object(), limit);
  return done ? Result<void>() : done.error();
}

bool monitor_there(const std::string& socket) { return !nobody_listens(socket); }

Result<void> ask_for_device(const std::string& socket, const std::string& id, Millis limit) {
  const auto done = ask(socket, "device_del", {{"id", id}}, limit);
  return done ? Result<void>() : done.error();
}

}  // namespace nm::attach
