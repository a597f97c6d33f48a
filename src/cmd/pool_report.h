// What a simulation found, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pool/simulate.h"

namespace nm::cmd {

std::vector<std::string> simulation_table(const pool::Trace& trace, const std::vector<pool::Outcome>& outcomes);
nlohmann::ordered_json simulation_json(const pool::Trace& trace, const std::vector<pool::Outcome>& outcomes);

}  // namespace nm::cmd
