// Loading: parse, link, and the public face of the result.
#include <new>

#include "softgpu/ptx/linker.h"
#include "softgpu/ptx/parser.h"

namespace nm::softgpu::ptx {
namespace {

class ModuleImpl final : public Module {
 public:
  explicit ModuleImpl(std::unique_ptr<Program> program) : program_(std::move(program)) {}

  const Kernel* find(std::string_view name) const override {
    for (const auto& kernel : program_->kernels) {
      if (kernel->info_.name == name) return kernel.get();
    }
    return nullptr;
  }
  std::vector<const Kernel*> kernels() const override {
    std::vector<const Kernel*> list;
    for (const auto& kernel : program_->kernels) list.push_back(kernel.get());
    return list;
  }
  const std::vector<Variable>& variables() const override { return program_->variables; }

 private:
  std::unique_ptr<Program> program_;
};

Result<std::unique_ptr<Module>> load_texts(std::span<const std::string_view> texts, Memory& memory, std::string& log) {
  std::vector<ast::Unit> units;
  for (size_t i = 0; i < texts.size(); ++i) {
    auto unit = parse(texts[i]);
    if (!unit) {
      log = (texts.size() > 1 ? "input " + std::to_string(i + 1) + ", " : "") + unit.error().message + "\n";
      return Error{log};
    }
    units.push_back(std::move(*unit));
  }
  if (units.empty()) {
    log = "no PTX text\n";
    return Error{log};
  }
  Linker linker(std::move(units), memory);
  auto program = linker.link();
  if (program == nullptr) {
    for (const std::string& error : linker.errors()) log += error + "\n";
    return Error{log};
  }
  return std::unique_ptr<Module>(std::make_unique<ModuleImpl>(std::move(program)));
}

}  // namespace

Result<std::unique_ptr<Module>> Module::load(std::span<const std::string_view> texts, Memory& memory,
                                             std::string& log) {
  log.clear();
  try {
    return load_texts(texts, memory, log);
  } catch (const std::bad_alloc&) {
    log = "no memory to load the module\n";
    return Error{log};
  }
}

}  // namespace nm::softgpu::ptx
