#include "base/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

namespace nm::log {
namespace {

spdlog::logger& logger() {
  // Created at first use: no work before main.
  static spdlog::logger* const instance = [] {
    auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
    auto* made = new spdlog::logger("nearmetal", std::move(sink));
    made->set_pattern("%Y-%m-%d %H:%M:%S.%e %P %^%l%$ %v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

spdlog::string_view_t view(std::string_view line) { return {line.data(), line.size()}; }

}  // namespace

void set_level(Level level) {
  switch (level) {
    case Level::debug:
      return logger().set_level(spdlog::level::debug);
    case Level::info:
      return logger().set_level(spdlog::level::info);
    case Level::warn:
      return logger().set_level(spdlog::level::warn);
    case Level::error:
      return logger().set_level(spdlog::level::err);
  }
}

void debug(std::string_view line) { logger().log(spdlog::level::debug, view(line)); }
void info(std::string_view line) { logger().log(spdlog::level::info, view(line)); }
void warn(std::string_view line) { logger().log(spdlog::level::warn, view(line)); }
void error(std::string_view line) { logger().log(spdlog::level::err, view(line)); }

}  // namespace nm::log
