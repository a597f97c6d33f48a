// The PTX engine: takes PTX text, runs its kernels on the CPU. It knows no driver API; src/softgpu's driver layer does.
//
// Address space: a device pointer is a host address of this process, and the generic and global spaces are the same.
// A block's shared memory and a thread's local memory are host memory too, at addresses the engine owns during a run.
// Everything here may be called from several threads, except that one Module is destroyed by one thread, after every
// run() of its kernels has returned.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nm::softgpu::ptx {

// Host addresses [begin, end) that kernels may read, and write when `writable`. Empty (begin == end): nothing there.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool writable = true;
};

// Device memory, as the driver layer keeps it. Called from every thread that executes a kernel.
class Memory {
 public:
  virtual ~Memory() = default;

  // The largest known-good range around `address` (an allocation, usually), or an empty one. The engine caches what it
  // gets for as long as epoch() does not change; so the epoch must move whenever a range shrinks or disappears. It
  // looks at the epoch once a time slice: memory must not be unmapped while a run() that may touch it is under way.
  // Adjacent allocations must not be joined: running past the end of one is what bounds checking is there to find.
  virtual Range find(uint64_t address) = 0;
  virtual uint64_t epoch() const = 0;

  // Memory of a module's variables, of the device heap and of launch work areas; zeroed; `align` is a power of two.
  // It must be inside what find() answers. Zero: out of memory.
  virtual uint64_t allocate(uint64_t bytes, uint64_t align) = 0;
  virtual void release(uint64_t address) = 0;
};

// malloc() and free() of kernels, one per context (cudaLimitMallocHeapSize). Takes its memory at the first malloc.
class DeviceHeap {
 public:
  DeviceHeap(Memory& memory, uint64_t bytes);
  ~DeviceHeap();
  DeviceHeap(const DeviceHeap&) = delete;
  DeviceHeap& operator=(const DeviceHeap&) = delete;

  uint64_t allocate(uint64_t bytes);  // 16-byte aligned; zero when the heap is full
  bool release(uint64_t address);     // false: not an allocation of this heap (zero is fine)
  uint64_t capacity() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Param {
  uint32_t offset = 0;  // in the packed parameter buffer
  uint32_t size = 0;    // bytes
};

struct KernelInfo {
  std::string name;
  std::vector<Param> params;
  uint32_t param_bytes = 0;                // size of the packed parameter buffer
  uint32_t static_shared = 0;              // bytes a block
  uint32_t local_bytes = 0;                // bytes a thread, without called functions that recurse
  uint32_t const_bytes = 0;                // bytes of the module's .const variables
  uint32_t registers = 0;                  // an estimate in the range 16..255, for occupancy answers
  uint32_t max_threads = 1024;             // a block, from .maxntid or .reqntid
  std::array<uint32_t, 3> reqntid{};       // zeros: not given
  std::array<uint32_t, 3> cluster_dims{};  // zeros: not given (.reqnctapercluster)
  uint32_t min_blocks_per_sm = 0;          // .minnctapersm, zero: not given
  uint32_t ptx_version = 0;                // 90 for .version 9.0
  uint32_t target_sm = 0;                  // 75 for .target sm_75
};

struct Variable {
  std::string name;
  uint64_t address = 0;
  uint64_t size = 0;
  bool is_const = false;
  bool is_managed = false;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual const KernelInfo& info() const = 0;
};

class Module {
 public:
  virtual ~Module() = default;

  // One text, or several that are linked (cuLinkAddData): a name that one defines as .visible serves another's .extern.
  // `log` gets what the JIT logs should say: on failure a line a problem, "line N: …", naming the instruction.
  // `memory` must outlive the module. Trailing NUL bytes of a text are ignored.
  static Result<std::unique_ptr<Module>> load(std::span<const std::string_view> texts, Memory& memory,
                                              std::string& log);
  static Result<std::unique_ptr<Module>> load(std::string_view text, Memory& memory, std::string& log) {
    return load(std::span<const std::string_view>(&text, 1), memory, log);
  }

  virtual const Kernel* find(std::string_view name) const = 0;  // null: no such kernel
  virtual std::vector<const Kernel*> kernels() const = 0;       // in the order of the text
  virtual const std::vector<Variable>& variables() const = 0;   // .global and .const of module scope
};

struct Launch {
  std::array<uint32_t, 3> grid{1, 1, 1};
  std::array<uint32_t, 3> block{1, 1, 1};
  std::array<uint32_t, 3> cluster{0, 0, 0};  // zeros: the kernel's own, or none
  uint32_t dynamic_shared = 0;               // bytes
  std::span<const uint8_t> params;           // packed; at least KernelInfo::param_bytes long
  bool cooperative = false;                  // every block makes progress
  uint32_t stack_bytes = 1024;               // a thread, for calls (cudaLimitStackSize)
  uint64_t grid_id = 0;
  DeviceHeap* heap = nullptr;  // null: malloc() in the kernel returns null
};

// What ends a run early. The comment names the CUDA error that the driver layer reports.
enum class Fault {
  none,
  illegal_address,      // 700
  assertion,            // 710
  hardware_stack,       // 714
  illegal_instruction,  // 715
  misaligned_address,   // 716
  address_space,        // 717
  invalid_pc,           // 718
  launch_failure,       // 719: trap, barrier that can never complete
  bad_launch,           // 1: the launch does not fit the kernel
  out_of_memory,        // 2: no memory for the blocks
  cancelled,            // `cancel` was set
};

struct Outcome {
  Fault fault = Fault::none;
  std::string detail;  // one sentence: what, where (kernel, block, thread, line of the PTX text)
};

// Called with whole printf results, from any executing thread but never from two at once.
using PrintfSink = std::function<void(std::string_view)>;

// Runs a grid to its end, on the calling thread and up to `threads` - 1 more. `cancel` may be null.
Outcome run(const Kernel& kernel, const Launch& launch, Memory& memory, const PrintfSink& printf, int threads,
            const std::atomic<bool>* cancel);

}  // namespace nm::softgpu::ptx
