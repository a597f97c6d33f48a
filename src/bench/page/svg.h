// Drawing for the page: text made safe, scales, and axes whose ticks a person would choose. Pictures are SVG without
// scripts; their colours are the page's CSS variables, so they follow light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nm::bench::page {

// For text and attributes of HTML and SVG: names come from files that anybody may have written.
std::string escaped(std::string_view text);

// The colour of an arm: 0 is the reference, 1 and on are the targets.
std::string colour_of(size_t arm);

struct Tick {
  double at;  // in the data's unit
  std::string label;
};

// Maps [low, high] onto [begin, end] of the picture.
class Scale {
 public:
  enum class Kind {
    linear,
    log,
    ratio,  // logarithm stretched around 1, so that 1 % and 10 x fit into one picture
  };
  Scale(Kind kind, double low, double high, double begin, double end);

  double operator()(double value) const;  // kept within begin and end
  double low() const { return low_; }
  double high() const { return high_; }
  // No two nearer than `apart` in the picture.
  std::vector<Tick> ticks(double apart) const;

 private:
  double transformed(double value) const;
  Kind kind_;
  double low_, high_, begin_, end_;
};

std::string number(double value);  // of a coordinate: "12.5"
std::string line(double x1, double y1, double x2, double y2, std::string_view classes);
// `anchor`: start, middle, end.
std::string text(double x, double y, std::string_view words, std::string_view anchor = "start",
                 std::string_view classes = "");

}  // namespace nm::bench::page
