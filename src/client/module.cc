#include "client/module.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>

#include "client/client.h"
#include "client/context.h"
#include "client/function.h"
#include "client/handles.h"
#include "client/image.h"
#include "client/image_load.h"
#include "client/memory.h"
#include "remote.h"

namespace nm::client {
namespace {

struct WireOption {
  uint32_t option, pad;
  uint64_t value;
};

size_t buffer_size(unsigned count, const CUjit_option* options, void** values, CUjit_option which) {
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == which) return static_cast<uint32_t>(reinterpret_cast<uint64_t>(values[i]));
  }
  return 0;
}

CUresult load(uint64_t* out, Kind kind, LoadForm form, const void* image, const JitOptions& options) {
  if (CUresult e = enter()) return e;
  if (kind == Kind::module && !current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!options.valid()) return CUDA_ERROR_INVALID_VALUE;
  Image measured = measure_image(image);
  if (!measured.data) return CUDA_ERROR_INVALID_IMAGE;
  uint64_t handle = draw_handle(kind);
  CUresult status = CUDA_SUCCESS;
  std::vector<uint8_t> logs;
  const uint32_t how = static_cast<uint32_t>(form) | (measured.wrapped ? kWrapped : 0);
  CUresult result = load_image(handle, how, options, measured, &status, &logs);
  if (result == CUDA_SUCCESS) {
    options.give_back(logs);
    result = status;
  }
  if (result != CUDA_SUCCESS) {
    release_handle(kind, handle);
    return result;
  }
  *out = handle;
  return CUDA_SUCCESS;
}

CUresult enumerate(uint64_t owner, uint64_t* handles, unsigned room) {
  std::vector<uint8_t> blob;
  if (CUresult e = remote::nm_enumerate(owner, &blob)) return e;
  if (blob.size() % 8 != 0) return CUDA_ERROR_UNKNOWN;
  for (size_t i = 0; i < blob.size() / 8 && i < room; i++) {
    memcpy(&handles[i], blob.data() + i * 8, 8);
    add_function(handles[i], owner, {});
  }
  return CUDA_SUCCESS;
}

// The same name gives the same handle, as in CUDA, for as long as its module or library is loaded.
std::mutex g_names_mutex;
std::map<std::pair<uint64_t, std::string>, uint64_t>& names() {
  static auto* all = new std::map<std::pair<uint64_t, std::string>, uint64_t>;
  return *all;
}

template <typename H, typename Get>
CUresult named(uint64_t owner, const char* name, H* out, Get&& get) {
  std::lock_guard lock(g_names_mutex);
  auto it = names().find({owner, name});
  if (it != names().end()) {
    *out = from_handle<H>(it->second);
    count_local();
    return CUDA_SUCCESS;
  }
  if (CUresult e = get()) return e;
  names()[{owner, name}] = as_handle(*out);
  return CUDA_SUCCESS;
}

void forget_names(uint64_t owner) {
  std::lock_guard lock(g_names_mutex);
  std::erase_if(names(), [owner](auto& entry) { return entry.first.first == owner; });
}

// A library's module is one per context.
std::mutex g_library_mutex;
std::map<std::pair<uint64_t, uint64_t>, uint64_t>& library_modules() {
  static auto* modules = new std::map<std::pair<uint64_t, uint64_t>, uint64_t>;
  return *modules;
}

}  // namespace

JitOptions::JitOptions(unsigned count, const CUjit_option* options, void** values)
    : count_(count), options_(options), values_(values) {
  if (count && (!options || !values)) valid_ = false;
  if (!valid_ || count > 64) {
    valid_ = count <= 64 && valid_;
    return;
  }
  for (unsigned i = 0; i < count; i++) {
    WireOption o{static_cast<uint32_t>(options[i]), 0, reinterpret_cast<uint64_t>(values[i])};
    switch (static_cast<int>(options[i])) {
      case CU_JIT_GLOBAL_SYMBOL_NAMES:
      case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
      case CU_JIT_GLOBAL_SYMBOL_COUNT:
      case CU_JIT_REFERENCED_KERNEL_NAMES:
      case CU_JIT_REFERENCED_KERNEL_COUNT:
      case CU_JIT_REFERENCED_VARIABLE_NAMES:
      case CU_JIT_REFERENCED_VARIABLE_COUNT:
        valid_ = false;  // host pointers to lists of symbols: nothing here carries them
        return;
      case CU_JIT_INFO_LOG_BUFFER:
      case CU_JIT_ERROR_LOG_BUFFER:
        o.value = 0;  // the server brings buffers of its own
        break;
      default:
        break;
    }
    auto* bytes = reinterpret_cast<const uint8_t*>(&o);
    encoded_.insert(encoded_.end(), bytes, bytes + sizeof o);
  }
}

