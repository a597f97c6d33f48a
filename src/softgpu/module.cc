#include "softgpu/module.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>

namespace nm::softgpu {
namespace {

// Host memory for the copy of the code that a library keeps to answer questions.
class PlainMemory final : public ptx::Memory {
 public:
  ptx::Range find(uint64_t) override { return {}; }
  uint64_t epoch() const override { return 1; }
  uint64_t allocate(uint64_t bytes, uint64_t align) override {
    align = std::max<uint64_t>(align, 16);
    void* at = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (at) std::fill_n(static_cast<uint8_t*>(at), bytes, uint8_t{0});
    return reinterpret_cast<uint64_t>(at);
  }
  void release(uint64_t address) override { std::free(reinterpret_cast<void*>(address)); }
};

std::unique_ptr<ptx::Module> compile(const std::vector<std::string>& texts, ptx::Memory& memory, CUresult& result,
                                     std::string& log) {
  result = CUDA_SUCCESS;
  std::vector<std::string_view> views;
  for (const auto& text : texts) {
    if (result = check_ptx_header(text, log); result != CUDA_SUCCESS) return nullptr;
    views.emplace_back(text);
  }
  auto code = ptx::Module::load(views, memory, log);
  if (code) return std::move(*code);
  if (log.empty()) log = code.error().message + "\n";
  result = CUDA_ERROR_INVALID_PTX;
  return nullptr;
}

}  // namespace

FunctionSettings::FunctionSettings(const ptx::KernelInfo& info)
    : max_dynamic_shared(std::max(0, kSharedPerBlock - static_cast<int>(info.static_shared))) {
  for (int i = 0; i < 3; ++i) cluster[i] = static_cast<int>(info.cluster_dims[i]);
}

Module::Module(ContextPtr context, std::unique_ptr<ptx::Module> code)
    : Object(kKind), context(std::move(context)), memory(this->context->memory), code(std::move(code)) {}

ModulePtr Module::load(Call& c, const ContextPtr& context, const std::vector<std::string>& texts,
                       const JitOptions& options) {
  const auto memory = context->memory;
  std::string log;
  CUresult result = CUDA_SUCCESS;
  c.lock.unlock();
  auto code = compile(texts, *memory, result, log);
  c.lock.lock();
  options.report(code ? log : "", code ? "" : log);
  check(result);
  if (!context->alive || context->memory != memory) {
    fail(CUDA_ERROR_CONTEXT_IS_DESTROYED);
  }
  return std::make_shared<Module>(context, std::move(code));
}

FunctionPtr Module::function(std::string_view name) const {
  for (const auto& function : functions) {
    if (function->info().name == name) return function;
  }
  return nullptr;
}

const ptx::Variable* Module::variable(std::string_view name) const {
  for (const auto& variable : code->variables()) {
    if (variable.name == name) return &variable;
  }
  return nullptr;
}

void Module::publish() {
  for (const ptx::Kernel* kernel : code->kernels()) {
    std::shared_ptr<FunctionSettings> settings;
    if (library) {
      for (const auto& handle : library->kernels) {
        if (handle->name == kernel->info().name) settings = handle->settings[context->device.ordinal];
      }
    }
    if (!settings) settings = std::make_shared<FunctionSettings>(kernel->info());
    functions.push_back(std::make_shared<Function>(*this, *kernel, std::move(settings)));
  }
  for (const auto& function : functions) context->own(function);
  context->own(shared_from_this());
}

void Module::retire() {
  for (const auto& function : functions) context->disown(function.get());
  context->disown(this);
}

KernelHandle::KernelHandle(Library& library, const ptx::Kernel& kernel, size_t devices)
    : Object(kKind), library(library), name(kernel.info().name), kernel(kernel) {
  for (size_t i = 0; i < devices; ++i) settings.push_back(std::make_shared<FunctionSettings>(kernel.info()));
}

ModulePtr Library::instance(Call& c, const ContextPtr& context) {
  const uint64_t key = context->incarnation;
  if (auto module = instances[key].lock()) return module;
  const auto keep = shared_from_this();
  auto module = Module::load(c, context, texts, JitOptions(0, nullptr, nullptr));
  // Another thread may have been faster while the lock was let go.
  if (auto other = instances[key].lock()) return other;
  module->library = this;
  module->publish();
  instances[key] = module;
  return module;
}

FunctionPtr function_of(ContextCall& c, CUfunction handle) {
  if (auto function = c.driver.handles.find<Function>(handle)) return function;
  const auto kernel = c.driver.handles.get<KernelHandle>(handle);
  auto function = kernel->library.instance(c, c.context)->function(kernel->name);
  require(function != nullptr, CUDA_ERROR_NOT_FOUND);
  return function;
}

std::vector<std::string> texts_of(const void* image, const JitOptions& options) {
  require(image != nullptr);
  Image read = read_image(image);
  if (read.result != CUDA_SUCCESS) {
    options.report("", read.log);
    fail(read.result);
  }
  return std::move(read.texts);
}

std::string read_file(const char* path) {
  require(path != nullptr);
  std::ifstream file(path, std::ios::binary);
  require(file.good(), CUDA_ERROR_FILE_NOT_FOUND);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  text.push_back(0);
  text.push_back(0);
  text.push_back(0);
  return text;
}

std::shared_ptr<Library> make_library(Call& c, std::vector<std::string> texts, const JitOptions& options) {
  auto library = std::make_shared<Library>();
  library->texts = std::move(texts);
  library->own_memory = std::make_unique<PlainMemory>();
  std::string log;
  CUresult result = CUDA_SUCCESS;
  c.lock.unlock();
  library->code = compile(library->texts, *library->own_memory, result, log);
  c.lock.lock();
  options.report(library->code ? log : "", library->code ? "" : log);
  check(result);
  for (const ptx::Kernel* kernel : library->code->kernels()) {
    library->kernels.push_back(std::make_shared<KernelHandle>(*library, *kernel, c.driver.devices.size()));
  }
  return library;
}

}  // namespace nm::softgpu
