// The programs of the suite path, one function and one file each: what a call of the driver costs, and a copy.
#pragma once

#include <string>

#include "workload/program.h"

namespace nm::workload::path {

void launch_latency(Run& run);
void graph_launch(Run& run);
void context_create(Run& run);
void module_load(Run& run);
void alloc_free(Run& run);
void events(Run& run);
void host_copies(Run& run);
void device_triad(Run& run);
void pointer_chase(Run& run);
void peer_copies(Run& run);
void read_back(Run& run);

// "4B", "64KiB", "1GiB"
std::string text_of(size_t bytes);

}  // namespace nm::workload::path