bool JitOptions::only_report() const {
  for (unsigned i = 0; i < count_; i++) {
    switch (static_cast<int>(options_[i])) {
      case CU_JIT_WALL_TIME:
      case CU_JIT_INFO_LOG_BUFFER:
      case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
      case CU_JIT_ERROR_LOG_BUFFER:
      case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
      case CU_JIT_LOG_VERBOSE:
        break;
      default:
        return false;
    }
  }
  return true;
}

void JitOptions::give_back(const std::vector<uint8_t>& logs) const {
  wire::Reader in(logs);
  auto values = in.bytes();
  std::string info(in.string()), error(in.string());
  if (in.bad() || values.size() != count_ * sizeof(uint64_t)) return;
  auto copy = [&](void* to, const std::string& text, CUjit_option size_option) {
    size_t room = buffer_size(count_, options_, values_, size_option);
    if (to && room) snprintf(static_cast<char*>(to), room, "%s", text.c_str());
  };
  // Buffers first: their sizes are overwritten below.
  for (unsigned i = 0; i < count_; i++) {
    if (options_[i] == CU_JIT_INFO_LOG_BUFFER) copy(values_[i], info, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
    if (options_[i] == CU_JIT_ERROR_LOG_BUFFER) copy(values_[i], error, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  }
  for (unsigned i = 0; i < count_; i++) {
    uint64_t value;
    memcpy(&value, values.data() + i * sizeof value, sizeof value);
    switch (static_cast<int>(options_[i])) {
      case CU_JIT_WALL_TIME:
      case CU_JIT_THREADS_PER_BLOCK:
      case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
      case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        values_[i] = reinterpret_cast<void*>(value);
        break;
      default:
        break;
    }
  }
}

CUresult read_image_file(const char* path, std::vector<char>* out) {
  if (!path) return CUDA_ERROR_INVALID_VALUE;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CUDA_ERROR_FILE_NOT_FOUND;
  struct stat st;
  CUresult result = CUDA_SUCCESS;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) result = CUDA_ERROR_FILE_NOT_FOUND;
  if (result == CUDA_SUCCESS) {
    out->resize(static_cast<size_t>(st.st_size) + 1);
    size_t at = 0;
    while (at < static_cast<size_t>(st.st_size)) {
      ssize_t n = read(fd, out->data() + at, st.st_size - at);
      if (n <= 0) break;
      at += n;
    }
    if (at < static_cast<size_t>(st.st_size)) result = CUDA_ERROR_FILE_NOT_FOUND;
  }
  close(fd);
  return result;
}

}  // namespace nm::client

using namespace nm::client;
using nm::Kind;

extern "C" {

NM_EXPORT CUresult cuModuleLoadDataEx(CUmodule* mod, const void* image, unsigned count, CUjit_option* options,
                                      void** values) {
  if (!mod || !image) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = load(&handle, Kind::module, LoadForm::module, image, JitOptions(count, options, values))) return e;
  *mod = from_handle<CUmodule>(handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuModuleLoadData(CUmodule* mod, const void* image) {
  return cuModuleLoadDataEx(mod, image, 0, nullptr, nullptr);
}

NM_EXPORT CUresult cuModuleLoadFatBinary(CUmodule* mod, const void* image) {
  if (!mod || !image) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = load(&handle, Kind::module, LoadForm::fatbinary, image, JitOptions(0, nullptr, nullptr))) return e;
  *mod = from_handle<CUmodule>(handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuModuleLoad(CUmodule* mod, const char* path) {
  std::vector<char> file;
  if (CUresult e = read_image_file(path, &file)) return e;
  return cuModuleLoadData(mod, file.data());
}

NM_EXPORT CUresult cuModuleUnload(CUmodule mod) {
  if (CUresult e = enter()) return e;
  {
    std::lock_guard lock(g_library_mutex);
    for (auto& [key, handle] : library_modules()) {
      if (handle == as_handle(mod)) return CUDA_ERROR_INVALID_HANDLE;  // it goes with its library
    }
  }
  forget_module_memory(as_handle(mod));
  forget_names(as_handle(mod));
  return remote::cuModuleUnload(mod);
}

NM_EXPORT CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  if (CUresult e = enter()) return e;
  if (!mode) return CUDA_ERROR_INVALID_VALUE;
  *mode = static_cast<CUmoduleLoadingMode>(Client::get()->facts().loading_mode);
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule mod, const char* name) {
  if (CUresult e = enter()) return e;
  if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_handle(Kind::module, as_handle(mod), true)) return e;
  return named(as_handle(mod), name, function, [&] {
    std::vector<uint8_t> facts;
    CUresult e = remote::nm_function_get(function, mod, name, &facts);
    if (e == CUDA_SUCCESS) add_function(as_handle(*function), as_handle(mod), facts);
    return e;
  });
}

NM_EXPORT CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned count, CUmodule mod) {
  if (CUresult e = enter()) return e;
  if (!functions || !count) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_handle(Kind::module, as_handle(mod), true)) return e;
  return enumerate(as_handle(mod), reinterpret_cast<uint64_t*>(functions), count);
}

