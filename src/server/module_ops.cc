// Modules, libraries, functions and the driver's linker.
#include <algorithm>
#include <cstring>

#include "server/image.h"
#include "server/session.h"
#include "server_args.h"
#include "wire/facts.h"
#include "wire/image_name.h"
#include "wire/packed.h"

namespace nm::server {
namespace {

constexpr uint64_t kMaxImage = 4ull << 30;
constexpr size_t kMaxLog = 1 << 20;
constexpr uint32_t kWrapped = 0x100, kKeep = 0x200;
enum Known : uint32_t { kUnknown = 0, kKnown = 1, kKeepsNone = 2 };
enum Form : uint32_t { kModule = 0, kFatbinary = 1, kLibrary = 2 };

struct WireOption {
  uint32_t option, pad;
  uint64_t value;
};

// The client's options with log buffers of our own.
class Options {
 public:
  explicit Options(std::span<const uint8_t> encoded) {
    std::vector<WireOption> in(encoded.size() / sizeof(WireOption));
    if (!in.empty()) std::memcpy(in.data(), encoded.data(), in.size() * sizeof in[0]);
    for (const WireOption& o : in) {
      options_.push_back(static_cast<CUjit_option>(o.option));
      values_.push_back(reinterpret_cast<void*>(o.value));
    }
    for (size_t i = 0; i < options_.size(); i++) {
      if (options_[i] == CU_JIT_INFO_LOG_BUFFER) values_[i] = buffer(&info_, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
      if (options_[i] == CU_JIT_ERROR_LOG_BUFFER) values_[i] = buffer(&error_, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
    }
  }
  // Lists of symbols are host pointers of the client: refused.
  bool acceptable() const {
    for (CUjit_option o : options_) {
      switch (static_cast<int>(o)) {
        case CU_JIT_GLOBAL_SYMBOL_NAMES:
        case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
        case CU_JIT_GLOBAL_SYMBOL_COUNT:
        case CU_JIT_REFERENCED_KERNEL_NAMES:
        case CU_JIT_REFERENCED_KERNEL_COUNT:
        case CU_JIT_REFERENCED_VARIABLE_NAMES:
        case CU_JIT_REFERENCED_VARIABLE_COUNT:
          return false;
        default:
          break;
      }
    }
    return options_.size() <= 64;
  }
  unsigned count() const { return static_cast<unsigned>(options_.size()); }
  CUjit_option* options() { return options_.data(); }
  void** values() { return values_.data(); }
  void write(std::vector<uint8_t>* logs) const {
    wire::Writer out(*logs);
    out.bytes(values_.data(), values_.size() * sizeof(void*));
    out.string(text(info_));
    out.string(text(error_));
  }

 private:
  void* buffer(std::vector<char>* to, CUjit_option size_option) {
    size_t size = 0;
    for (size_t i = 0; i < options_.size(); i++) {
      if (options_[i] != size_option) continue;
      size = std::min<size_t>(static_cast<uint32_t>(reinterpret_cast<uint64_t>(values_[i])), kMaxLog);
      values_[i] = reinterpret_cast<void*>(size);
    }
    to->assign(size + 1, '\0');
    return to->data();
  }
  static std::string_view text(const std::vector<char>& buffer) {
    return buffer.empty() ? std::string_view() : std::string_view(buffer.data(), strnlen(buffer.data(), buffer.size()));
  }

  std::vector<CUjit_option> options_;
  std::vector<void*> values_;
  std::vector<char> info_, error_;
};

struct Wrapper {
  uint32_t magic = 0x466243b1, version = 1;
  const void* fatbin;
  const void* more = nullptr;
};

// The image stays where the driver read it for as long as the session lives: a driver that loads lazily may read on.
const void* keep_image(Session& s, std::vector<uint8_t> image) {
  s.images().push_back(std::move(image));
  return s.images().back().data();
}

// One image on its way into the driver, wherever its bytes came from.
class Load {
 public:
  Load(Session& s, uint64_t handle, uint32_t form, std::span<const uint8_t> options)
      : s_(s), handle_(handle), form_(form & ~kWrapped), wrapped_(form & kWrapped), options_(options) {}

  bool acceptable() const {
    if (form_ > kLibrary || !options_.acceptable()) return false;
    return form_ == kLibrary ? s_.tables().library.free_slot(handle_) : s_.tables().module.free_slot(handle_);
  }
  // Without what is put behind it; as long as the session lives, if the driver took it.
  std::span<const uint8_t> image() const { return image_; }

  CUresult run(std::vector<uint8_t> bytes, int32_t* status, std::vector<uint8_t>* logs) {
    const DriverTable& d = s_.driver();
    if (form_ == kLibrary && !d.cuLibraryLoadData) return CUDA_ERROR_NOT_SUPPORTED;
    const size_t size = bytes.size();
    bytes.push_back(0);  // PTX ends with a zero whatever the client sent
    if (image_may_print(bytes)) s_.may_print();
    const void* image = keep_image(s_, std::move(bytes));
    image_ = {static_cast<const uint8_t*>(image), size};
    Wrapper wrapper;
    wrapper.fatbin = image;
    if (wrapped_) {
      auto* raw = reinterpret_cast<const uint8_t*>(&wrapper);
      image = keep_image(s_, std::vector<uint8_t>(raw, raw + sizeof wrapper));
    }
    CUmodule module = nullptr;
    CUlibrary library = nullptr;
    if (form_ == kLibrary) {
      CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
      void* yes = reinterpret_cast<void*>(1);
      *status = d.cuLibraryLoadData(&library, image, options_.options(), options_.values(), options_.count(), &preserved,
                                    &yes, 1);
    } else if (form_ == kFatbinary) {
      *status = d.cuModuleLoadFatBinary(&module, image);
    } else {
      *status = d.cuModuleLoadDataEx(&module, image, options_.count(), options_.options(), options_.values());
    }
    options_.write(logs);
    if (*status == CUDA_SUCCESS) {
      if (form_ == kLibrary) s_.tables().library.bind(handle_, library);
      else s_.tables().module.bind(handle_, module);
    } else {
      s_.images().pop_back();
      if (wrapped_) s_.images().pop_back();
      image_ = {};
    }
    return CUDA_SUCCESS;
  }

 private:
  Session& s_;
  uint64_t handle_;
  uint32_t form_;
  bool wrapped_;
  Options options_;
  std::span<const uint8_t> image_;
};

template <typename Attribute, typename Parameter>
std::vector<uint8_t> function_facts(const char* name, Attribute&& get_attribute, Parameter&& get_parameter) {
  wire::FunctionFacts f;
  f.name = name ? name : "";
  for (size_t i = 0; i < 4096; i++) {
    size_t offset = 0, size = 0;
    if (get_parameter(i, &offset, &size) != CUDA_SUCCESS) break;
    f.parameters.push_back({offset, size});
  }
  constexpr int kAttributes = 32;
  for (int a = 0; a < kAttributes; a++) {
    int value = 0;
    f.attribute_result.push_back(get_attribute(static_cast<CUfunction_attribute>(a), &value));
    f.attribute_value.push_back(value);
  }
  std::vector<uint8_t> out;
  // Without the first attribute nothing is known yet: the client asks again when it has to.
  if (f.attribute_result[0] != CUDA_SUCCESS) return out;
  wire::Writer writer(out);
  write_function_facts(f, writer);
  return out;
}

std::vector<uint8_t> facts_of_function(Session& s, CUfunction function, const char* name) {
  const DriverTable& d = s.driver();
  return function_facts(
      name, [&](CUfunction_attribute a, int* v) { return d.cuFuncGetAttribute(v, a, function); },
      [&](size_t i, size_t* offset, size_t* size) {
        return d.cuFuncGetParamInfo ? d.cuFuncGetParamInfo(function, i, offset, size) : CUDA_ERROR_NOT_SUPPORTED;
      });
}

std::vector<uint8_t> facts_of_kernel(Session& s, CUkernel kernel, const char* name) {
  const DriverTable& d = s.driver();
  CUdevice device;
  if (!s.context() || d.cuCtxGetDevice(&device) != CUDA_SUCCESS) return {};
  return function_facts(
      name, [&](CUfunction_attribute a, int* v) { return d.cuKernelGetAttribute(v, a, kernel, device); },
      [&](size_t i, size_t* offset, size_t* size) {
        return d.cuKernelGetParamInfo ? d.cuKernelGetParamInfo(kernel, i, offset, size) : CUDA_ERROR_NOT_SUPPORTED;
      });
}

}  // namespace

namespace hand {

CUresult nm_module_load(Session& s, args::nm_module_load& a, outs::nm_module_load& o) {
  if (a.image_size != s.record().bulk || a.image_size == 0 || a.image_size > kMaxImage) return CUDA_ERROR_INVALID_VALUE;
  const auto packing = static_cast<wire::Packing>(a.packing);
  if (packing == wire::Packing::none ? a.full_size != a.image_size
                                     : packing != wire::Packing::lz4 || a.full_size > kMaxImage) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Load load(s, a.handle, a.form & ~kKeep, a.options);
  if (!load.acceptable()) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> bytes;
  if (!s.read_bulk(a.image_size, &bytes)) return CUDA_ERROR_UNKNOWN;
  if (packing == wire::Packing::lz4) {
    auto full = wire::unpack(bytes, a.full_size);
    if (!full) return CUDA_ERROR_INVALID_VALUE;
    bytes = std::move(*full);
  }
  const CUresult result = load.run(std::move(bytes), &o.status, &o.logs);
  // What the driver refuses is not worth keeping.
  if (result == CUDA_SUCCESS && o.status == CUDA_SUCCESS && (a.form & kKeep)) s.image_cache().store(load.image());
  return result;
}

CUresult nm_image_load(Session& s, args::nm_image_load& a, outs::nm_image_load& o) {
  o.known = s.image_cache().keeps() ? kUnknown : kKeepsNone;
  Load load(s, a.handle, a.form, a.options);
  wire::Digest name, proof;
  if (!load.acceptable() || a.name.size() != name.size() || a.proof.size() != proof.size()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::copy(a.name.begin(), a.name.end(), name.begin());
  std::copy(a.proof.begin(), a.proof.end(), proof.begin());
  auto image = s.image_cache().find(name, a.image_size);
  // Who cannot show that he has the image is told what he would be told if nobody had it.
  if (!image || wire::image_proof(s.token(), name, *image) != proof) return CUDA_SUCCESS;
  o.known = kKnown;
  return load.run(std::move(*image), &o.status, &o.logs);
}

CUresult nm_function_info(Session& s, args::nm_function_info& a, outs::nm_function_info& o) {
  const DriverTable& d = s.driver();
  const char* name = nullptr;
  CUkernel kernel = reinterpret_cast<CUkernel>(a.function);
  if (s.tables().kernel.knows(kernel)) {
    if (d.cuKernelGetName) d.cuKernelGetName(&name, kernel);
    o.facts = facts_of_kernel(s, kernel, name);
  } else {
    if (d.cuFuncGetName) d.cuFuncGetName(&name, a.function);
    o.facts = facts_of_function(s, a.function, name);
  }
  return o.facts.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

CUresult nm_function_get(Session& s, args::nm_function_get& a, outs::nm_function_get& o) {
  if (CUresult e = s.driver().cuModuleGetFunction(&o.function, a.mod, a.name.c_str())) return e;
  o.facts = facts_of_function(s, o.function, a.name.c_str());
  return CUDA_SUCCESS;
}

CUresult nm_kernel_get(Session& s, args::nm_kernel_get& a, outs::nm_kernel_get& o) {
  if (!s.driver().cuLibraryGetKernel) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = s.driver().cuLibraryGetKernel(&o.kernel, a.library, a.name.c_str())) return e;
  o.facts = facts_of_kernel(s, o.kernel, a.name.c_str());
  return CUDA_SUCCESS;
}

CUresult nm_enumerate(Session& s, args::nm_enumerate& a, outs::nm_enumerate& o) {
  const DriverTable& d = s.driver();
  CUmodule module;
  CUlibrary library;
  unsigned count = 0;
  auto write = [&](auto& table, auto& objects) {
    for (auto object : objects) {
      uint64_t handle = table.virtual_of(object);
      auto* bytes = reinterpret_cast<const uint8_t*>(&handle);
      o.facts.insert(o.facts.end(), bytes, bytes + sizeof handle);
    }
  };
  if (a.owner && s.tables().module.find(a.owner, &module)) {
    if (!d.cuModuleGetFunctionCount || !d.cuModuleEnumerateFunctions) return CUDA_ERROR_NOT_SUPPORTED;
    if (CUresult e = d.cuModuleGetFunctionCount(&count, module)) return e;
    std::vector<CUfunction> functions(count);
    if (CUresult e = count ? d.cuModuleEnumerateFunctions(functions.data(), count, module) : CUDA_SUCCESS) return e;
    write(s.tables().function, functions);
    return CUDA_SUCCESS;
  }
  if (!a.owner || !s.tables().library.find(a.owner, &library)) return CUDA_ERROR_INVALID_HANDLE;
  if (!d.cuLibraryGetKernelCount || !d.cuLibraryEnumerateKernels) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = d.cuLibraryGetKernelCount(&count, library)) return e;
  std::vector<CUkernel> kernels(count);
  if (CUresult e = count ? d.cuLibraryEnumerateKernels(kernels.data(), count, library) : CUDA_SUCCESS) return e;
  write(s.tables().kernel, kernels);
  return CUDA_SUCCESS;
}

CUresult nm_link_create(Session& s, args::nm_link_create& a, outs::nm_link_create& o) {
  if (!s.tables().linker.free_slot(a.handle)) return CUDA_ERROR_INVALID_VALUE;
  // The driver writes logs to these buffers until the linker is destroyed.
  auto options = std::make_shared<Options>(a.options);
  if (!options->acceptable()) return CUDA_ERROR_INVALID_VALUE;
  CUlinkState state;
  CUresult status = s.driver().cuLinkCreate_v2(options->count(), options->options(), options->values(), &state);
  o.status = status;
  options->write(&o.logs);
  if (status == CUDA_SUCCESS) {
    s.tables().linker.bind(a.handle, state);
    s.linker_options()[state] = options;
    s.may_print();  // who knows what it will be given
  }
  return CUDA_SUCCESS;
}

CUresult nm_link_add(Session& s, args::nm_link_add& a, outs::nm_link_add& o) {
  if (a.data_size != s.record().bulk || a.data_size > kMaxImage) return CUDA_ERROR_INVALID_VALUE;
  Options options(a.options);
  if (!options.acceptable()) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> data;
  if (!s.read_bulk(a.data_size, &data)) return CUDA_ERROR_UNKNOWN;
  data.push_back(0);
  o.status = s.driver().cuLinkAddData_v2(a.state, static_cast<CUjitInputType>(a.type), data.data(), a.data_size,
                                         a.name.empty() ? nullptr : a.name.c_str(), options.count(), options.options(),
                                         options.values());
  if (auto kept = s.linker_options()[a.state]) std::static_pointer_cast<Options>(kept)->write(&o.logs);
  return CUDA_SUCCESS;
}

CUresult nm_link_complete(Session& s, args::nm_link_complete& a, outs::nm_link_complete& o) {
  void* cubin = nullptr;
  size_t size = 0;
  o.status = s.driver().cuLinkComplete(a.state, &cubin, &size);
  if (o.status == CUDA_SUCCESS && cubin && size < wire::kMaxReply - (2u << 20)) {
    o.cubin.assign(static_cast<uint8_t*>(cubin), static_cast<uint8_t*>(cubin) + size);
  } else if (o.status == CUDA_SUCCESS) {
    o.status = CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (auto kept = s.linker_options()[a.state]) std::static_pointer_cast<Options>(kept)->write(&o.logs);
  return CUDA_SUCCESS;
}

}  // namespace hand
}  // namespace nm::server
