// Text in columns for a terminal. A cell may carry a colour, which is no part of its width.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nm {

enum class Tint { none, good, fast, bad, unsure, faint, strong };

struct Cell {
  std::string text;
  Tint tint = Tint::none;
  bool left = false;  // aligned to the left; numbers are not
};

// Code points: what is printed here is one column each.
size_t width_of(std::string_view text);
// `text` in a tint's colour, or as it is.
std::string tinted(std::string_view text, Tint tint, bool colour);

class Grid {
 public:
  // Two blanks between columns, `extra` more before this one.
  void widen(size_t column, size_t extra);
  void row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  size_t width() const;
  // Lines without their ends, without blanks at their ends.
  std::vector<std::string> lines(bool colour, size_t indent = 0) const;

 private:
  std::vector<size_t> widths() const;
  std::vector<std::vector<Cell>> rows_;
  std::vector<size_t> extra_;
};

}  // namespace nm
