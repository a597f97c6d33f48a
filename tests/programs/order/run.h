// Executes a program on the driver, with its threads, and compares what it sees with what must be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "order/program.h"

namespace order {

struct Wrong {
  int seen_by = -1;  // operation; -1: after the end
  Span where;
  std::vector<uint8_t> bytes;  // what was there
};

struct Outcome {
  uint64_t digest = 0;  // of all memory at the end, as it is
  std::optional<Wrong> wrong;
};

// Once in a process. A call that fails ends the process with status 2.
void start_driver();
// A program that has not ended after `seconds` ends the process with status 3 and says where its threads are.
Outcome run(const Program& program, int seconds);

// What is wrong and who should have written it, in a few lines.
std::string explain(const Program& program, const Wrong& wrong);

}  // namespace order
