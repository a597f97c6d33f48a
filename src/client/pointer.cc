// What is known about an address. Triton asks for every pointer argument of every launch, so: the ranges that this
// process made answer at once, and what only the driver knows of an allocation is asked once.
#include <string.h>

#include <algorithm>
#include <optional>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/mapping.h"
#include "client/memory.h"
#include "client/range_notes.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr int kNoDevice = -2;  // CU_DEVICE_INVALID

// The allocation that an address belongs to.
struct Subject {
  uint64_t address;         // as the program sees it
  uint64_t device_address;  // as the driver sees it
  uint64_t base, size;
  MemoryRange range;
  bool mapped = true;                 // false: reserved address space with nothing behind it
  std::shared_ptr<RangeNotes> notes;  // null: nothing may be kept
};

bool is_host(const MemoryRange& r) { return r.kind == MemoryKind::shared || r.kind == MemoryKind::mirrored; }

// A mirror's place on the device may differ from its place here. Few programs ask by it, so this may take its time.
std::optional<MemoryRange> find_by_device_address(uint64_t address) {
  std::optional<MemoryRange> found;
  for_each_memory([&](const MemoryRange& r) {
    if (is_host(r) && address - r.device_pointer < r.size) found = r;
  });
  return found;
}

std::optional<Subject> find_subject(uint64_t address) {
  Subject s{address, address, 0, 0, {}, true, {}};
  auto range = find_memory(address);
  if (!range) {
    if (is_mapped_here(address)) return std::nullopt;
    range = find_by_device_address(address);
    if (!range) return std::nullopt;
    s.address = range->base + (address - range->device_pointer);
  } else if (is_host(*range)) {
    s.device_address = range->device_pointer + (address - range->base);
  }
  s.base = range->base;
  s.size = range->size;
  s.notes = range->notes;
  if (range->kind == MemoryKind::reserved) {
    auto mapping = find_mapping(address);
    s.mapped = mapping.has_value();
    s.notes = mapping ? mapping->notes : nullptr;
    if (mapping) s.base = mapping->base, s.size = mapping->size;
  }
  s.range = std::move(*range);
  return s;
}

size_t width(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return 4;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      return sizeof(CUDA_POINTER_ATTRIBUTE_P2P_TOKENS);
    default:
      return 8;
  }
}

bool is_attribute(CUpointer_attribute a) {
  return a >= CU_POINTER_ATTRIBUTE_CONTEXT && a <= CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE;
}

// The same for as long as the allocation lives.
bool is_constant(CUpointer_attribute a) {
  return a != CU_POINTER_ATTRIBUTE_P2P_TOKENS && a != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS &&
         a != CU_POINTER_ATTRIBUTE_ACCESS_FLAGS && a != CU_POINTER_ATTRIBUTE_DEVICE_POINTER &&
         a != CU_POINTER_ATTRIBUTE_HOST_POINTER;
}

enum class Known { yes, does_not_apply, ask };

Known known(const Subject& s, CUpointer_attribute attribute, uint64_t* value) {
  const MemoryRange& r = s.range;
  const bool host = is_host(r);
  // Of memory behind reserved addresses, and of module memory, the driver knows the context and the device.
  const bool ours = host || r.kind == MemoryKind::device;
  CUdevice device;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      if (!ours || r.pooled || !r.context) return Known::ask;
      *value = r.context;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      if (r.kind == MemoryKind::reserved) return Known::ask;
      *value = host && !r.managed ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      if (!s.mapped) return Known::ask;
      *value = s.device_address;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      *value = s.address;
      return host ? Known::yes : Known::does_not_apply;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      if (!ours || !context_device(r.context, &device)) return Known::ask;
      *value = static_cast<uint64_t>(device);
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      *value = r.managed;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      *value = s.base;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      *value = s.size;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_MAPPED:
      *value = s.mapped;
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      *value = 0;  // no device of this host reaches the worker's GPU (client/device.cc says the same)
      return Known::yes;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      if (Client::get()->channel().shares_memory()) return Known::ask;
      *value = 0;  // no descriptor travels over a network
      return Known::yes;
    default:
      return Known::ask;
  }
}

