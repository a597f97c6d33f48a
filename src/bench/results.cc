#include "bench/results.h"

#include <algorithm>
#include <array>

namespace nm::bench {
namespace {

constexpr std::array kStatusNames = {"ok",      "skipped",     "check_failed", "failed",      "crashed",    "hung",
                                     "rubbish", "not_started", "other_gpu",    "other_suite", "interrupted"};

std::string text_at(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

const char* status_name(Status status) { return kStatusNames[static_cast<size_t>(status)]; }

std::optional<Status> status_of(std::string_view name) {
  for (size_t i = 0; i < kStatusNames.size(); ++i) {
    if (name == kStatusNames[i]) return static_cast<Status>(i);
  }
  return std::nullopt;
}

double median(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle), values.end());
  const double upper = values[middle];
  if (values.size() % 2 == 1) return upper;
  const double lower = *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle));
  return lower + (upper - lower) / 2;
}

double Sample::summary() const { return median(values); }

std::string Run::device_name() const { return text_at(device, "name"); }
std::string Run::device_uuid() const { return text_at(device, "uuid"); }

std::string ResultFile::host() const { return fingerprints.empty() ? "" : text_at(fingerprints.front(), "host"); }
std::string ResultFile::boot() const { return fingerprints.empty() ? "" : text_at(fingerprints.front(), "boot"); }

}  // namespace nm::bench
