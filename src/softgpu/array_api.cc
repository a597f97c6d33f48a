#include "softgpu/array.h"

#include <algorithm>

#include "softgpu/attributes.h"
#include "softgpu/capture.h"
#include "softgpu/memory.h"

using namespace nm::softgpu;

namespace {

void require_extent(const CUDA_ARRAY3D_DESCRIPTOR& d) {
  constexpr unsigned kKnown = kArrayLayered | kArraySurface | kArrayCubemap | kArrayGather;
  require(d.Width > 0 && d.Width <= 131072 && element_bytes(d.Format, d.NumChannels) != 0 && (d.Flags & ~kKnown) == 0);
  require(d.Height <= 65536);
  const bool layered = (d.Flags & kArrayLayered) != 0;
  const bool cubemap = (d.Flags & kArrayCubemap) != 0;
  require(d.Depth <= 16384 && (layered || d.Depth == 0 || d.Height > 0));
  require(!layered || d.Depth > 0);
  require(!cubemap || (d.Width == d.Height && d.Depth > 0 && d.Depth % 6 == 0 && (layered || d.Depth == 6)));
}

ArrayPtr make_array(Device& device, const CUDA_ARRAY3D_DESCRIPTOR& desc) {
  auto array = std::make_shared<Array>(device, desc);
  array->element = element_bytes(desc.Format, desc.NumChannels);
  return array;
}

void create(ContextCall& c, CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR& desc) {
  require(out != nullptr);
  require_extent(desc);
  fail_if_capturing(c.driver);
  auto array = make_array(c.context->device, desc);
  array->space = take_or_fail(c, c.context->device, array->bytes(), 512);
  *out = handle_of<CUarray>(array.get());
  c.context->own(std::move(array));
}

CUDA_ARRAY3D_DESCRIPTOR level_of(CUDA_ARRAY3D_DESCRIPTOR d, unsigned level) {
  const auto half = [&](size_t n) { return n == 0 ? 0 : std::max<size_t>(n >> level, 1); };
  d.Width = half(d.Width);
  d.Height = half(d.Height);
  if ((d.Flags & (kArrayLayered | kArrayCubemap)) == 0) d.Depth = half(d.Depth);
  return d;
}

}  // namespace

extern "C" {

CUresult cuArrayCreate_v2(CUarray* handle, const CUDA_ARRAY_DESCRIPTOR* allocate_array) {
  return in_context([&](ContextCall& c) {
    require(allocate_array != nullptr);
    create(c, handle,
           {allocate_array->Width, allocate_array->Height, 0, allocate_array->Format, allocate_array->NumChannels, 0});
  });
}

CUresult cuArray3DCreate_v2(CUarray* handle, const CUDA_ARRAY3D_DESCRIPTOR* allocate_array) {
  return in_context([&](ContextCall& c) {
    require(allocate_array != nullptr);
    create(c, handle, *allocate_array);
  });
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR* array_descriptor, CUarray array) {
  return in_context([&](ContextCall& c) {
    require(array_descriptor != nullptr);
    const auto& d = c.driver.handles.get<Array>(array)->desc;
    *array_descriptor = {d.Width, d.Height, d.Format, d.NumChannels};
  });
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR* array_descriptor, CUarray array) {
  return in_context([&](ContextCall& c) {
    require(array_descriptor != nullptr);
    *array_descriptor = c.driver.handles.get<Array>(array)->desc;
  });
}

CUresult cuArrayDestroy(CUarray array) {
  return in_context([&](ContextCall& c) {
    const auto object = c.driver.handles.get<Array>(array);
    require(!object->level);
    quiesce(c);
    c.context->disown(object.get());
    c.driver.handles.remove(object.get());
  });
}

CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* memory_requirements, CUarray array,
                                      CUdevice device) {
  return in_context([&](ContextCall& c) {
    require(memory_requirements != nullptr);
    c.driver.device(device);
    *memory_requirements = {};
    memory_requirements->size = c.driver.handles.get<Array>(array)->bytes();
    memory_requirements->alignment = 512;
  });
}

CUresult cuArrayGetPlane(CUarray*, CUarray array, unsigned) {
  return in_context([&](ContextCall& c) {
    c.driver.handles.get<Array>(array);
    fail(CUDA_ERROR_INVALID_VALUE);  // no multi-planar format can be created
  });
}

CUresult cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES*, CUarray array) {
  return in_context([&](ContextCall& c) {
    c.driver.handles.get<Array>(array);
    fail(CUDA_ERROR_INVALID_VALUE);  // not a sparse array
  });
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* handle, const CUDA_ARRAY3D_DESCRIPTOR* mipmapped_array_desc,
                                unsigned num_mipmap_levels) {
  return in_context([&](ContextCall& c) {
    require(handle != nullptr && mipmapped_array_desc != nullptr);
    require_extent(*mipmapped_array_desc);
    fail_if_capturing(c.driver);
    unsigned most = 1;
    const auto& d = *mipmapped_array_desc;
    const size_t depth = (d.Flags & (kArrayLayered | kArrayCubemap)) ? 0 : d.Depth;
    for (size_t longest = std::max({d.Width, d.Height, depth}); longest > 1; longest >>= 1) ++most;
    const unsigned levels = std::clamp(num_mipmap_levels, 1u, most);
    auto mipmap = std::make_shared<Mipmap>();
    size_t bytes = 0;
    for (unsigned i = 0; i < levels; ++i) {
      auto level = make_array(c.context->device, level_of(d, i));
      level->level = true;
      level->offset = bytes;
      bytes += (level->bytes() + 511) & ~size_t{511};
      mipmap->levels.push_back(std::move(level));
    }
    auto space = take_or_fail(c, c.context->device, bytes, 512);
    for (const auto& level : mipmap->levels) level->space = space;
    *handle = handle_of<CUmipmappedArray>(mipmap.get());
    for (const auto& level : mipmap->levels) c.context->own(level);
    c.context->own(std::move(mipmap));
  });
}

CUresult cuMipmappedArrayGetLevel(CUarray* level_array, CUmipmappedArray mipmapped_array, unsigned level) {
  return in_context([&](ContextCall& c) {
    const auto mipmap = c.driver.handles.get<Mipmap>(mipmapped_array);
    require(level_array != nullptr && level < mipmap->levels.size());
    *level_array = handle_of<CUarray>(mipmap->levels[level].get());
  });
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray mipmapped_array) {
  return in_context([&](ContextCall& c) {
    const auto mipmap = c.driver.handles.get<Mipmap>(mipmapped_array);
    quiesce(c);
    for (const auto& level : mipmap->levels) {
      c.context->disown(level.get());
    }
    c.context->disown(mipmap.get());
  });
}

CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* memory_requirements,
                                               CUmipmappedArray mipmap, CUdevice device) {
  return in_context([&](ContextCall& c) {
    require(memory_requirements != nullptr);
    c.driver.device(device);
    *memory_requirements = {};
    for (const auto& level : c.driver.handles.get<Mipmap>(mipmap)->levels) memory_requirements->size += level->bytes();
    memory_requirements->alignment = 512;
  });
}

CUresult cuMipmappedArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES*, CUmipmappedArray mipmap) {
  return in_context([&](ContextCall& c) {
    c.driver.handles.get<Mipmap>(mipmap);
    fail(CUDA_ERROR_INVALID_VALUE);  // not a sparse array
  });
}

}  // extern "C"
