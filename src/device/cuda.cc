// A device by CUDA's driver API: the primary context, one stream of its own.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "device/cuda_api.h"
#include "device/device.h"
#include "kernels/kernels.h"

namespace nm::device {
namespace {

class CudaMark final : public Mark {
 public:
  CudaMark() { CU(cuEventCreate, &event, CU_EVENT_DEFAULT); }
  ~CudaMark() override { cuda_api().cuEventDestroy_v2(event); }
  CUevent event = nullptr;
};

class CudaProgram final : public Program {
 public:
  explicit CudaProgram(CUmodule module) : module_(module) {}
  ~CudaProgram() override { cuda_api().cuModuleUnload(module_); }
  Kernel kernel(const char* function) override {
    CUfunction handle = nullptr;
    CU(cuModuleGetFunction, &handle, module_, function);
    return {handle};
  }

 private:
  CUmodule module_;
};

class CudaTexture final : public Texture {
 public:
  CudaTexture(size_t width, size_t height, const std::vector<float>& texels) {
    const CUDA_ARRAY_DESCRIPTOR shape{width, height, CU_AD_FORMAT_FLOAT, 4};
    const CUresult result = cuda_api().cuArrayCreate_v2(&array_, &shape);
    if (result == CUDA_ERROR_NOT_SUPPORTED) throw Unsupported("The driver carries no textures to this device.");
    if (result) cuda_failed("cuArrayCreate_v2", result);
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = texels.data();
    copy.srcPitch = copy.WidthInBytes = width * 4 * sizeof(float);
    copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.dstArray = array_;
    copy.Height = height;
    CU(cuMemcpy2D_v2, &copy);
    CUDA_RESOURCE_DESC resource{};
    resource.resType = CU_RESOURCE_TYPE_ARRAY;
    resource.res.array.hArray = array_;
    CUDA_TEXTURE_DESC how{};
    for (CUaddress_mode& mode : how.addressMode) mode = CU_TR_ADDRESS_MODE_CLAMP;
    how.filterMode = CU_TR_FILTER_MODE_POINT;
    CUtexObject object = 0;
    CU(cuTexObjectCreate, &object, &resource, &how, nullptr);
    handle_ = object;
  }
  ~CudaTexture() override {
    if (handle_) cuda_api().cuTexObjectDestroy(handle_);
    if (array_) cuda_api().cuArrayDestroy(array_);
  }

