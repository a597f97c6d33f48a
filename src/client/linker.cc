// cuLink*: the driver's linker runs on the server; files are read here and logs come back here.
#include <map>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/handles.h"
#include "client/module.h"
#include "remote.h"

namespace nm::client {
namespace {

// The program gave its log buffers when it created the linker; they are filled by every later step.
struct Linker {
  std::vector<CUjit_option> options;
  void** values;
  std::vector<uint8_t> cubin;  // owned by the linker until it is destroyed, as in CUDA
};

std::mutex g_mutex;
std::map<uint64_t, Linker>& linkers() {
  static auto* all = new std::map<uint64_t, Linker>;
  return *all;
}

void give_back_logs(uint64_t handle, const std::vector<uint8_t>& logs) {
  std::lock_guard lock(g_mutex);
  auto it = linkers().find(handle);
  if (it == linkers().end()) return;
  Linker& l = it->second;
  JitOptions(static_cast<unsigned>(l.options.size()), l.options.data(), l.values).give_back(logs);
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;
using nm::Kind;

extern "C" {

NM_EXPORT CUresult cuLinkCreate_v2(unsigned count, CUjit_option* options, void** values, CUlinkState* state) {
  if (CUresult e = enter()) return e;
  if (!state) return CUDA_ERROR_INVALID_VALUE;
  JitOptions jit(count, options, values);
  if (!jit.valid()) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle = draw_handle(Kind::linker);
  int status = 0;
  std::vector<uint8_t> logs;
  CUresult result = remote::nm_link_create(handle, jit.encoded().data(), jit.encoded().size(), &status, &logs);
  if (result == CUDA_SUCCESS) result = static_cast<CUresult>(status);
  if (result != CUDA_SUCCESS) {
    release_handle(Kind::linker, handle);
    return result;
  }
  {
    std::lock_guard lock(g_mutex);
    linkers()[handle] = {std::vector<CUjit_option>(options, options + count), values, {}};
  }
  *state = from_handle<CUlinkState>(handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLinkCreate(unsigned count, CUjit_option* options, void** values, CUlinkState* state) {
  return cuLinkCreate_v2(count, options, values, state);
}

NM_EXPORT CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                                    unsigned count, CUjit_option* options, void** values) {
  if (CUresult e = enter()) return e;
  if (!data || !size) return CUDA_ERROR_INVALID_VALUE;
  JitOptions jit(count, options, values);
  if (!jit.valid()) return CUDA_ERROR_INVALID_VALUE;
  int status = 0;
  std::vector<uint8_t> logs;
  CUresult result = remote::nm_link_add(state, type, name ? name : "", jit.encoded().data(), jit.encoded().size(), data,
                                        size, &status, &logs);
  if (result != CUDA_SUCCESS) return result;
  give_back_logs(as_handle(state), logs);
  return static_cast<CUresult>(status);
}

NM_EXPORT CUresult cuLinkAddData(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                                 unsigned count, CUjit_option* options, void** values) {
  return cuLinkAddData_v2(state, type, data, size, name, count, options, values);
}

NM_EXPORT CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char* path, unsigned count,
                                    CUjit_option* options, void** values) {
  std::vector<char> file;
  if (CUresult e = read_image_file(path, &file)) return e;
  size_t size = type == CU_JIT_INPUT_PTX ? file.size() : file.size() - 1;
  return cuLinkAddData_v2(state, type, file.data(), size, path, count, options, values);
}

NM_EXPORT CUresult cuLinkAddFile(CUlinkState state, CUjitInputType type, const char* path, unsigned count,
                                 CUjit_option* options, void** values) {
  return cuLinkAddFile_v2(state, type, path, count, options, values);
}

NM_EXPORT CUresult cuLinkComplete(CUlinkState state, void** cubin, size_t* size) {
  if (CUresult e = enter()) return e;
  if (!cubin) return CUDA_ERROR_INVALID_VALUE;
  int status = 0;
  std::vector<uint8_t> image, logs;
  if (CUresult e = remote::nm_link_complete(state, &status, &image, &logs)) return e;
  give_back_logs(as_handle(state), logs);
  if (status) return static_cast<CUresult>(status);
  std::lock_guard lock(g_mutex);
  Linker& l = linkers()[as_handle(state)];
  l.cubin = std::move(image);
  *cubin = l.cubin.data();
  if (size) *size = l.cubin.size();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLinkDestroy(CUlinkState state) {
  if (CUresult e = remote::cuLinkDestroy(state)) return e;
  std::lock_guard lock(g_mutex);
  linkers().erase(as_handle(state));
  return CUDA_SUCCESS;
}

}  // extern "C"
