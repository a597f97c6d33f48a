// SHOC's programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::shoc {

void reduction(Run& run);
void triad(Run& run);

void bus_speed_download(Run& run);
void bus_speed_readback(Run& run);
void max_flops(Run& run);
void device_memory(Run& run);
void kernel_compile(Run& run);
void queue_delay(Run& run);

}  // namespace nm::workload::shoc
