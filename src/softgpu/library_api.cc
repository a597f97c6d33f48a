// Libraries: device code without a context, that becomes a module in each context it is used in.
#include "softgpu/module.h"

using namespace nm::softgpu;

namespace {

void load(Call& c, CUlibrary* out, std::vector<std::string> texts, const JitOptions& options) {
  auto library = make_library(c, std::move(texts), options);
  *out = handle_of<CUlibrary>(library.get());
  for (const auto& kernel : library->kernels) c.driver.handles.add(kernel);
  c.driver.handles.add(std::move(library));
}

// Every option is taken: what they promise about the image's life, this driver does not need.
void require_options(unsigned count, CUlibraryOption* options, void** values) {
  require(count == 0 || (options != nullptr && values != nullptr));
  for (unsigned i = 0; i < count; ++i) require(options[i] >= 0 && options[i] < CU_LIBRARY_NUM_OPTIONS);
}

const ptx::Variable* variable_of(ContextCall& c, CUlibrary handle, const char* name, bool managed) {
  require(name != nullptr);
  const auto library = c.driver.handles.get<Library>(handle);
  const auto module = library->instance(c, c.context);
  const auto* variable = module->variable(name);
  require(variable != nullptr && variable->is_managed == managed, CUDA_ERROR_NOT_FOUND);
  return variable;
}

}  // namespace

extern "C" {

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit_options, void** jit_options_values,
                           unsigned num_jit_options, CUlibraryOption* library_options, void** library_option_values,
                           unsigned num_library_options) {
  return call([&](Call& c) {
    require(library != nullptr && code != nullptr);
    const JitOptions jit(num_jit_options, jit_options, jit_options_values);
    require_options(num_library_options, library_options, library_option_values);
    load(c, library, texts_of(code, jit), jit);
  });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* file_name, CUjit_option* jit_options,
                               void** jit_options_values, unsigned num_jit_options, CUlibraryOption* library_options,
                               void** library_option_values, unsigned num_library_options) {
  return call([&](Call& c) {
    require(library != nullptr);
    const JitOptions jit(num_jit_options, jit_options, jit_options_values);
    require_options(num_library_options, library_options, library_option_values);
    const std::string image = read_file(file_name);
    load(c, library, texts_of(image.data(), jit), jit);
  });
}

CUresult cuLibraryUnload(CUlibrary library) {
  return call([&](Call& c) {
    const auto object = c.driver.handles.get<Library>(library);
    for (const auto& [incarnation, weak] : object->instances) {
      if (const auto module = weak.lock()) module->retire();
    }
    for (const auto& kernel : object->kernels) c.driver.handles.remove(kernel.get());
    c.driver.handles.remove(object.get());
  });
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  return call([&](Call& c) {
    require(kernel != nullptr && name != nullptr);
    for (const auto& k : c.driver.handles.get<Library>(library)->kernels) {
      if (k->name == name) {
        *kernel = handle_of<CUkernel>(k.get());
        return;
      }
    }
    fail(CUDA_ERROR_NOT_FOUND);
  });
}

CUresult cuLibraryGetKernelCount(unsigned* count, CUlibrary lib) {
  return call([&](Call& c) {
    require(count != nullptr);
    *count = static_cast<unsigned>(c.driver.handles.get<Library>(lib)->kernels.size());
  });
}

CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned num_kernels, CUlibrary lib) {
  return call([&](Call& c) {
    require(kernels != nullptr && num_kernels > 0);
    const auto library = c.driver.handles.get<Library>(lib);
    for (unsigned i = 0; i < num_kernels && i < library->kernels.size(); ++i) {
      kernels[i] = handle_of<CUkernel>(library->kernels[i].get());
    }
  });
}

CUresult cuLibraryGetModule(CUmodule* mod, CUlibrary library) {
  return in_context([&](ContextCall& c) {
    require(mod != nullptr);
    *mod = handle_of<CUmodule>(c.driver.handles.get<Library>(library)->instance(c, c.context).get());
  });
}

CUresult cuLibraryGetGlobal(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  return in_context([&](ContextCall& c) {
    const auto* variable = variable_of(c, library, name, false);
    if (dptr) *dptr = variable->address;
    if (bytes) *bytes = variable->size;
  });
}

CUresult cuLibraryGetManaged(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  return in_context([&](ContextCall& c) {
    const auto* variable = variable_of(c, library, name, true);
    if (dptr) *dptr = variable->address;
    if (bytes) *bytes = variable->size;
  });
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  return in_context([&](ContextCall& c) {
    require(function != nullptr);
    const auto k = c.driver.handles.get<KernelHandle>(kernel);
    *function = handle_of<CUfunction>(k->library.instance(c, c.context)->function(k->name).get());
  });
}

CUresult cuKernelGetLibrary(CUlibrary* lib, CUkernel kernel) {
  return call([&](Call& c) {
    require(lib != nullptr);
    *lib = handle_of<CUlibrary>(&c.driver.handles.get<KernelHandle>(kernel)->library);
  });
}

CUresult cuKernelGetName(const char** name, CUkernel kernel) {
  return call([&](Call& c) {
    require(name != nullptr);
    *name = c.driver.handles.get<KernelHandle>(kernel)->name.c_str();
  });
}

}  // extern "C"
