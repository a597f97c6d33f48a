// Registers to frame slots. Compilers write PTX in single-assignment form, with thousands of registers that live for a
// few instructions; those get a slot from a pool, which keeps a warp's frame in the cache.
#include <algorithm>
#include <unordered_set>

#include "softgpu/ptx/lower.h"

namespace nm::softgpu::ptx {
namespace {

constexpr uint32_t kMany = ~0u;

// Operations whose first operand is only written.
bool writes_first(std::string_view op) {
  static const std::unordered_set<std::string_view> kNames = {
      "add",  "sub",   "mul",  "mad", "fma", "div",  "rem",  "abs",      "neg",   "min",  "max", "and",  "or",
      "xor",  "not",   "cnot", "shl", "shr", "popc", "clz",  "brev",     "bfind", "bfe",  "bfi", "prmt", "lop3",
      "shf",  "dp4a",  "dp2a", "sad", "mov", "selp", "slct", "set",      "cvt",   "cvta", "ld",  "ldu",  "rcp",
      "sqrt", "rsqrt", "sin",  "cos", "lg2", "ex2",  "tanh", "copysign", "mul24", "mad24"};
  return kNames.contains(op);
}

bool ends_block(std::string_view op) {
  return op == "bra" || op == "brx" || op == "call" || op == "ret" || op == "exit";
}

struct Life {
  uint32_t block = kMany - 1;  // not seen yet
  uint32_t first = 0, last = 0;
  bool local = true;
};

template <class F>
void visit(const ast::Operand& op, const F& f) {
  if (op.kind == ast::Operand::Kind::reg) f(op.index);
  for (const ast::Operand& item : op.items) visit(item, f);
}

}  // namespace

uint64_t assign_slots(const ast::Function& fn, std::vector<Ref>& slots, uint32_t& register_count) {
  std::vector<Life> lives(fn.regs.size());
  std::vector<bool> starts(fn.body.size() + 1, false);
  for (const ast::Label& label : fn.labels) starts[std::min<size_t>(label.at, fn.body.size())] = true;
  uint32_t block = 0;
  for (uint32_t at = 0; at < fn.body.size(); ++at) {
    const ast::Instruction& in = fn.body[at];
    if (starts[at]) ++block;
    auto touch = [&](uint32_t reg, bool pure_write) {
      Life& life = lives[reg];
      if (life.block == kMany - 1) {
        life.block = block;
        life.first = at;
        life.local = pure_write;
      } else if (life.block != block) {
        life.local = false;
      }
      life.last = at;
    };
    if (in.guard >= 0) touch(static_cast<uint32_t>(in.guard), false);
    for (size_t i = 1; i < in.operands.size(); ++i) visit(in.operands[i], [&](uint32_t reg) { touch(reg, false); });
    const bool pure = in.guard < 0 && writes_first(in.op);
    if (!in.operands.empty()) visit(in.operands[0], [&](uint32_t reg) { touch(reg, pure); });
    if (ends_block(in.op)) ++block;
  }

  // Classes: predicate words, then slots of 2, 4, 8, 16 bytes a lane.
  const uint32_t kBytes[5] = {4, 64, 128, 256, 512};
  auto class_of = [&](uint32_t reg) -> uint32_t {
    switch (fn.regs[reg].type) {
      case Type::pred:
        return 0;
      default:
        break;
    }
    switch (size_of(fn.regs[reg].type)) {
      case 1:
      case 2:
        return 1;
      case 4:
        return 2;
      case 8:
        return 3;
      default:
        return 4;
    }
  };
  std::vector<uint32_t> number(fn.regs.size(), 0);
  uint32_t counts[5] = {};
  std::vector<uint32_t> spare[5];
  std::vector<uint32_t> order(fn.regs.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return lives[a].first < lives[b].first; });
  std::vector<std::vector<uint32_t>> ending(fn.body.size() + 1);
  uint32_t freed = 0;  // slots of registers that ended before this instruction are back in the pool
  for (uint32_t reg : order) {
    const Life& life = lives[reg];
    const uint32_t kind = class_of(reg);
    const bool seen = life.block != kMany - 1;
    for (; seen && freed < life.first; ++freed) {
      for (uint32_t done : ending[freed]) spare[class_of(done)].push_back(number[done]);
    }
    if (seen && life.local && !spare[kind].empty()) {
      number[reg] = spare[kind].back();
      spare[kind].pop_back();
    } else {
      number[reg] = counts[kind]++;
    }
    if (seen && life.local) ending[life.last].push_back(reg);
  }

  uint64_t base[5], at = 0;
  for (uint32_t kind = 0; kind < 5; ++kind) {
    base[kind] = at;
    at += uint64_t{counts[kind]} * kBytes[kind];
    at = (at + 63) / 64 * 64;
  }
  slots.resize(fn.regs.size());
  for (uint32_t reg = 0; reg < fn.regs.size(); ++reg) {
    slots[reg] = static_cast<Ref>(base[class_of(reg)] + uint64_t{number[reg]} * kBytes[class_of(reg)]) | kFrame;
  }
  register_count = (counts[1] + 1) / 2 + counts[2] + 2 * counts[3] + 4 * counts[4];
  return at;
}

}  // namespace nm::softgpu::ptx