CUresult copy_out(const std::vector<uint8_t>& value, CUpointer_attribute attribute, void* data) {
  if (value.empty()) return CUDA_ERROR_UNKNOWN;  // no attribute is nothing
  memcpy(data, value.data(), std::min(value.size(), width(attribute)));
  return CUDA_SUCCESS;
}

CUresult ask(const Subject& s, CUpointer_attribute attribute, void* data) {
  const bool keep = s.notes && is_constant(attribute);
  if (keep) {
    std::lock_guard lock(s.notes->mutex);
    if (auto it = s.notes->attributes.find(attribute); it != s.notes->attributes.end()) {
      count_local();
      return copy_out(it->second, attribute, data);
    }
  }
  std::vector<uint8_t> value;
  if (CUresult e = remote::nm_pointer_attribute(s.device_address, attribute, &value)) return e;
  if (attribute == CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR && is_host(s.range) && value.size() == 8) {
    uint64_t base;
    memcpy(&base, value.data(), sizeof base);
    base = s.range.base + (base - s.range.device_pointer);
    memcpy(value.data(), &base, sizeof base);
  }
  if (keep) {
    std::lock_guard lock(s.notes->mutex);
    s.notes->attributes[attribute] = value;
  }
  return copy_out(value, attribute, data);
}

CUresult get(const Subject& s, CUpointer_attribute attribute, void* data) {
  uint64_t value = 0;
  switch (known(s, attribute, &value)) {
    case Known::yes:
      memcpy(data, &value, width(attribute));
      count_local();
      return CUDA_SUCCESS;
    case Known::does_not_apply:
      count_local();
      return CUDA_ERROR_INVALID_VALUE;
    case Known::ask:
      break;
  }
  return ask(s, attribute, data);
}

// An address in no range of ours. Where something of the program lies, the server is not asked: what it has at the same
// address is something else. The rest may be memory that the driver placed on its own, a graph's for instance.
CUresult get_stranger(uint64_t address, CUpointer_attribute attribute, void* data) {
  constexpr uint64_t kNothingBelow = 1 << 16;
  if (address < kNothingBelow || is_mapped_here(address)) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> value;
  if (CUresult e = remote::nm_pointer_attribute(address, attribute, &value)) return e;
  return copy_out(value, attribute, data);
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  if (CUresult e = enter()) return e;
  if (!data || !is_attribute(attribute)) return CUDA_ERROR_INVALID_VALUE;
  auto subject = find_subject(ptr);
  return subject ? get(*subject, attribute, data) : get_stranger(ptr, attribute, data);
}

// Here what does not apply is no error: it reads as nothing.
NM_EXPORT CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** data,
                                          CUdeviceptr ptr) {
  if (CUresult e = enter()) return e;
  if (!count || !attributes || !data) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; i++) {
    if (!is_attribute(attributes[i]) || !data[i]) return CUDA_ERROR_INVALID_VALUE;
  }
  auto subject = find_subject(ptr);
  unsigned type;
  const bool nobodys = !subject && get_stranger(ptr, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, &type) != CUDA_SUCCESS;
  for (unsigned i = 0; i < count; i++) {
    CUresult e = nobodys   ? CUDA_ERROR_INVALID_VALUE
                 : subject ? get(*subject, attributes[i], data[i])
                           : get_stranger(ptr, attributes[i], data[i]);
    if (e == CUDA_SUCCESS) continue;
    if (e != CUDA_ERROR_INVALID_VALUE && e != CUDA_ERROR_NOT_SUPPORTED) return e;
    memset(data[i], 0, width(attributes[i]));
    if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) memcpy(data[i], &kNoDevice, sizeof kNoDevice);
  }
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute, CUdeviceptr ptr) {
  if (CUresult e = enter()) return e;
  if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS) return CUDA_ERROR_INVALID_VALUE;
  unsigned on;
  memcpy(&on, value, sizeof on);
  auto subject = find_subject(ptr);
  if (!subject && is_mapped_here(ptr)) return CUDA_ERROR_INVALID_VALUE;
  return remote::nm_pointer_set_attribute(subject ? subject->device_address : ptr, attribute, on != 0);
}

}  // extern "C"