NM_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr* dptr, size_t* bytes, CUmodule mod, const char* name) {
  CUdeviceptr address;
  size_t size;
  if (CUresult e = remote::cuModuleGetGlobal_v2(&address, &size, mod, name)) return e;
  remember_module_memory(as_handle(mod), address, size);
  if (dptr) *dptr = address;
  if (bytes) *bytes = size;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit, void** jit_values,
                                     unsigned jit_count, CUlibraryOption* options, void** values, unsigned count) {
  // CU_LIBRARY_BINARY_IS_PRESERVED promises that `code` stays; the server keeps a copy of its own in any case.
  // CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE holds host pointers, which mean nothing to the device here.
  (void)values;
  if (!library || !code || (count && !options)) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] > CU_LIBRARY_BINARY_IS_PRESERVED) return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t handle;
  if (CUresult e = load(&handle, Kind::library, LoadForm::library, code, JitOptions(jit_count, jit, jit_values)))
    return e;
  *library = from_handle<CUlibrary>(handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path, CUjit_option* jit, void** jit_values,
                                         unsigned jit_count, CUlibraryOption* options, void** values, unsigned count) {
  std::vector<char> file;
  if (CUresult e = read_image_file(path, &file)) return e;
  return cuLibraryLoadData(library, file.data(), jit, jit_values, jit_count, options, values, count);
}

NM_EXPORT CUresult cuLibraryUnload(CUlibrary library) {
  if (CUresult e = enter()) return e;
  forget_module_memory(as_handle(library));
  forget_names(as_handle(library));
  {
    std::lock_guard lock(g_library_mutex);
    std::erase_if(library_modules(), [&](auto& entry) { return entry.first.first == as_handle(library); });
  }
  return remote::cuLibraryUnload(library);
}

NM_EXPORT CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  if (CUresult e = enter()) return e;
  if (!kernel || !name) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_handle(Kind::library, as_handle(library), true)) return e;
  return named(as_handle(library), name, kernel, [&] {
    std::vector<uint8_t> facts;
    CUresult e = remote::nm_kernel_get(kernel, library, name, &facts);
    if (e == CUDA_SUCCESS) add_function(as_handle(*kernel), as_handle(library), facts);
    return e;
  });
}

NM_EXPORT CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned count, CUlibrary library) {
  if (CUresult e = enter()) return e;
  if (!kernels || !count) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_handle(Kind::library, as_handle(library), true)) return e;
  return enumerate(as_handle(library), reinterpret_cast<uint64_t*>(kernels), count);
}

NM_EXPORT CUresult cuLibraryGetModule(CUmodule* mod, CUlibrary library) {
  if (CUresult e = enter()) return e;
  if (!mod) return CUDA_ERROR_INVALID_VALUE;
  std::pair key{as_handle(library), current_context()};
  std::lock_guard lock(g_library_mutex);
  auto it = library_modules().find(key);
  if (it == library_modules().end()) {
    if (CUresult e = remote::cuLibraryGetModule(mod, library)) return e;
    library_modules()[key] = as_handle(*mod);
    return CUDA_SUCCESS;
  }
  *mod = from_handle<CUmodule>(it->second);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLibraryGetGlobal(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  CUdeviceptr address;
  size_t size;
  if (CUresult e = remote::cuLibraryGetGlobal(&address, &size, library, name)) return e;
  remember_module_memory(as_handle(library), address, size);
  if (dptr) *dptr = address;
  if (bytes) *bytes = size;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuLibraryGetManaged(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  CUdeviceptr address;
  size_t size;
  if (CUresult e = remote::cuLibraryGetManaged(&address, &size, library, name)) return e;
  if (CUresult e = mirror_managed_variable(as_handle(library), address, size)) return e;
  if (dptr) *dptr = address;
  if (bytes) *bytes = size;
  return CUDA_SUCCESS;
}

}  // extern "C"
