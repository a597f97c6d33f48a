// Every benchmark program, by suite. A suite's table stands in its folder.
#pragma once

#include <span>

#include "workload/program.h"

namespace nm::workload {

std::span<const Program> shoc_level_0();
std::span<const Program> shoc_level_1();
std::span<const Program> shoc_level_2();
std::span<const Program> path_suite();
std::span<const Program> apps_suite();
std::span<const Program> ai_suite();

}  // namespace nm::workload
