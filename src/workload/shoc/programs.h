// SHOC's programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::shoc {

void reduction(Run& run);
void triad(Run& run);
void gemm(Run& run);
void md(Run& run);
void fft(Run& run);
void bfs(Run& run);
void md5hash(Run& run);
void neural_net(Run& run);

void bus_speed_download(Run& run);
void bus_speed_readback(Run& run);
void max_flops(Run& run);
void device_memory(Run& run);
void kernel_compile(Run& run);
void queue_delay(Run& run);
void scan(Run& run);
void sort(Run& run);
void spmv(Run& run);
void stencil(Run& run);
void qtc(Run& run);
void s3d(Run& run);

}  // namespace nm::workload::shoc
