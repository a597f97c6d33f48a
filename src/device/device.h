// One thread's way to one compute device, through CUDA's driver API or OpenCL: memory, kernels, one in-order stream,
// and marks in it to time by. What a benchmark program is written with, and no more than that.
//
// Failures of the API are thrown (Failure): a benchmark has nothing to do but end then, and main says so. A Device is
// used by one thread; a program with several threads opens several devices, which share the GPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nm::device {

// A call of the API failed: names the call, its object and the error.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The device or the API cannot do what is asked, by its nature: a reason to skip, not to fail.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Api { cuda, opencl };
std::string_view name_of(Api api);

struct Info {
  std::string name;
  std::string uuid;         // "GPU-…" as NVML writes it; empty: the API does not tell
  std::string pci;          // "0000:65:00.0"; empty: the API does not tell
  std::string driver;       // the driver's or platform's own words
  std::string api_version;  // "CUDA 13.0", "OpenCL 3.0"
  uint64_t memory_bytes = 0;
  uint64_t l2_bytes = 0;
  uint64_t max_allocation_bytes = 0;
  size_t shared_bytes = 0;       // a block's, without asking for more
  size_t most_shared_bytes = 0;  // a block's, by launch_shared; CUDA only
  int multiprocessors = 0;
  int clock_mhz = 0;
  int max_threads = 0;                       // a block's
  int compute_major = 0, compute_minor = 0;  // CUDA only
  bool fp64 = true;
  bool images = false;  // textures, or OpenCL images
  bool is_cpu = false;  // computes on the host's own cores: the software GPU, PoCL
};

struct Size3 {
  uint32_t x = 1, y = 1, z = 1;
};

class Device;

// Device memory. Freed with the object, which must not outlive its device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, uint64_t handle, size_t bytes) : device_(&device), handle_(handle), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Buffer();

  size_t bytes() const { return bytes_; }
  // The device address (CUDA) or the cl_mem: 8 bytes either way, and what a kernel gets as its argument.
  const uint64_t& handle() const { return handle_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  uint64_t handle_ = 0;
  size_t bytes_ = 0;
};

