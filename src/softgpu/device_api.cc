// Devices: who they are. What they can do is in attributes.cc.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "softgpu/attributes.h"
#include "softgpu/driver.h"

using namespace nm::softgpu;

namespace {

void copy_text(char* out, int length, const std::string& text) {
  require(out != nullptr && length > 0);
  const size_t n = std::min(text.size(), static_cast<size_t>(length) - 1);
  std::memcpy(out, text.data(), n);
  out[n] = 0;
}

}  // namespace

extern "C" {

CUresult cuDeviceGetCount(int* count) {
  return call([&](Call& c) {
    require(count != nullptr);
    *count = static_cast<int>(c.driver.devices.size());
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return call([&](Call& c) {
    require(device != nullptr);
    *device = c.driver.device(ordinal).ordinal;
  });
}

CUresult cuDeviceGetName(char* name, int len, CUdevice dev) {
  return call([&](Call& c) {
    c.driver.device(dev);
    copy_text(name, len, kDeviceName);
  });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice dev) {
  return call([&](Call& c) {
    require(uuid != nullptr);
    std::memcpy(uuid->bytes, c.driver.device(dev).identity.uuid.data(), 16);
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice dev) { return cuDeviceGetUuid(uuid, dev); }

CUresult cuDeviceGetLuid(char*, uint32_t*, CUdevice dev) {
  return call([&](Call& c) {
    c.driver.device(dev);
    fail(CUDA_ERROR_NOT_SUPPORTED);  // exists on Windows only
  });
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice dev) {
  return call([&](Call& c) {
    require(bytes != nullptr);
    *bytes = c.driver.device(dev).total();
  });
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice dev) {
  return call([&](Call& c) {
    c.driver.device(dev);
    require(major != nullptr && minor != nullptr);
    *major = kComputeMajor;
    *minor = kComputeMinor;
  });
}

CUresult cuDeviceGetProperties(CUdevprop* prop, CUdevice dev) {
  return call([&](Call& c) {
    require(prop != nullptr);
    const Device& device = c.driver.device(dev);
    const auto value = [&](CUdevice_attribute a) { return device_attribute(device, a).value_or(0); };
    *prop = {};
    prop->maxThreadsPerBlock = value(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    prop->maxThreadsDim[0] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X);
    prop->maxThreadsDim[1] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y);
    prop->maxThreadsDim[2] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
    prop->maxGridSize[0] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
    prop->maxGridSize[1] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
    prop->maxGridSize[2] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
    prop->sharedMemPerBlock = value(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
    prop->totalConstantMemory = value(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY);
    prop->SIMDWidth = value(CU_DEVICE_ATTRIBUTE_WARP_SIZE);
    prop->memPitch = value(CU_DEVICE_ATTRIBUTE_MAX_PITCH);
    prop->regsPerBlock = value(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
    prop->clockRate = value(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
    prop->textureAlign = value(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT);
  });
}

CUresult cuDeviceGetAttribute(int* pi, CUdevice_attribute attrib, CUdevice dev) {
  return call([&](Call& c) {
    require(pi != nullptr);
    const auto value = device_attribute(c.driver.device(dev), attrib);
    require(value.has_value());
    *pi = *value;
  });
}

CUresult cuDeviceGetPCIBusId(char* pci_bus_id, int len, CUdevice dev) {
  return call([&](Call& c) {
    std::string id = c.driver.device(dev).identity.pci_id();
    for (char& ch : id) ch = static_cast<char>(std::toupper(ch));
    copy_text(pci_bus_id, len, id);
  });
}

CUresult cuDeviceGetByPCIBusId(CUdevice* dev, const char* pci_bus_id) {
  return call([&](Call& c) {
    require(dev != nullptr && pci_bus_id != nullptr);
    PciPlace place;
    require(parse_pci_place(pci_bus_id, &place));
    for (const auto& d : c.driver.devices) {
      if (d->identity.is_at(place)) {
        *dev = d->ordinal;
        return;
      }
    }
    fail(CUDA_ERROR_INVALID_DEVICE);
  });
}

CUresult cuDeviceCanAccessPeer(int* can_access_peer, CUdevice dev, CUdevice peer_dev) {
  return call([&](Call& c) {
    require(can_access_peer != nullptr);
    *can_access_peer = &c.driver.device(dev) != &c.driver.device(peer_dev);
  });
}

CUresult cuDeviceGetP2PAttribute(int* value, CUdevice_P2PAttribute attrib, CUdevice src_device, CUdevice dst_device) {
  return call([&](Call& c) {
    require(value != nullptr && &c.driver.device(src_device) != &c.driver.device(dst_device),
            CUDA_ERROR_INVALID_DEVICE);
    require(attrib >= 1 && attrib <= 5);
    *value = attrib != CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK &&
             attrib != CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED;
  });
}

CUresult cuDeviceGetExecAffinitySupport(int* pi, CUexecAffinityType type, CUdevice dev) {
  return call([&](Call& c) {
    c.driver.device(dev);
    require(pi != nullptr && type == CU_EXEC_AFFINITY_TYPE_SM_COUNT);
    *pi = 0;  // answered for MPS clients only
  });
}

CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t* max_width_in_elements, CUarray_format format, unsigned num_channels,
                                            CUdevice dev) {
  return call([&](Call& c) {
    c.driver.device(dev);
    const size_t bytes = element_bytes(format, num_channels);
    require(max_width_in_elements != nullptr && bytes != 0);
    *max_width_in_elements = (size_t{1} << 31) / bytes;
  });
}

}  // extern "C"
