// Names of errors are ours to know (api/types.toml); their texts come from the driver that is served.
#include <string.h>

#include "client/client.h"

namespace {

const nm::wire::ErrorText* find(CUresult error) {
  nm::client::Client* client = nm::client::Client::get();
  if (!client) return nullptr;
  for (const auto& e : client->facts().errors) {
    if (e.code == static_cast<int>(error)) return &e;
  }
  return nullptr;
}

struct Name {
  int code;
  const char* name;
};
constexpr Name kNames[] = {
#include "error_names.inc"
};

}  // namespace

extern "C" {

NM_EXPORT CUresult cuGetErrorName(CUresult error, const char** text) {
  if (!text) return CUDA_ERROR_INVALID_VALUE;
  nm::client::count_local();
  for (const Name& n : kNames) {
    if (n.code != static_cast<int>(error)) continue;
    *text = n.name;
    return CUDA_SUCCESS;
  }
  if (auto* e = find(error)) {
    *text = e->name.c_str();
    return CUDA_SUCCESS;
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

NM_EXPORT CUresult cuGetErrorString(CUresult error, const char** text) {
  if (!text) return CUDA_ERROR_INVALID_VALUE;
  nm::client::count_local();
  if (auto* e = find(error)) {
    *text = e->text.c_str();
    return CUDA_SUCCESS;
  }
  return cuGetErrorName(error, text);  // before cuInit there is nobody to ask
}

}  // extern "C"
