#include "base/grid.h"

#include <algorithm>

namespace nm {

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string tinted(std::string_view text, Tint tint, bool colour) {
  if (!colour || tint == Tint::none) return std::string(text);
  const char* code = "";
  switch (tint) {
    case Tint::good:
      code = "32";
      break;
    case Tint::fast:
      code = "36";
      break;
    case Tint::bad:
      code = "31";
      break;
    case Tint::unsure:
      code = "33";
      break;
    case Tint::faint:
      code = "2";
      break;
    case Tint::strong:
      code = "1";
      break;
    case Tint::none:
      break;
  }
  return std::string("\033[") + code + "m" + std::string(text) + "\033[0m";
}

void Grid::widen(size_t column, size_t extra) {
  if (extra_.size() <= column) extra_.resize(column + 1);
  extra_[column] = extra;
}

std::vector<size_t> Grid::widths() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i].text));
  }
  return widths;
}

size_t Grid::width() const {
  size_t all = 0;
  const std::vector<size_t> columns = widths();
  for (size_t i = 0; i < columns.size(); ++i) all += columns[i] + (i ? 2 : 0) + (i < extra_.size() ? extra_[i] : 0);
  return all;
}

std::vector<std::string> Grid::lines(bool colour, size_t indent) const {
  const std::vector<size_t> columns = widths();
  std::vector<std::string> lines;
  for (const auto& row : rows_) {
    std::string line, gap(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      if (i) gap += "  ";
      if (i < extra_.size()) gap += std::string(extra_[i], ' ');
      const std::string pad(columns[i] - width_of(row[i].text), ' ');
      if (row[i].text.empty()) {
        gap += pad;
        continue;
      }
      line += (row[i].left ? gap : gap + pad) + tinted(row[i].text, row[i].tint, colour);
      gap = row[i].left ? pad : "";
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace nm
