// Modules: device code in the current context.
#include "softgpu/module.h"

using namespace nm::softgpu;

namespace {

void load(ContextCall& c, CUmodule* out, std::vector<std::string> texts, const JitOptions& options) {
  const auto module = Module::load(c, c.context, texts, options);
  module->publish();
  *out = handle_of<CUmodule>(module.get());
}

}  // namespace

extern "C" {

CUresult cuModuleLoadDataEx(CUmodule* module_, const void* image, unsigned num_options, CUjit_option* options,
                            void** option_values) {
  return in_context([&](ContextCall& c) {
    require(module_ != nullptr && image != nullptr);
    const JitOptions jit(num_options, options, option_values);
    load(c, module_, texts_of(image, jit), jit);
  });
}

CUresult cuModuleLoadData(CUmodule* module_, const void* image) {
  return cuModuleLoadDataEx(module_, image, 0, nullptr, nullptr);
}
CUresult cuModuleLoadFatBinary(CUmodule* module_, const void* fat_cubin) {
  return cuModuleLoadDataEx(module_, fat_cubin, 0, nullptr, nullptr);
}

CUresult cuModuleLoad(CUmodule* module_, const char* fname) {
  return in_context([&](ContextCall& c) {
    require(module_ != nullptr);
    const std::string image = read_file(fname);
    const JitOptions jit(0, nullptr, nullptr);
    load(c, module_, texts_of(image.data(), jit), jit);
  });
}

CUresult cuModuleUnload(CUmodule mod) {
  return in_context([&](ContextCall& c) {
    const auto module = c.driver.handles.get<Module>(mod);
    require(module->library == nullptr, CUDA_ERROR_NOT_PERMITTED);  // it goes with its library
    module->retire();
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule mod, const char* name) {
  return in_context([&](ContextCall& c) {
    require(function != nullptr && name != nullptr && *name != 0);
    const auto found = c.driver.handles.get<Module>(mod)->function(name);
    require(found != nullptr, CUDA_ERROR_NOT_FOUND);
    *function = handle_of<CUfunction>(found.get());
  });
}

CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule mod) {
  return in_context([&](ContextCall& c) {
    require(count != nullptr);
    *count = static_cast<unsigned>(c.driver.handles.get<Module>(mod)->functions.size());
  });
}

CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned num_functions, CUmodule mod) {
  return in_context([&](ContextCall& c) {
    require(functions != nullptr && num_functions > 0);
    const auto module = c.driver.handles.get<Module>(mod);
    for (unsigned i = 0; i < num_functions && i < module->functions.size(); ++i) {
      functions[i] = handle_of<CUfunction>(module->functions[i].get());
    }
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* dptr, size_t* bytes, CUmodule mod, const char* name) {
  return in_context([&](ContextCall& c) {
    require(name != nullptr);
    const auto module = c.driver.handles.get<Module>(mod);
    const auto* variable = module->variable(name);
    require(variable != nullptr, CUDA_ERROR_NOT_FOUND);
    if (dptr) *dptr = variable->address;
    if (bytes) *bytes = variable->size;
  });
}

CUresult cuModuleGetTexRef(CUtexref*, CUmodule mod, const char* name) {
  return in_context([&](ContextCall& c) {
    require(name != nullptr);
    c.driver.handles.get<Module>(mod);
    fail(CUDA_ERROR_NOT_FOUND);  // the engine loads no module that declares one
  });
}

CUresult cuModuleGetSurfRef(CUsurfref*, CUmodule mod, const char* name) {
  return in_context([&](ContextCall& c) {
    require(name != nullptr);
    c.driver.handles.get<Module>(mod);
    fail(CUDA_ERROR_NOT_FOUND);
  });
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  return call([&](Call&) {
    require(mode != nullptr);
    *mode = CU_MODULE_EAGER_LOADING;
  });
}

}  // extern "C"
