// A copy of a box travels as CUDA_MEMCPY3D_PEER and is made, or asked for, as CUDA_MEMCPY3D too.
#pragma once

namespace nm::wire {

// What the two descriptors have in common; contexts and what is reserved are left zero.
template <typename To, typename From>
To copy_3d_as(const From& from) {
  To to{};
  to.srcXInBytes = from.srcXInBytes, to.srcY = from.srcY, to.srcZ = from.srcZ, to.srcLOD = from.srcLOD;
  to.srcMemoryType = from.srcMemoryType;
  to.srcHost = from.srcHost, to.srcDevice = from.srcDevice, to.srcArray = from.srcArray;
  to.srcPitch = from.srcPitch, to.srcHeight = from.srcHeight;
  to.dstXInBytes = from.dstXInBytes, to.dstY = from.dstY, to.dstZ = from.dstZ, to.dstLOD = from.dstLOD;
  to.dstMemoryType = from.dstMemoryType;
  to.dstHost = from.dstHost, to.dstDevice = from.dstDevice, to.dstArray = from.dstArray;
  to.dstPitch = from.dstPitch, to.dstHeight = from.dstHeight;
  to.WidthInBytes = from.WidthInBytes, to.Height = from.Height, to.Depth = from.Depth;
  return to;
}

}  // namespace nm::wire
