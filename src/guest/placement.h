// Which of the host's processors and memory a guest gets. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "guest/shape.h"

namespace nm::guest {

// The host's GPUs, and those of them that go to the guest, by node; what has no node is on the first.
struct GpusOfNodes {
  std::vector<int> wanted;  // node of each GPU that goes
  std::vector<int> all;     // node of each GPU of the host
};

// Fills processors, nodes and memory of the shape.
Result<void> place(const HostTopology& host, const GpusOfNodes& gpus, const Wish& wish, GuestShape& shape);

}  // namespace nm::guest
