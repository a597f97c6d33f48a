// Decoded code: what the parser's words become at load, and what the execution loop walks over.
//
// A register of a warp is 32 elements of its width, side by side (a predicate is one 32-bit mask), so that the handler
// of an instruction is a loop over lanes which the compiler turns into vector instructions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "softgpu/ptx/ptx.h"
#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx {

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kAllLanes = ~0u;

struct Exec;
struct Inst;
struct Function;
using Handler = void (*)(Exec&, const Inst&);

// Where an operand lives: two bits name the base, the rest is a byte offset (a multiple of 64 for vectors, 4 for
// masks).
using Ref = uint32_t;
enum Base : uint32_t { kFrame = 0, kConstants = 1, kSpecials = 2 };
inline constexpr Ref kNoRef = ~0u;

enum class Kind : uint8_t {
  plain,          // fn does it all
  join,           // a place where other fragments of the warp may wait: the start of a labelled block, a return point
  branch,         // to target
  branch_table,   // to table[r[0]]
  call,           // to callee
  call_indirect,  // to the function whose address r[0] holds
  ret,
  exit,
  collective,  // needs the lanes of a membermask: fn deposits the sources, inner computes and writes
  barrier,     // of the block; imm: BarrierOp
  cluster_arrive,
  cluster_wait,
  yield,  // nanosleep and the like: somebody else should run
  trap,
};

enum class BarrierOp : uint8_t { sync, arrive, red_popc, red_and, red_or };

// Rounding as in MXCSR bits 13-14.
enum class Round : uint8_t { rn = 0, rm = 1, rp = 2, rz = 3 };

struct ArgCopy {
  uint32_t from, to, bytes;  // offsets in the parameter memory of caller and callee
};

struct CallSite {
  const Function* callee = nullptr;                 // null: indirect
  std::vector<ArgCopy> in, out;                     // out: from the callee to the caller
  std::vector<uint32_t> param_bytes, return_bytes;  // what an indirect callee must look like
  std::vector<uint32_t> arg_offsets, result_offsets;
};

struct Inst {
  Handler fn = nullptr;
  Handler inner = nullptr;  // what a wrapper (rounding mode, collective) calls
  union {
    uint64_t imm = 0;  // address displacement, shift, …: the handler knows
    double real;
  };
  union {
    const Inst* target = nullptr;  // branch
    const std::vector<const Inst*>* table;
    const CallSite* call;
    const Ref* more;  // operands beyond eight
  };
  Ref r[8] = {kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef};
  Ref guard = 0;
  uint8_t guard_mode = 0;  // 0: none, 1: lanes whose predicate is set, 2: lanes whose predicate is clear
  Kind kind = Kind::plain;
  Space space = Space::generic;
  uint8_t size = 0;   // of a memory element, in bytes
  uint8_t count = 0;  // vector elements, or operands
  uint8_t width = 0;  // of an address register, in bytes
  uint8_t flags = 0;  // the handler knows
  uint8_t mode = 0;   // the handler knows
  uint32_t line = 0;
};

struct Slot {
  uint32_t offset, bytes;
};

struct Function {
  std::string name;
  uint32_t index = 0;  // in the module; address() is what a function pointer holds
  uint32_t line = 0;
  bool defined = false;
  bool is_entry = false;
  std::vector<Inst> code;
  std::vector<std::unique_ptr<CallSite>> calls;
  std::vector<std::unique_ptr<std::vector<const Inst*>>> tables;
  std::vector<std::unique_ptr<Ref[]>> more;
  uint32_t frame_bytes = 0;  // registers of a warp
  Ref carry = kNoRef;        // CC.CF, a predicate
  Ref local_base = kNoRef;   // u64 slot that holds the frame's offset in local memory; kNoRef: no local variables
  uint32_t local_bytes = 0;  // a thread
  uint32_t param_bytes = 0;  // memory of a thread for own parameters, results and those of calls
  std::vector<Slot> params, returns;  // in it; of an entry: in the launch's buffer
  uint32_t register_count = 0;
  std::vector<uint32_t> callees;  // function indices, for reachability
  bool calls_indirect = false;
  bool uses_reserved = false;  // shared memory that the driver reserves

  static constexpr uint64_t kAddressTag = 0x0F00'0000'0000'0000ull;
  uint64_t address() const { return kAddressTag | (uint64_t{index} + 1) << 4; }
};

}  // namespace nm::softgpu::ptx
