// What libnvidia-ml.so.1 answers itself: opening and closing, and texts.
#include "client/nvml/session.h"
#include "client/nvml/stub_support.h"

namespace nm::client::nvml {
namespace {

struct ResultText {
  int code;
  const char* text;
};
constexpr ResultText kTexts[] = {
#include "nvml_results.inc"
};

}  // namespace
}  // namespace nm::client::nvml

using namespace nm::client::nvml;

extern "C" {

NM_EXPORT nvmlReturn_t nvmlInit() { return traced("nvmlInit", open_session(0)); }
NM_EXPORT nvmlReturn_t nvmlInit_v2() { return traced("nvmlInit_v2", open_session(0)); }
NM_EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags) { return traced("nvmlInitWithFlags", open_session(flags)); }
NM_EXPORT nvmlReturn_t nvmlShutdown() { return traced("nvmlShutdown", close_session()); }

NM_EXPORT const char* nvmlErrorString(nvmlReturn_t result) {
  for (const ResultText& row : kTexts) {
    if (row.code == result) return row.text;
  }
  return "Unknown Error";
}

}  // extern "C"
