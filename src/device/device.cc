#include "device/device.h"

namespace nm::device {

std::string_view name_of(Api api) { return api == Api::cuda ? "cuda" : "opencl"; }

std::unique_ptr<Device> Device::open(Api api, int ordinal) {
  return api == Api::cuda ? open_cuda(ordinal) : open_opencl(ordinal);
}

}  // namespace nm::device
