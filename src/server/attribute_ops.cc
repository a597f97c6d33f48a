// Attributes whose values have a type of their own: of pointers, pools and the memory of graphs.
#include <cstring>

#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

constexpr size_t kWidest = 64;  // bytes of any attribute

// What the driver leaves as it was is not part of the value: widths differ by attribute, and the driver knows them.
CUresult ask(const DriverTable& d, CUpointer_attribute attribute, CUdeviceptr ptr, std::vector<uint8_t>* value) {
  alignas(16) uint8_t first[kWidest], second[kWidest];
  std::memset(first, 0xa5, sizeof first);
  std::memset(second, 0x5a, sizeof second);
  if (CUresult e = d.cuPointerGetAttribute(first, attribute, ptr)) return e;
  if (CUresult e = d.cuPointerGetAttribute(second, attribute, ptr)) return e;
  size_t size = kWidest;
  while (size && first[size - 1] != second[size - 1]) size--;
  value->assign(first, first + size);
  return CUDA_SUCCESS;
}

// Pinned memory of the worker's own is nobody's business.
bool is_ours(Session& s, CUdeviceptr ptr) {
  unsigned type = 0, managed = 0;
  if (s.driver().cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, ptr) != CUDA_SUCCESS) return false;
  if (type != CU_MEMORYTYPE_HOST || s.host_ranges().holds(ptr)) return false;
  s.driver().cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, ptr);
  return !managed;
}

template <typename H>
void to_virtual(HandleTable<H>& table, std::vector<uint8_t>* value) {
  H object{};
  if (value->size() != sizeof object) return;
  std::memcpy(&object, value->data(), sizeof object);
  table.to_virtual(&object);
  std::memcpy(value->data(), &object, sizeof object);
}

}  // namespace

namespace hand {

CUresult nm_pointer_attribute(Session& s, args::nm_pointer_attribute& a, outs::nm_pointer_attribute& o) {
  if (!s.driver().cuPointerGetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  auto attribute = static_cast<CUpointer_attribute>(a.attribute);
  if (is_ours(s, a.ptr)) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = ask(s.driver(), attribute, a.ptr, &o.value)) return e;
  if (attribute == CU_POINTER_ATTRIBUTE_CONTEXT) to_virtual(s.tables().context, &o.value);
  if (attribute == CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE) to_virtual(s.tables().pool, &o.value);
  return CUDA_SUCCESS;
}

CUresult nm_pointer_set_attribute(Session& s, args::nm_pointer_set_attribute& a, outs::nm_pointer_set_attribute&) {
  if (!s.driver().cuPointerSetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  if (is_ours(s, a.ptr)) return CUDA_ERROR_INVALID_VALUE;
  uint64_t value = a.value;
  return s.driver().cuPointerSetAttribute(&value, static_cast<CUpointer_attribute>(a.attribute), a.ptr);
}

CUresult nm_pool_attribute(Session& s, args::nm_pool_attribute& a, outs::nm_pool_attribute& o) {
  const DriverTable& d = s.driver();
  auto* how = a.set ? d.cuMemPoolSetAttribute : d.cuMemPoolGetAttribute;
  return how ? how(a.pool, static_cast<CUmemPool_attribute>(a.attribute), &o.value) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult nm_graph_mem_attribute(Session& s, args::nm_graph_mem_attribute& a, outs::nm_graph_mem_attribute& o) {
  const DriverTable& d = s.driver();
  auto* how = a.set ? d.cuDeviceSetGraphMemAttribute : d.cuDeviceGetGraphMemAttribute;
  return how ? how(a.device, static_cast<CUgraphMem_attribute>(a.attribute), &o.value) : CUDA_ERROR_NOT_SUPPORTED;
}

}  // namespace hand
}  // namespace nm::server
