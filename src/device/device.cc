#include "device/device.h"

namespace nm::device {

std::string_view name_of(Api api) { return api == Api::cuda ? "cuda" : "opencl"; }

std::unique_ptr<Device> Device::open(Api api, int ordinal) {
  std::unique_ptr<Device> device = api == Api::cuda ? open_cuda(ordinal) : open_opencl(ordinal);
  device->ordinal_ = ordinal;
  return device;
}

}  // namespace nm::device
