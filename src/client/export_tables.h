// cuGetExportTable: the tables of undocumented functions that NVIDIA's libraries ask a driver for.
#pragma once

#include <cstdint>

namespace nm::client {

// Word 0 is the size in bytes, every other word a function: NOT_SUPPORTED where we have none of our own.
void fill_plain_table(uint64_t* table, uint64_t size);
void fill_cudart_table(uint64_t* table, uint64_t size);

}  // namespace nm::client
