// cuPointerGetAttribute(s): what is known about an address.
#include <cstring>

#include "softgpu/context.h"
#include "softgpu/physical.h"
#include "softgpu/pool.h"

using namespace nm::softgpu;

namespace {

template <class T>
void put(void* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

// The context handle that stands for an allocation: its owner, or the device's primary context.
CUcontext context_for(Call& c, const Allocation& allocation) {
  if (allocation.kind == MemoryKind::mapped) return nullptr;
  const Context* owner = allocation.owner ? allocation.owner : c.driver.device(allocation.device).primary.get();
  return handle_of<CUcontext>(owner);
}

// INVALID_VALUE where the attribute does not apply.
void get(Call& c, void* out, CUpointer_attribute attribute, CUdeviceptr ptr, const AllocationPtr& a) {
  require(out != nullptr);
  if (!a || !a->live) {
    // Memory that the driver does not know has neither a context nor a place, and says so without an error to two
    // questions.
    if (attribute == CU_POINTER_ATTRIBUTE_IS_MANAGED) return put(out, 0u);
    if (attribute == CU_POINTER_ATTRIBUTE_MAPPED) return put(out, 0u);
    fail(CUDA_ERROR_INVALID_VALUE);
  }
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return put(out, context_for(c, *a));
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return put(out, static_cast<unsigned>(a->is_host() ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE));
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return put(out, ptr);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      require(a->is_host() || a->kind == MemoryKind::managed);
      return put(out, ptr);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      fail(CUDA_ERROR_NOT_SUPPORTED);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return put(out, static_cast<unsigned>(a->sync_memops));
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return put(out, static_cast<unsigned long long>(a->id));
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return put(out, static_cast<unsigned>(a->kind == MemoryKind::managed));
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return put(out, a->device);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      return put(out, static_cast<unsigned>(a->kind == MemoryKind::device));
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return put(out, a->begin);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return put(out, static_cast<size_t>(a->size));
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return put(out, 1u);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: {
      unsigned long long types = 0;
      if (a->kind == MemoryKind::mapped)
        types = std::static_pointer_cast<Physical>(a->backing)->prop.requestedHandleTypes;
      if (a->pool) types = a->pool->props.handleTypes;
      return put(out, types);
    }
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      return put(out, 0u);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: {
      const auto current = current_context();
      const uint64_t bit = 1ull << current->device.ordinal;
      return put(out, static_cast<unsigned>(a->writable & bit   ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE
                                            : a->readable & bit ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ
                                                                : CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE));
    }
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return put(out, handle_of<CUmemoryPool>(a->pool.get()));
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      return put(out, static_cast<size_t>(a->size));
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      return put(out, a->begin);
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return put(out, 0u);
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

size_t bytes_of(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return 8;
    default:
      return 4;
  }
}

}  // namespace

extern "C" {

CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  return call([&](Call& c) { get(c, data, attribute, ptr, c.driver.ranges.find(ptr)); });
}

CUresult cuPointerGetAttributes(unsigned num_attributes, CUpointer_attribute* attributes, void** data,
                                CUdeviceptr ptr) {
  return call([&](Call& c) {
    require(num_attributes > 0 && attributes != nullptr && data != nullptr);
    const auto allocation = c.driver.ranges.find(ptr);
    for (unsigned i = 0; i < num_attributes; ++i) {
      require(attributes[i] >= CU_POINTER_ATTRIBUTE_CONTEXT &&
              attributes[i] <= CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE);
      try {
        get(c, data[i], attributes[i], ptr, allocation);
      } catch (const Failure&) {
        // Here an attribute that does not apply is a null, not an error; an ordinal is none.
        require(data[i] != nullptr);
        std::memset(data[i], 0, bytes_of(attributes[i]));
        if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) put(data[i], -2);
      }
    }
  });
}

CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute, CUdeviceptr ptr) {
  return call([&](Call& c) {
    require(value != nullptr && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS);
    const auto allocation = c.driver.ranges.find(ptr);
    require(allocation != nullptr && !allocation->is_host());
    unsigned on = 0;
    std::memcpy(&on, value, sizeof on);
    allocation->sync_memops = on != 0;
  });
}

}  // extern "C"
