// Parsed units to a Program: symbols across units, variables in memory, shared memory laid out, bodies lowered.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "softgpu/ptx/lower.h"

namespace nm::softgpu::ptx {

class Linker {
 public:
  Linker(std::vector<ast::Unit> units, Memory& memory);
  // Null: errors() says why.
  std::unique_ptr<Program> link();
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  struct Body {  // a function that is defined, with where it came from
    const ast::Function* fn = nullptr;
    Function* out = nullptr;
    uint32_t unit = 0;
    std::unordered_map<uint32_t, uint64_t> shared_offsets;  // of its own .shared variables
    std::vector<uint32_t> shared;                           // into shared_: those that it mentions
    uint32_t dynamic_align = 0;                             // of the .extern .shared that it mentions
  };
  struct Shared {
    const ast::Variable* var = nullptr;
    uint32_t unit = 0;
    int64_t body = -1;  // own variable of that function, `index` of its vars
    uint32_t index = 0;
    std::unordered_set<uint32_t> users;  // bodies
    uint64_t offset = 0;
  };
  using Table = std::unordered_map<std::string_view, Symbol>;

  bool fail(uint32_t line, const std::string& what);
  bool functions();
  bool variables();
  bool place_memory();
  bool initialise();
  bool write_initial(const ast::Variable& var, uint64_t address, uint32_t unit);
  void find_shared();
  void lay_out_shared();
  bool lower();
  void make_kernels();
  // Bodies reachable from `body`, and whether calls can repeat.
  std::vector<uint32_t> reach(uint32_t body) const;
  uint64_t stack_of(uint32_t body, std::vector<uint8_t>& state, bool& unbounded) const;

  std::vector<ast::Unit> units_;
  std::unique_ptr<Program> program_;
  std::vector<Table> tables_;  // by unit
  Table global_;
  std::unordered_map<std::string_view, uint32_t> defined_;  // strong definitions of global names
  std::vector<Body> bodies_;
  std::unordered_map<const Function*, uint32_t> body_of_;
  struct Placed {
    const ast::Variable* var;
    uint32_t unit;
    uint64_t address;
  };
  std::vector<Placed> placed_;
  std::vector<Shared> shared_;
  std::unordered_map<const ast::Variable*, uint32_t> shared_index_;
  std::vector<std::unordered_map<std::string_view, const ast::Variable*>> shared_names_;  // by unit
  uint64_t const_bytes_ = 0;
  uint64_t common_shared_ = 0;
  ConstantPool constants_;
  std::vector<std::string> errors_;
};

}  // namespace nm::softgpu::ptx
