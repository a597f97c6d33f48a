#include "bench/page/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report_words.h"

namespace nm::bench::page {
namespace {

// Around 1, a hundredth is about as wide as a doubling is far away.
constexpr double kStretch = 0.02;

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return safe;
}

std::string colour_of(size_t arm) { return fmt::format("var(--arm{})", arm == 0 ? 0 : 1 + (arm - 1) % 6); }

Scale::Scale(Kind kind, double low, double high, double begin, double end)
    : kind_(kind), low_(low), high_(high), begin_(begin), end_(end) {
  if (kind_ != Kind::linear) low_ = std::max(low_, 1e-300);
  if (!(high_ > low_)) high_ = kind_ == Kind::linear ? low_ + 1 : low_ * 2;
}

double Scale::transformed(double value) const {
  switch (kind_) {
    case Kind::linear:
      return value;
    case Kind::log:
      return std::log(std::max(value, 1e-300));
    case Kind::ratio:
      return std::asinh(std::log(std::max(value, 1e-300)) / kStretch);
  }
  return value;
}

double Scale::operator()(double value) const {
  const double from = transformed(low_), to = transformed(high_);
  const double part = std::clamp((transformed(value) - from) / (to - from), 0.0, 1.0);
  return begin_ + part * (end_ - begin_);
}

std::vector<Tick> Scale::ticks(double apart) const {
  std::vector<double> wanted;  // the more welcome first
  if (kind_ == Kind::ratio) {
    wanted = {1,    0.9,  1.1, 0.5, 2,    0.99, 1.01, 0.1, 10,  0.2, 5,    0.95, 1.05,
              0.98, 1.02, 0.8, 1.2, 0.02, 50,   0.05, 20,  0.7, 1.5, 0.97, 1.03};
  } else if (kind_ == Kind::log) {
    for (int power = -12; power <= 15; ++power) wanted.push_back(std::pow(10.0, power));
    for (int power = -12; power <= 15; ++power) wanted.push_back(3 * std::pow(10.0, power));
  } else {
    const double rough = (high_ - low_) * apart / std::max(1.0, std::abs(end_ - begin_)) * 1.2;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    double step = power;
    for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
      step = factor * power;
      if (step >= rough) break;
    }
    for (double at = std::ceil(low_ / step) * step; at <= high_ + step * 1e-9 && wanted.size() < 100; at += step) {
      wanted.push_back(std::abs(at) < step * 1e-6 ? 0 : at);
    }
  }
  std::vector<Tick> ticks;
  for (const double at : wanted) {
    if (at < low_ * (kind_ == Kind::linear ? 1 : 0.9999) - (kind_ == Kind::linear ? 1e-12 : 0) || at > high_ * 1.0001)
      continue;
    const bool near = std::any_of(ticks.begin(), ticks.end(),
                                  [&](const Tick& other) { return std::abs((*this)(other.at) - (*this)(at)) < apart; });
    if (!near) ticks.push_back({at, fmt::format("{:g}", at)});
  }
  std::sort(ticks.begin(), ticks.end(), [](const Tick& a, const Tick& b) { return a.at < b.at; });
  return ticks;
}

std::string number(double value) {
  std::string digits = fmt::format("{:.1f}", value);
  if (digits.size() > 2 && digits.compare(digits.size() - 2, 2, ".0") == 0) digits.resize(digits.size() - 2);
  return digits;
}

std::string line(double x1, double y1, double x2, double y2, std::string_view classes) {
  return fmt::format(R"(<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>)", number(x1), number(y1), number(x2),
                     number(y2), classes);
}

std::string text(double x, double y, std::string_view words, std::string_view anchor, std::string_view classes) {
  return fmt::format(R"(<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>)", number(x), number(y), anchor,
                     classes, escaped(words));
}

}  // namespace nm::bench::page
