// What the doctor found, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "inventory/doctor.h"

namespace nm::cmd {

nlohmann::ordered_json diagnosis_json(const inventory::Diagnosis& diagnosis);
std::vector<std::string> diagnosis_lines(const inventory::Diagnosis& diagnosis, bool colour);
// "Ready: ..." or "Not ready: ...", the last line.
std::string verdict_sentence(const inventory::Diagnosis& diagnosis);

}  // namespace nm::cmd
