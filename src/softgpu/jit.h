// The options that come with device code: where the compiler's messages go.
#pragma once

#include <cuda_abi.h>

#include <string>

namespace nm::softgpu {

class JitOptions {
 public:
  // INVALID_VALUE for an option that does not exist. The arrays are written to by report().
  JitOptions(unsigned count, CUjit_option* options, void** values);
  // Fills the program's buffers, as far as they reach, and the sizes.
  void report(const std::string& info, const std::string& error) const;

 private:
  void** value_of(CUjit_option option) const;
  void write(const std::string& text, CUjit_option buffer, CUjit_option size) const;
  unsigned count_;
  CUjit_option* options_;
  void** values_;
};

}  // namespace nm::softgpu