// Page-locked host memory, which copy engines read and write without staging.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(Device& device, void* data, uint64_t handle, size_t bytes)
      : device_(&device), data_(data), handle_(handle), bytes_(bytes) {}
  PinnedMemory(PinnedMemory&& other) noexcept { swap(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    PinnedMemory moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~PinnedMemory();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  template <typename T>
  std::span<T> as() const {
    return {static_cast<T*>(data_), bytes_ / sizeof(T)};
  }

 private:
  void swap(PinnedMemory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(handle_, other.handle_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  void* data_ = nullptr;
  uint64_t handle_ = 0;  // OpenCL's cl_mem behind the mapping
  size_t bytes_ = 0;
};

// Owned by its device; valid as long as that is.
struct Kernel {
  void* handle = nullptr;  // CUfunction, cl_kernel
};

// A two-dimensional image of float4 texels, read only: a CUDA array behind a texture object, or an OpenCL image. Freed
// with the object, which must not outlive its device.
class Texture {
 public:
  virtual ~Texture() = default;
  // What a kernel gets as its argument: a CUtexObject or a cl_mem, 8 bytes either way.
  const uint64_t& handle() const { return handle_; }

 protected:
  uint64_t handle_ = 0;
};

// A text compiled and loaded by itself (Device::build), unloaded with the object.
class Program {
 public:
  virtual ~Program() = default;
  virtual Kernel kernel(const char* function) = 0;
};

// Seconds by the device's clock from handing a launch over until it began, and until it ended.
struct LaunchTimes {
  double submitted, started, ended;
};

// A point in the stream, with the device's time when it was passed.
class Mark {
 public:
  virtual ~Mark() = default;
};

struct Argument {
  const void* value;
  size_t bytes;
};
template <typename T>
Argument argument(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {&value, sizeof value};
}
inline Argument argument(const Buffer& buffer) { return {&buffer.handle(), sizeof(uint64_t)}; }
inline Argument argument(const Texture& texture) { return {&texture.handle(), sizeof(uint64_t)}; }

class Device {
 public:
  // `ordinal` counts the API's devices of all platforms, GPUs first. Throws Unsupported where the API has no device.
  static std::unique_ptr<Device> open(Api api, int ordinal = 0);
  virtual ~Device() = default;

  Api api() const { return api_; }
  const Info& info() const { return info_; }
  // The same device once more, with a stream of its own, for work that overlaps. Its buffers are its own as well.
  std::unique_ptr<Device> again() const { return open(api_, ordinal_); }

  virtual Buffer allocate(size_t bytes) = 0;
  virtual PinnedMemory allocate_pinned(size_t bytes) = 0;

  // Copies in stream order. `wait`: return when it is done; else `from` / `to` must stay as it is until finish().
  virtual void write(const Buffer& to, size_t offset, const void* from, size_t bytes, bool wait = true) = 0;
  virtual void read(const Buffer& from, size_t offset, void* to, size_t bytes, bool wait = true) = 0;
  virtual void copy(const Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t bytes) = 0;
  // `bytes` a multiple of 4.
  virtual void fill(const Buffer& to, size_t offset, uint32_t word, size_t bytes) = 0;

  // `source` and `variant` name a text of kernels/; `function` a KERNEL in it. Compiled and loaded once a device.
  virtual Kernel kernel(std::string_view source, std::string_view variant, const char* function) = 0;
  // Always handed to the driver anew: what KernelCompile and ModuleLoad time. A `salt` never used before, on this
  // machine, defeats the driver's own cache of compiled programs; it becomes a constant in the text. Below 2^63.
  virtual std::unique_ptr<Program> build(std::string_view source, std::string_view variant, uint64_t salt) = 0;

  // `blocks` blocks of `threads` threads. Arguments: scalars by value, Buffers.
  template <typename... A>
  void launch(const Kernel& kernel, Size3 blocks, Size3 threads, const A&... arguments) {
    const std::array<Argument, sizeof...(A)> list{argument(arguments)...};
    launch_list(kernel, blocks, threads, list);
  }
  virtual void launch_list(const Kernel& kernel, Size3 blocks, Size3 threads, std::span<const Argument> arguments) = 0;
  // The same with `shared_bytes` of dynamic shared memory a block, beyond 48 KiB too. CUDA only: throws Unsupported.
  template <typename... A>
  void launch_shared(const Kernel& kernel, Size3 blocks, Size3 threads, uint32_t shared_bytes, const A&... arguments) {
    const std::array<Argument, sizeof...(A)> list{argument(arguments)...};
    launch_shared_list(kernel, blocks, threads, shared_bytes, list);
  }
  virtual void launch_shared_list(const Kernel& kernel, Size3 blocks, Size3 threads, uint32_t shared_bytes,
                                  std::span<const Argument> arguments) = 0;

  // What was asked so far is handed to the device now (OpenCL may hold it back); does not wait.
  virtual void flush() = 0;
  virtual void finish() = 0;

  virtual std::unique_ptr<Mark> mark() = 0;
  // Waits for `to`. Seconds by the device's clock.
  virtual double seconds_between(const Mark& from, const Mark& to) = 0;

  // `texels`: width x height x 4 floats. Unclamped integer coordinates, no filter. Throws Unsupported where
  // info().images is false.
  virtual std::unique_ptr<Texture> texture(size_t width, size_t height, const std::vector<float>& texels) = 0;
  // Launches `kernels` one after the other, as they are given, and waits for them. What each went through, by the
  // device's own record of it. Throws Unsupported on CUDA, which keeps none.
  virtual std::vector<LaunchTimes> launch_recorded(std::span<const Kernel> kernels, Size3 blocks, Size3 threads,
                                                   const Buffer& argument) = 0;
  // Another way to the same device, with a stream of its own, for the thread that calls this.
  virtual std::unique_ptr<Device> another() const = 0;

  // Convenience over the above.
  template <typename T>
  Buffer upload(const std::vector<T>& data) {
    Buffer buffer = allocate(data.size() * sizeof(T));
    write(buffer, 0, data.data(), buffer.bytes());
    return buffer;
  }
  template <typename T>
  std::vector<T> download(const Buffer& buffer, size_t count) {
    std::vector<T> data(count);
    read(buffer, 0, data.data(), count * sizeof(T));
    return data;
  }

 protected:
  friend class Buffer;
  friend class PinnedMemory;
  virtual void free_buffer(uint64_t handle) noexcept = 0;
  virtual void free_pinned(void* data, uint64_t handle) noexcept = 0;

  Api api_ = Api::cuda;
  Info info_;
  int ordinal_ = 0;
};

inline Buffer::~Buffer() {
  if (device_) device_->free_buffer(handle_);
}
inline PinnedMemory::~PinnedMemory() {
  if (device_) device_->free_pinned(data_, handle_);
}

// One per API; Device::open chooses.
std::unique_ptr<Device> open_cuda(int ordinal);
std::unique_ptr<Device> open_opencl(int ordinal);

}  // namespace nm::device
