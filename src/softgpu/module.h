// Device code: a module in a context, its functions; a library without a context, its kernels.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "softgpu/context.h"
#include "softgpu/image.h"
#include "softgpu/jit.h"

namespace nm::softgpu {

class Module;
class Library;

// What cuFuncSetAttribute and cuKernelSetAttribute change.
struct FunctionSettings {
  int max_dynamic_shared;
  int carveout = -1;
  int cluster[3] = {0, 0, 0};
  int non_portable_cluster = 0;
  int cluster_policy = 0;
  CUfunc_cache cache = CU_FUNC_CACHE_PREFER_NONE;

  explicit FunctionSettings(const ptx::KernelInfo& info);
};

class Function final : public Object {
 public:
  static constexpr Kind kKind = Kind::function;
  Function(Module& module, const ptx::Kernel& kernel, std::shared_ptr<FunctionSettings> settings)
      : Object(kKind), module(module), kernel(kernel), settings(std::move(settings)) {}

  Module& module;  // which owns this
  const ptx::Kernel& kernel;
  const std::shared_ptr<FunctionSettings> settings;  // shared with the library's kernel, if it comes from one
  // Of the launch interface before CUDA 4.
  unsigned old_block[3] = {1, 1, 1};
  unsigned old_shared = 0;
  std::vector<uint8_t> old_params;

  const ptx::KernelInfo& info() const { return kernel.info(); }
};
using FunctionPtr = std::shared_ptr<Function>;

class Module final : public Object {
 public:
  static constexpr Kind kKind = Kind::module;
  Module(ContextPtr context, std::unique_ptr<ptx::Module> code);
  // Compiles for the context. Lets go of the lock meanwhile. The logs go to the options.
  static std::shared_ptr<Module> load(Call& c, const ContextPtr& context, const std::vector<std::string>& texts,
                                      const JitOptions& options);

  const ContextPtr context;
  const std::shared_ptr<ContextMemory> memory;
  const std::unique_ptr<ptx::Module> code;
  std::vector<FunctionPtr> functions;  // in the order of the text
  Library* library = nullptr;          // null: not of a library

  FunctionPtr function(std::string_view name) const;  // null: no such one
  const ptx::Variable* variable(std::string_view name) const;
  // The handles of the module and its functions are live from now on, or no more.
  void publish();
  void retire();
};
using ModulePtr = std::shared_ptr<Module>;

class KernelHandle final : public Object {
 public:
  static constexpr Kind kKind = Kind::kernel;
  KernelHandle(Library& library, const ptx::Kernel& kernel, size_t devices);
  Library& library;  // which owns this
  const std::string name;
  const ptx::Kernel& kernel;                                // of the library's own copy of the code
  std::vector<std::shared_ptr<FunctionSettings>> settings;  // one a device
};

class Library final : public Object {
 public:
  static constexpr Kind kKind = Kind::library;
  Library() : Object(kKind) {}

  std::vector<std::string> texts;
  std::unique_ptr<ptx::Memory> own_memory;  // of `code`, which is never run: it knows names and parameters
  std::unique_ptr<ptx::Module> code;
  std::vector<std::shared_ptr<KernelHandle>> kernels;
  std::map<uint64_t, std::weak_ptr<Module>> instances;  // by Context::incarnation; the contexts own them

  // The library's module in the context, loaded there at its first use.
  ModulePtr instance(Call& c, const ContextPtr& context);
};

// Compiles once for what the library itself answers. Lets go of the lock meanwhile.
std::shared_ptr<Library> make_library(Call& c, std::vector<std::string> texts, const JitOptions& options);
// What is launched: a function, or a library's kernel in the current context. INVALID_HANDLE for neither.
FunctionPtr function_of(ContextCall& c, CUfunction handle);
// The PTX of an image, or a failure with its log reported.
std::vector<std::string> texts_of(const void* image, const JitOptions& options);
// The contents of a file with a NUL behind them, or FILE_NOT_FOUND.
std::string read_file(const char* path);

}  // namespace nm::softgpu
