#include "softgpu/memop.h"

#include <chrono>
#include <thread>

namespace nm::softgpu {
namespace {

bool is_wait(CUstreamBatchMemOpType op) {
  return op == CU_STREAM_MEM_OP_WAIT_VALUE_32 || op == CU_STREAM_MEM_OP_WAIT_VALUE_64;
}
bool is_wide(CUstreamBatchMemOpType op) {
  return op == CU_STREAM_MEM_OP_WAIT_VALUE_64 || op == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

template <class T>
bool holds(T seen, T wanted, unsigned how) {
  switch (how) {
    case CU_STREAM_WAIT_VALUE_GEQ:
      return static_cast<std::make_signed_t<T>>(seen - wanted) >= 0;
    case CU_STREAM_WAIT_VALUE_EQ:
      return seen == wanted;
    case CU_STREAM_WAIT_VALUE_AND:
      return (seen & wanted) != 0;
    default:
      return static_cast<T>(~(seen | wanted)) != 0;
  }
}

template <class T>
void wait(const Context& context, uint64_t address, T wanted, unsigned how) {
  const auto* at = reinterpret_cast<const std::atomic<T>*>(address);
  // Whoever writes does not say so: look again, soon at first, then at a pace that leaves the processor to others.
  for (int i = 0; !context.cancelled(); ++i) {
    if (holds(at->load(std::memory_order_acquire), wanted, how)) return;
    if (i < 64) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(30));
    }
  }
}

void require_valid(Driver& driver, const CUstreamBatchMemOpParams& op) {
  switch (op.operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      require((op.waitValue.flags & ~(3u | CU_STREAM_WAIT_VALUE_FLUSH)) == 0);
      // CAN_FLUSH_REMOTE_WRITES is zero
      require((op.waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH) == 0, CUDA_ERROR_NOT_SUPPORTED);
      break;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
      require((op.writeValue.flags & ~static_cast<unsigned>(CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)) == 0);
      break;
    case CU_STREAM_MEM_OP_BARRIER:
      return;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
      fail(CUDA_ERROR_NOT_SUPPORTED);
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
  const uint64_t bytes = is_wide(op.operation) ? 8 : 4;
  require(op.waitValue.address % bytes == 0 && driver.ranges.covers(op.waitValue.address, bytes));
}

}  // namespace

MemOpWork::MemOpWork(Driver& driver, std::vector<CUstreamBatchMemOpParams> list, unsigned flags, ContextPtr context)
    : ops(std::move(list)), flags(flags), context(std::move(context)) {
  require(!ops.empty() && ops.size() <= 256 && flags == 0);
  for (const auto& op : ops) require_valid(driver, op);
}

CUresult MemOpWork::run(Context& context) const {
  for (const auto& op : ops) {
    if (op.operation == CU_STREAM_MEM_OP_BARRIER) {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    } else if (is_wait(op.operation)) {
      const auto& w = op.waitValue;
      if (is_wide(op.operation)) {
        wait<uint64_t>(context, w.address, w.value64, w.flags & 3u);
      } else {
        wait<uint32_t>(context, w.address, w.value, w.flags & 3u);
      }
    } else if (is_wide(op.operation)) {
      reinterpret_cast<std::atomic<uint64_t>*>(op.writeValue.address)->store(op.writeValue.value64);
    } else {
      reinterpret_cast<std::atomic<uint32_t>*>(op.writeValue.address)->store(op.writeValue.value);
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace nm::softgpu
