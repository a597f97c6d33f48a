// Copies in batches: many at once, in no order among themselves.
#include "softgpu/array.h"
#include "softgpu/capture.h"
#include "softgpu/copy_submit.h"

using namespace nm::softgpu;

namespace {

bool reads_source_now(CUmemcpySrcAccessOrder order) {
  require(order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY);
  return order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL;
}

StreamPtr batch_stream(ContextCall& c, CUstream handle) {
  require(handle != nullptr);  // the default streams take no batches
  auto stream = c.stream(handle);
  require(stream != stream->context->legacy());
  require(!stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  return stream;
}

CUDA_MEMCPY3D params_of(const CUDA_MEMCPY3D_BATCH_OP& op, size_t element) {
  CUDA_MEMCPY3D p = {};
  const auto pointer = [](const CUmemcpy3DOperand& o) { return o.type == CU_MEMCPY_OPERAND_TYPE_POINTER; };
  require(pointer(op.src) || op.src.type == CU_MEMCPY_OPERAND_TYPE_ARRAY);
  require(pointer(op.dst) || op.dst.type == CU_MEMCPY_OPERAND_TYPE_ARRAY);
  // Extents count elements where an array takes part and bytes otherwise.
  p.WidthInBytes = op.extent.width * element;
  p.Height = op.extent.height;
  p.Depth = op.extent.depth;
  if (pointer(op.src)) {
    p.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
    p.srcDevice = op.src.op.ptr.ptr;
    p.srcPitch = (op.src.op.ptr.rowLength ? op.src.op.ptr.rowLength : op.extent.width) * element;
    p.srcHeight = op.src.op.ptr.layerHeight ? op.src.op.ptr.layerHeight : op.extent.height;
  } else {
    p.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    p.srcArray = op.src.op.array.array;
    p.srcXInBytes = op.src.op.array.offset.x * element;
    p.srcY = op.src.op.array.offset.y;
    p.srcZ = op.src.op.array.offset.z;
  }
  if (pointer(op.dst)) {
    p.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
    p.dstDevice = op.dst.op.ptr.ptr;
    p.dstPitch = (op.dst.op.ptr.rowLength ? op.dst.op.ptr.rowLength : op.extent.width) * element;
    p.dstHeight = op.dst.op.ptr.layerHeight ? op.dst.op.ptr.layerHeight : op.extent.height;
  } else {
    p.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    p.dstArray = op.dst.op.array.array;
    p.dstXInBytes = op.dst.op.array.offset.x * element;
    p.dstY = op.dst.op.array.offset.y;
    p.dstZ = op.dst.op.array.offset.z;
  }
  return p;
}

size_t element_of(Driver& driver, const CUDA_MEMCPY3D_BATCH_OP& op) {
  for (const auto* operand : {&op.src, &op.dst}) {
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) return array_element_bytes(driver, operand->op.array.array);
  }
  return 1;
}

}  // namespace

extern "C" {

CUresult cuMemcpyBatchAsync_v2(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                               CUmemcpyAttributes* attrs, size_t* attrs_idxs, size_t num_attrs, CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(dsts != nullptr && srcs != nullptr && sizes != nullptr && count > 0);
    require(attrs != nullptr && attrs_idxs != nullptr && num_attrs > 0 && num_attrs <= count && attrs_idxs[0] == 0);
    for (size_t i = 1; i < num_attrs; ++i) require(attrs_idxs[i] > attrs_idxs[i - 1] && attrs_idxs[i] < count);
    const auto s = batch_stream(c, stream);
    // All are checked before the first is enqueued.
    for (size_t i = 0; i < count; ++i) {
      require(sizes[i] > 0);
      CopyWork(c.driver, linear_copy(CU_MEMORYTYPE_UNIFIED, dsts[i], CU_MEMORYTYPE_UNIFIED, srcs[i], sizes[i]));
    }
    size_t attribute = 0;
    for (size_t i = 0; i < count; ++i) {
      if (attribute + 1 < num_attrs && attrs_idxs[attribute + 1] == i) ++attribute;
      enqueue_copy(c, *s, linear_copy(CU_MEMORYTYPE_UNIFIED, dsts[i], CU_MEMORYTYPE_UNIFIED, srcs[i], sizes[i]),
                   reads_source_now(attrs[attribute].srcAccessOrder));
    }
  });
}

CUresult cuMemcpyBatchAsync(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                            CUmemcpyAttributes* attrs, size_t* attrs_idxs, size_t num_attrs, size_t* fail_idx,
                            CUstream stream) {
  const CUresult result = cuMemcpyBatchAsync_v2(dsts, srcs, sizes, count, attrs, attrs_idxs, num_attrs, stream);
  if (result != CUDA_SUCCESS && fail_idx) *fail_idx = SIZE_MAX;  // no one copy is to blame
  return result;
}

CUresult cuMemcpy3DBatchAsync_v2(size_t num_ops, CUDA_MEMCPY3D_BATCH_OP* op_list, unsigned long long flags,
                                 CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(num_ops > 0 && op_list != nullptr && flags == 0);
    const auto s = batch_stream(c, stream);
    for (size_t i = 0; i < num_ops; ++i) CopyWork(c.driver, params_of(op_list[i], element_of(c.driver, op_list[i])));
    for (size_t i = 0; i < num_ops; ++i) {
      enqueue_copy(c, *s, params_of(op_list[i], element_of(c.driver, op_list[i])),
                   reads_source_now(op_list[i].srcAccessOrder));
    }
  });
}

CUresult cuMemcpy3DBatchAsync(size_t num_ops, CUDA_MEMCPY3D_BATCH_OP* op_list, size_t* fail_idx,
                              unsigned long long flags, CUstream stream) {
  const CUresult result = cuMemcpy3DBatchAsync_v2(num_ops, op_list, flags, stream);
  if (result != CUDA_SUCCESS && fail_idx) *fail_idx = SIZE_MAX;
  return result;
}

}  // extern "C"
