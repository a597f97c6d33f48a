// Functions and kernels: what they are, and their settings.
#include "softgpu/function_attributes.h"

using namespace nm::softgpu;

extern "C" {

CUresult cuFuncGetAttribute(int* pi, CUfunction_attribute attrib, CUfunction function) {
  return in_context([&](ContextCall& c) {
    require(pi != nullptr);
    const auto f = function_of(c, function);
    *pi = function_attribute(f->info(), *f->settings, attrib);
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attrib, int value) {
  return in_context([&](ContextCall& c) {
    const auto f = function_of(c, function);
    set_function_attribute(f->info(), *f->settings, attrib, value);
  });
}

CUresult cuKernelGetAttribute(int* pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev) {
  return call([&](Call& c) {
    require(pi != nullptr);
    const auto k = c.driver.handles.get<KernelHandle>(kernel);
    *pi = function_attribute(k->kernel.info(), *k->settings[c.driver.device(dev).ordinal], attrib);
  });
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev) {
  return call([&](Call& c) {
    const auto k = c.driver.handles.get<KernelHandle>(kernel);
    set_function_attribute(k->kernel.info(), *k->settings[c.driver.device(dev).ordinal], attrib, val);
  });
}

CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config) {
  return in_context([&](ContextCall& c) {
    require(config <= CU_FUNC_CACHE_PREFER_EQUAL);
    function_of(c, hfunc)->settings->cache = config;
  });
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev) {
  return call([&](Call& c) {
    require(config <= CU_FUNC_CACHE_PREFER_EQUAL);
    c.driver.handles.get<KernelHandle>(kernel)->settings[c.driver.device(dev).ordinal]->cache = config;
  });
}

CUresult cuFuncSetSharedMemConfig(CUfunction function, CUsharedconfig config) {
  return in_context([&](ContextCall& c) {
    require(config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE);
    function_of(c, function);
  });
}

CUresult cuFuncGetModule(CUmodule* hmod, CUfunction hfunc) {
  return in_context([&](ContextCall& c) {
    require(hmod != nullptr);
    *hmod = handle_of<CUmodule>(&function_of(c, hfunc)->module);
  });
}

CUresult cuFuncGetName(const char** name, CUfunction hfunc) {
  return in_context([&](ContextCall& c) {
    require(name != nullptr);
    *name = function_of(c, hfunc)->info().name.c_str();
  });
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t param_index, size_t* param_offset, size_t* param_size) {
  return in_context(
      [&](ContextCall& c) { parameter_info(function_of(c, func)->info(), param_index, param_offset, param_size); });
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t param_index, size_t* param_offset, size_t* param_size) {
  return call([&](Call& c) {
    parameter_info(c.driver.handles.get<KernelHandle>(kernel)->kernel.info(), param_index, param_offset, param_size);
  });
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState* state, CUfunction function) {
  return in_context([&](ContextCall& c) {
    require(state != nullptr);
    function_of(c, function);
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
  });
}

CUresult cuFuncLoad(CUfunction function) {
  return in_context([&](ContextCall& c) { function_of(c, function); });
}

}  // extern "C"
