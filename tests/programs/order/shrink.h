// Finds fewer operations that still fail. Each try is a process of its own: some failures end it, some poison a
// context.
#pragma once

#include <string>
#include <vector>

#include "order/program.h"

namespace order {

// `command`: what runs a program when "--keep LIST" is added. Returns the operations that are left.
std::vector<int> shrink(const Program& program, std::vector<int> ids, const std::vector<std::string>& command);

}  // namespace order
