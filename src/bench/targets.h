// A target: one way to a GPU, as a command that others are put behind; or what was measured through it, in a file.
#pragma once

#include <string>
#include <vector>

#include "base/paths.h"
#include "base/result.h"

namespace nm::bench {

struct Target {
  std::string label;
  // To be run: what goes before a program's own command. Empty: nothing, it runs here as it is.
  std::vector<std::string> prefix;
  bool here = false;  // native and our own run: programs are found on this machine
  // Saved: the file, and which of its targets if the user said so (FILE#LABEL).
  std::string file, inner;

  bool saved() const { return !file.empty(); }
};

// [LABEL=]native, [LABEL=]run OPTIONS… (our own verb), [LABEL=]FILE[#LABEL], [LABEL=]COMMAND…: words as a shell splits
// them, quotes and backslashes, but nothing else of a shell's.
Result<Target> parse_target(const std::string& text, const Tree& tree);
// All of them; labels that are not given and would be alike get a number.
Result<std::vector<Target>> parse_targets(const std::vector<std::string>& texts, const Tree& tree);

Result<std::vector<std::string>> split_words(const std::string& text);

}  // namespace nm::bench
