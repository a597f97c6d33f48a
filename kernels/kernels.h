// The benchmark kernels as texts, embedded in the program: table.py writes the table at build time.
#pragma once

#include <span>
#include <string_view>

namespace nm::kernels {

struct Source {
  std::string_view name;     // the file's, without .cl
  std::string_view variant;  // one of its first line
  std::string_view ptx;      // ends with a NUL that is not counted
  std::string_view opencl;   // OpenCL C, whole; empty: CUDA only
};

std::span<const Source> all();
// nullptr: there is none.
const Source* find(std::string_view name, std::string_view variant);

}  // namespace nm::kernels
