// Modules, libraries and what their loading takes.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda_abi.h"

namespace nm::client {

// Options of a just-in-time compilation, as they travel and as the program gets them back.
class JitOptions {
 public:
  JitOptions(unsigned count, const CUjit_option* options, void** values);
  bool valid() const { return valid_; }
  const std::vector<uint8_t>& encoded() const { return encoded_; }
  // Nothing in them has a say in what is compiled, and from what.
  bool only_report() const;
  // Writes logs, sizes and times to where the program wants them.
  void give_back(const std::vector<uint8_t>& logs) const;

 private:
  unsigned count_;
  const CUjit_option* options_;
  void** values_;
  bool valid_ = true;
  std::vector<uint8_t> encoded_;
};

// How an image is loaded: what the server calls for it. Add kWrapped if it came in the compiler's wrapper.
enum class LoadForm : uint32_t { module = 0, fatbinary = 1, library = 2 };
inline constexpr uint32_t kWrapped = 0x100;

// The whole file with a NUL behind it. Images are read here: a path means nothing on the server's machine.
CUresult read_image_file(const char* path, std::vector<char>* out);

}  // namespace nm::client
