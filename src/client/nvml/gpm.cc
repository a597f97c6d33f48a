// What two samples of GPM say. A metric's name and unit are pointers to text that the program never frees.
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "client/nvml/stub_support.h"
#include "nvml_remote.h"

namespace nm::client::nvml {
namespace {

// Three for each metric there may be; a server that makes up ever new ones gets no more room.
constexpr size_t kMostTexts = 3 * wire::kMaxGpmMetrics;

// The same pointer for the same text, good until the process ends; null for none.
template <size_t kSize>
const char* kept(const char (&text)[kSize]) {
  static std::mutex mutex;
  static auto* texts = new std::set<std::string>;
  const std::string value(text, strnlen(text, kSize));
  if (value.empty()) return nullptr;
  std::lock_guard lock(mutex);
  auto found = texts->find(value);
  if (found == texts->end()) {
    if (texts->size() >= kMostTexts) return nullptr;
    found = texts->insert(value).first;
  }
  return found->c_str();
}

}  // namespace
}  // namespace nm::client::nvml

using namespace nm::client::nvml;

extern "C" NM_EXPORT nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t* get) {
  constexpr const char* kName = "nvmlGpmMetricsGet";
  if (!get || get->numMetrics > nm::wire::kMaxGpmMetrics) return answer(kName, NVML_ERROR_INVALID_ARGUMENT);
  const unsigned count = get->numMetrics;
  auto* metrics = reinterpret_cast<nvmlGpmMetric_t*>(get + 1);
  std::vector<nm_gpm_metric_t> carried(count);
  for (unsigned i = 0; i < count; i++) carried[i].metricId = metrics[i].metricId;
  nvmlReturn_t result = remote::nm_gpm_metrics(get->version, get->sample1, get->sample2, count, carried.data());
  for (unsigned i = 0; i < count && result == NVML_SUCCESS; i++) {
    const nm_gpm_metric_t& m = carried[i];
    metrics[i] = {metrics[i].metricId, m.nvmlReturn, m.value, kept(m.shortName), kept(m.longName), kept(m.unit)};
  }
  return result;
}
