// Where our own files are, relative to the running program: PREFIX/bin/nearmetal finds PREFIX/lib/nearmetal. The build
// tree has the same shape (build/bin, build/lib/nearmetal), so nothing here knows which of the two it is in.
#pragma once

#include <string>

namespace nm {

struct Tree {
  std::string bin;      // directory of the programs
  std::string client;   // directory of our libcuda.so.1 and libnvidia-ml.so.1
  std::string softgpu;  // directory of the software GPU's libraries of the same names
};

// The tree of the running program, absolute, symbolic links resolved.
Tree own_tree();
// The tree of a program in `bin_dir`.
Tree tree_of(const std::string& bin_dir);

// `search` ("DIR:DIR", as in LD_LIBRARY_PATH or LD_PRELOAD) without entries that lie in `dir` or below it.
std::string without_dir(const std::string& search, const std::string& dir);

}  // namespace nm
