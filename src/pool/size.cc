#include "pool/size.h"

#include <fmt/format.h>

#include "base/number.h"

namespace nm::pool {
namespace {

// "12", "1.5", "0.125": in thousandths. At most three places, because finer shares are not kept.
bool take_thousandths(std::string_view* text, int64_t* out) {
  std::string_view rest = *text;
  uint32_t before = 0;
  if (rest.empty() || rest[0] < '0' || rest[0] > '9' || !take_number(&rest, &before)) return false;
  int64_t value = int64_t{before} * kWhole;
  if (take_char(&rest, '.')) {
    int64_t unit = kWhole;
    size_t places = 0;
    for (; places < rest.size() && rest[places] >= '0' && rest[places] <= '9'; ++places) {
      unit /= 10;
      if (unit == 0) return false;
      value += (rest[places] - '0') * unit;
    }
    if (places == 0) return false;
    rest.remove_prefix(places);
  }
  *text = rest;
  *out = value;
  return true;
}

std::string decimal(int64_t thousandths) {
  std::string text = fmt::format("{}.{:03}", thousandths / kWhole, thousandths % kWhole);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

// A part of a GPU in thousandths; 0: it is none.
int part(std::string_view text) {
  int64_t value = 0;
  if (!take_thousandths(&text, &value)) return 0;
  if (text == "%") {
    value /= 100;
  } else if (!text.empty()) {
    return 0;
  }
  return value >= 1 && value <= kWhole ? static_cast<int>(value) : 0;
}

}  // namespace

Result<Memory> parse_memory(std::string_view text) {
  if (const int thousandths = part(text)) return Memory{.thousandths = thousandths};
  const std::string wrong = fmt::format(
      "\"{}\" is not an amount of GPU memory: write 40G or 512M, or a part of the GPU from 0.001 to 1.", text);
  std::string_view rest = text;
  int64_t value = 0;
  if (!take_thousandths(&rest, &value)) return Error{wrong};
  Mib unit = 0;
  if (rest == "T" || rest == "TiB") unit = 1 << 20;
  if (rest == "G" || rest == "GiB") unit = 1024;
  if (rest == "M" || rest == "MiB") unit = 1;
  const Mib mib = value * unit / kWhole;
  if (mib < 1 || mib > kMostMemory) return Error{wrong};
  return Memory{.mib = mib};
}

std::string print(const Memory& memory) {
  if (memory.thousandths != 0) return decimal(memory.thousandths);
  return memory.mib % 1024 == 0 ? fmt::format("{}G", memory.mib / 1024) : fmt::format("{}M", memory.mib);
}

Result<int> parse_share(std::string_view text) {
  if (const int thousandths = part(text)) return thousandths;
  return Error{fmt::format("\"{}\" is not a share of a GPU: write a number from 0.001 to 1, or a percentage.", text)};
}

std::string print_share(int thousandths) { return decimal(thousandths); }

Result<Duration> parse_duration(std::string_view text) {
  const Error wrong{fmt::format("\"{}\" is not a time: write 90s, 45m, 4h, 2d or 1h30m, ten years at most.", text)};
  std::string_view rest = text;
  Duration sum{0};
  while (!rest.empty()) {
    uint32_t number = 0;
    if (rest[0] < '0' || rest[0] > '9' || !take_number(&rest, &number) || rest.empty()) return wrong;
    const int64_t unit = rest[0] == 's' ? 1 : rest[0] == 'm' ? 60 : rest[0] == 'h' ? 3600 : rest[0] == 'd' ? 86400 : 0;
    rest.remove_prefix(1);
    sum += Duration(number * unit * 1000);
    if (unit == 0 || sum > kLongest) return wrong;
  }
  if (sum <= Duration{0}) return wrong;
  return sum;
}

std::string print(Duration duration) {
  int64_t seconds = duration.count() / 1000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600)
    return seconds % 60 ? fmt::format("{}m{:02}s", seconds / 60, seconds % 60) : fmt::format("{}m", seconds / 60);
  const int64_t minutes = seconds / 60;
  if (minutes < 1440)
    return minutes % 60 ? fmt::format("{}h{:02}m", minutes / 60, minutes % 60) : fmt::format("{}h", minutes / 60);
  const int64_t hours = minutes / 60;
  return hours % 24 ? fmt::format("{}d{:02}h", hours / 24, hours % 24) : fmt::format("{}d", hours / 24);
}

std::string print_gpus(int64_t thousandths) {
  return fmt::format("{} GPU{}", decimal(thousandths), thousandths == kWhole ? "" : "s");
}

}  // namespace nm::pool