 private:
  CUarray array_ = nullptr;
};

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  CU(cuDeviceGetAttribute, &value, which, device);
  return value;
}

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (size_t i = 0; i < 16; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += two;
  }
  return text;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int ordinal) {
    api_ = Api::cuda;
    int count = 0;
    CU(cuDeviceGetCount, &count);
    if (ordinal >= count) {
      throw Unsupported("There is no CUDA device " + std::to_string(ordinal) + ": the driver offers " +
                        std::to_string(count) + ".");
    }
    ordinal_ = ordinal;
    CU(cuDeviceGet, &device_, ordinal);
    describe();
    CUcontext context = nullptr;
    CU(cuDevicePrimaryCtxRetain, &context, device_);
    CU(cuCtxSetCurrent, context);
    CU(cuStreamCreate, &stream_, CU_STREAM_NON_BLOCKING);
  }

  ~CudaDevice() override {
    for (auto& [name, module] : modules_) cuda_api().cuModuleUnload(module);
    cuda_api().cuStreamDestroy_v2(stream_);
    cuda_api().cuDevicePrimaryCtxRelease_v2(device_);
  }

  CUstream stream() const { return stream_; }
  CUdevice device() const { return device_; }

  Buffer allocate(size_t bytes) override {
    CUdeviceptr address = 0;
    CU(cuMemAlloc_v2, &address, std::max<size_t>(bytes, 4));
    return Buffer(*this, address, bytes);
  }
  PinnedMemory allocate_pinned(size_t bytes) override {
    void* data = nullptr;
    CU(cuMemHostAlloc, &data, std::max<size_t>(bytes, 4), 0);
    return PinnedMemory(*this, data, 0, bytes);
  }

  void write(const Buffer& to, size_t offset, const void* from, size_t bytes, bool wait) override {
    CU(cuMemcpyHtoDAsync_v2, to.handle() + offset, from, bytes, stream_);
    if (wait) finish();
  }
  void read(const Buffer& from, size_t offset, void* to, size_t bytes, bool wait) override {
    CU(cuMemcpyDtoHAsync_v2, to, from.handle() + offset, bytes, stream_);
    if (wait) finish();
  }
  void copy(const Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t bytes) override {
    CU(cuMemcpyDtoDAsync_v2, to.handle() + to_offset, from.handle() + from_offset, bytes, stream_);
  }
  void fill(const Buffer& to, size_t offset, uint32_t word, size_t bytes) override {
    CU(cuMemsetD32Async, to.handle() + offset, word, bytes / 4, stream_);
  }

  Kernel kernel(std::string_view source, std::string_view variant, const char* function) override {
    const std::string key = std::string(source) + "." + std::string(variant);
    auto found = modules_.find(key);
    if (found == modules_.end()) found = modules_.emplace(key, load(source, variant)).first;
    CUfunction handle = nullptr;
    CU(cuModuleGetFunction, &handle, found->second, function);
    return {handle};
  }
  std::unique_ptr<Program> build(std::string_view source, std::string_view variant, uint64_t salt) override {
    const std::string constant = ".visible .const .align 8 .u64 nearmetal_salt = " + std::to_string(salt) + ";\n";
    return std::make_unique<CudaProgram>(load(source, variant, constant));
  }

  void launch_list(const Kernel& kernel, Size3 blocks, Size3 threads, std::span<const Argument> arguments) override {
    launch_shared_list(kernel, blocks, threads, 0, arguments);
  }
  void launch_shared_list(const Kernel& kernel, Size3 blocks, Size3 threads, uint32_t shared_bytes,
                          std::span<const Argument> arguments) override {
    const auto function = static_cast<CUfunction>(kernel.handle);
    // A function has 48 KiB unless it asks for more, once.
    if (shared_bytes > 48 << 10 && shared_bytes > raised_[function]) {
      CU(cuFuncSetAttribute, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(shared_bytes));
      raised_[function] = shared_bytes;
    }
    void* values[64];
    if (arguments.size() > std::size(values)) throw Failure("A kernel was given more than 64 arguments.");
    for (size_t i = 0; i < arguments.size(); ++i) values[i] = const_cast<void*>(arguments[i].value);
    CU(cuLaunchKernel, function, blocks.x, blocks.y, blocks.z, threads.x, threads.y, threads.z, shared_bytes, stream_,
       values, nullptr);
  }

  void flush() override {}
  void finish() override { CU(cuStreamSynchronize, stream_); }

  std::unique_ptr<Mark> mark() override {
    auto mark = std::make_unique<CudaMark>();
    CU(cuEventRecord, mark->event, stream_);
    return mark;
  }
  double seconds_between(const Mark& from, const Mark& to) override {
    float milliseconds = 0;
    const CUevent end = static_cast<const CudaMark&>(to).event;
    CU(cuEventSynchronize, end);
    CU(cuEventElapsedTime, &milliseconds, static_cast<const CudaMark&>(from).event, end);
    return milliseconds / 1e3;
  }

  std::unique_ptr<Texture> texture(size_t width, size_t height, const std::vector<float>& texels) override {
    if (!info_.images) throw Unsupported("The device has no textures.");
    return std::make_unique<CudaTexture>(width, height, texels);
  }
  std::vector<LaunchTimes> launch_recorded(std::span<const Kernel>, Size3, Size3, const Buffer&) override {
    throw Unsupported("CUDA keeps no record of a launch.");
  }
  std::unique_ptr<Device> another() const override { return std::make_unique<CudaDevice>(ordinal_); }

 private:
  void free_buffer(uint64_t handle) noexcept override { cuda_api().cuMemFree_v2(handle); }
  void free_pinned(void* data, uint64_t) noexcept override { cuda_api().cuMemFreeHost(data); }

  static CUmodule load(std::string_view source, std::string_view variant, const std::string& more = {}) {
    const kernels::Source* text = kernels::find(source, variant);
    if (!text) throw Failure("There is no kernel source " + std::string(source) + "." + std::string(variant) + ".");
    char log[4096] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule module = nullptr;
    // The texts of the table end with a NUL.
    const std::string longer = more.empty() ? std::string() : std::string(text->ptx) + more;
    const CUresult result =
        cuda_api().cuModuleLoadDataEx(&module, more.empty() ? text->ptx.data() : longer.c_str(), 2, options, values);
    if (result == CUDA_SUCCESS) return module;
    const std::string what = "The kernel source " + std::string(source) + "." + std::string(variant) + " does not load";
    log[sizeof log - 1] = 0;
    if (result == CUDA_ERROR_NOT_SUPPORTED) throw Unsupported(what + " on this device: " + log);
    throw Failure(what + " (error " + std::to_string(static_cast<int>(result)) + "): " + log);
  }

  void describe() {
    char text[256] = "";
    CU(cuDeviceGetName, text, sizeof text, device_);
    info_.name = text;
    CUuuid uuid{};
    CU(cuDeviceGetUuid_v2, &uuid, device_);
    info_.uuid = uuid_text(uuid);
    CU(cuDeviceGetPCIBusId, text, sizeof text, device_);
    info_.pci = text;
    int version = 0;
    CU(cuDriverGetVersion, &version);
    info_.api_version = "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
    size_t bytes = 0;
    CU(cuDeviceTotalMem_v2, &bytes, device_);
    info_.memory_bytes = info_.max_allocation_bytes = bytes;
    info_.l2_bytes = static_cast<uint64_t>(attribute(device_, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
    info_.shared_bytes = static_cast<size_t>(attribute(device_, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK));
    info_.most_shared_bytes =
        static_cast<size_t>(attribute(device_, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
    info_.multiprocessors = attribute(device_, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    info_.clock_mhz = attribute(device_, CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000;
    info_.max_threads = attribute(device_, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    info_.compute_major = attribute(device_, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    info_.compute_minor = attribute(device_, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    info_.is_cpu = info_.name.find("software") != std::string::npos || info_.name.find("Software") != std::string::npos;
    info_.images = !info_.is_cpu;  // the software GPU has no textures
  }

  int ordinal_ = 0;
  CUdevice device_ = 0;
  CUstream stream_ = nullptr;
  std::map<std::string, CUmodule> modules_;
  std::map<CUfunction, uint32_t> raised_;  // functions with more than 48 KiB of dynamic shared memory
};

}  // namespace

std::unique_ptr<Device> open_cuda(int ordinal) { return std::make_unique<CudaDevice>(ordinal); }

CUstream cuda_stream(Device& device) { return static_cast<CudaDevice&>(device).stream(); }
CUdevice cuda_device(Device& device) { return static_cast<CudaDevice&>(device).device(); }

}  // namespace nm::device
