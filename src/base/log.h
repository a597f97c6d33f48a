// The programs' log: one line per event on stderr, with time and process id. Callers compose the sentence themselves;
// this header names no formatting library, so including it costs nothing. The client library does not log through it.
#pragma once

#include <string_view>

namespace nm::log {

enum class Level { debug, info, warn, error };

// Lines below `level` are dropped. The start value is info.
void set_level(Level level);

void debug(std::string_view line);
void info(std::string_view line);
void warn(std::string_view line);
void error(std::string_view line);

}  // namespace nm::log
