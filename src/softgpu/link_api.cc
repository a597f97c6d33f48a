// cuLink*: several PTX texts become one image. There is no machine code here, so the image that comes out holds
// the texts, for cuModuleLoadData of this library.
#include <cstring>

#include "softgpu/module.h"

using namespace nm::softgpu;

namespace {

class Linker final : public Object {
 public:
  static constexpr Kind kKind = Kind::linker;
  Linker(unsigned count, CUjit_option* options, void** values) : Object(kKind), options(count, options, values) {}
  const JitOptions options;
  std::vector<std::string> texts;
  std::string image;  // what cuLinkComplete hands out; lives as long as the linker
};

void add(Linker& linker, CUjitInputType type, const void* data, size_t size) {
  require(data != nullptr && size > 0);
  if (type == CU_JIT_INPUT_FATBINARY) {
    for (auto& text : texts_of(data, linker.options)) linker.texts.push_back(std::move(text));
    return;
  }
  if (type != CU_JIT_INPUT_PTX) {
    require(type >= CU_JIT_INPUT_CUBIN && type < CU_JIT_NUM_INPUT_TYPES);
    linker.options.report("",
                          "The software GPU links PTX and fat binaries with PTX; it reads no cubins, objects, "
                          "archives or LTO-IR.\n");
    fail(type == CU_JIT_INPUT_NVVM ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_NO_BINARY_FOR_GPU);
  }
  linker.texts.emplace_back(static_cast<const char*>(data), strnlen(static_cast<const char*>(data), size));
}

}  // namespace

extern "C" {

CUresult cuLinkCreate_v2(unsigned num_options, CUjit_option* options, void** option_values, CUlinkState* state_out) {
  return in_context([&](ContextCall& c) {
    require(state_out != nullptr);
    auto linker = std::make_shared<Linker>(num_options, options, option_values);
    *state_out = handle_of<CUlinkState>(linker.get());
    c.context->own(std::move(linker));
  });
}
CUresult cuLinkCreate(unsigned num_options, CUjit_option* options, void** option_values, CUlinkState* state_out) {
  return cuLinkCreate_v2(num_options, options, option_values, state_out);
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void* data, size_t size, const char*, unsigned,
                          CUjit_option*, void**) {
  return in_context([&](ContextCall& c) { add(*c.driver.handles.get<Linker>(state), type, data, size); });
}
CUresult cuLinkAddData(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                       unsigned num_options, CUjit_option* options, void** option_values) {
  return cuLinkAddData_v2(state, type, data, size, name, num_options, options, option_values);
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char* path, unsigned, CUjit_option*, void**) {
  return in_context([&](ContextCall& c) {
    const auto linker = c.driver.handles.get<Linker>(state);
    const std::string data = read_file(path);
    add(*linker, type, data.data(), data.size());
  });
}
CUresult cuLinkAddFile(CUlinkState state, CUjitInputType type, const char* path, unsigned num_options,
                       CUjit_option* options, void** option_values) {
  return cuLinkAddFile_v2(state, type, path, num_options, options, option_values);
}

CUresult cuLinkComplete(CUlinkState state, void** cubin_out, size_t* size_out) {
  return in_context([&](ContextCall& c) {
    require(cubin_out != nullptr);
    const auto linker = c.driver.handles.get<Linker>(state);
    require(!linker->texts.empty());
    Module::load(c, c.context, linker->texts, linker->options);  // an unresolved name is an error now
    linker->image = bundle_texts(linker->texts);
    *cubin_out = linker->image.data();
    if (size_out) *size_out = linker->image.size();
  });
}

CUresult cuLinkDestroy(CUlinkState state) {
  return in_context([&](ContextCall& c) { c.context->disown(c.driver.handles.get<Linker>(state).get()); });
}

}  // extern "C"
