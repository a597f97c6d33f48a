// A device by OpenCL 1.2: a context and one in-order queue with profiling. libOpenCL.so.1, the loader, is found at run
// time.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "device/device.h"
#include "kernels/kernels.h"

namespace nm::device {
namespace {

#define NM_OPENCL_FUNCTIONS(X)                                                                                         \
  X(clGetPlatformIDs)                                                                                                  \
  X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo) X(clCreateContext) X(clReleaseContext)                     \
      X(clCreateCommandQueue) X(clReleaseCommandQueue) X(clCreateBuffer) X(clReleaseMemObject) X(clEnqueueMapBuffer)   \
          X(clEnqueueUnmapMemObject) X(clEnqueueWriteBuffer) X(clEnqueueReadBuffer) X(clEnqueueCopyBuffer)             \
              X(clEnqueueFillBuffer) X(clCreateProgramWithSource) X(clBuildProgram) X(clGetProgramBuildInfo)           \
                  X(clReleaseProgram) X(clCreateKernel) X(clReleaseKernel) X(clSetKernelArg) X(clEnqueueNDRangeKernel) \
                      X(clFlush) X(clFinish) X(clEnqueueMarkerWithWaitList) X(clWaitForEvents)                         \
                          X(clGetEventProfilingInfo) X(clReleaseEvent)

struct OpenclApi {
#define NM_MEMBER(name) decltype(&::name) name = nullptr;
  NM_OPENCL_FUNCTIONS(NM_MEMBER)
#undef NM_MEMBER
};

const OpenclApi& opencl_api() {
  static const OpenclApi loaded = [] {
    void* const library = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (!library) {
      throw Unsupported(std::string("There is no OpenCL here: ") + dlerror() +
                        ". Install an OpenCL loader (Debian: ocl-icd-libopencl1) and a platform for it.");
    }
    OpenclApi api;
#define NM_FIND(name)                                                                    \
  if (api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name)); !api.name) \
    throw Unsupported("The OpenCL loader here has no function " #name ": it is older than OpenCL 1.2.");
    NM_OPENCL_FUNCTIONS(NM_FIND)
#undef NM_FIND
    return api;
  }();
  return loaded;
}

[[noreturn]] void failed(const char* function, cl_int status) {
  throw Failure(std::string(function) + " answered error " + std::to_string(status) + " (cl.h names it).");
}

#define CL_CALL(name, ...)                                                                 \
  do {                                                                                     \
    if (const cl_int nm_status = opencl_api().name(__VA_ARGS__)) failed(#name, nm_status); \
  } while (0)

template <typename T>
T device_info(cl_device_id device, cl_device_info which) {
  T value{};
  CL_CALL(clGetDeviceInfo, device, which, sizeof value, &value, nullptr);
  return value;
}

std::string device_text(cl_device_id device, cl_device_info which) {
  size_t bytes = 0;
  CL_CALL(clGetDeviceInfo, device, which, 0, nullptr, &bytes);
  std::string text(bytes, 0);
  CL_CALL(clGetDeviceInfo, device, which, bytes, text.data(), nullptr);
  return text.c_str();
}

class OpenclMark final : public Mark {
 public:
  ~OpenclMark() override {
    if (event) opencl_api().clReleaseEvent(event);
  }
  cl_event event = nullptr;
};

struct Found {
  cl_platform_id platform;
  cl_device_id device;
};

// GPUs first, in the order of the platforms.
std::vector<Found> devices() {
  cl_uint count = 0;
  const cl_int status = opencl_api().clGetPlatformIDs(0, nullptr, &count);
  if (status == CL_PLATFORM_NOT_FOUND_KHR)
    count = 0;
  else if (status)
    failed("clGetPlatformIDs", status);
  std::vector<cl_platform_id> platforms(count);
  if (count) CL_CALL(clGetPlatformIDs, count, platforms.data(), nullptr);
  std::vector<Found> found;
  for (const cl_device_type type : {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU}) {
    for (const cl_platform_id platform : platforms) {
      cl_uint n = 0;
      if (opencl_api().clGetDeviceIDs(platform, type, 0, nullptr, &n) || n == 0) continue;
      std::vector<cl_device_id> list(n);
      CL_CALL(clGetDeviceIDs, platform, type, n, list.data(), nullptr);
      for (const cl_device_id device : list) found.push_back({platform, device});
    }
  }
  return found;
}

class OpenclDevice final : public Device {
 public:
  explicit OpenclDevice(int ordinal) {
    api_ = Api::opencl;
    const std::vector<Found> all = devices();
    if (static_cast<size_t>(ordinal) >= all.size()) {
      throw Unsupported("There is no OpenCL device " + std::to_string(ordinal) + ": the platforms here offer " +
                        std::to_string(all.size()) + ". Install one (Debian's for the CPU: pocl-opencl-icd).");
    }
    device_ = all[static_cast<size_t>(ordinal)].device;
    describe(all[static_cast<size_t>(ordinal)].platform);
    cl_int status = 0;
    context_ = opencl_api().clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &status);
    if (status) failed("clCreateContext", status);
    queue_ = opencl_api().clCreateCommandQueue(context_, device_, CL_QUEUE_PROFILING_ENABLE, &status);
    if (status) failed("clCreateCommandQueue", status);
  }

  ~OpenclDevice() override {
    for (auto& [name, kernel] : kernels_) opencl_api().clReleaseKernel(kernel);
    for (auto& [name, program] : programs_) opencl_api().clReleaseProgram(program);
    if (queue_) opencl_api().clReleaseCommandQueue(queue_);
    if (context_) opencl_api().clReleaseContext(context_);
  }

  Buffer allocate(size_t bytes) override {
    cl_int status = 0;
    const cl_mem memory =
        opencl_api().clCreateBuffer(context_, CL_MEM_READ_WRITE, std::max<size_t>(bytes, 4), nullptr, &status);
    if (status) failed("clCreateBuffer", status);
    return Buffer(*this, reinterpret_cast<uint64_t>(memory), bytes);
  }
  // OpenCL has no such memory by name; a mapped buffer of the host's is what platforms lock.
  PinnedMemory allocate_pinned(size_t bytes) override {
    cl_int status = 0;
    const cl_mem memory = opencl_api().clCreateBuffer(context_, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR,
                                                      std::max<size_t>(bytes, 4), nullptr, &status);
    if (status) failed("clCreateBuffer", status);
    void* const data = opencl_api().clEnqueueMapBuffer(queue_, memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                                       std::max<size_t>(bytes, 4), 0, nullptr, nullptr, &status);
    if (status) {
      opencl_api().clReleaseMemObject(memory);
      failed("clEnqueueMapBuffer", status);
    }
    return PinnedMemory(*this, data, reinterpret_cast<uint64_t>(memory), bytes);
  }

  void write(const Buffer& to, size_t offset, const void* from, size_t bytes, bool wait) override {
    if (bytes)
      CL_CALL(clEnqueueWriteBuffer, queue_, memory(to), wait ? CL_TRUE : CL_FALSE, offset, bytes, from, 0, nullptr,
              nullptr);
  }
  void read(const Buffer& from, size_t offset, void* to, size_t bytes, bool wait) override {
    if (bytes)
      CL_CALL(clEnqueueReadBuffer, queue_, memory(from), wait ? CL_TRUE : CL_FALSE, offset, bytes, to, 0, nullptr,
              nullptr);
  }
  void copy(const Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t bytes) override {
    if (bytes)
      CL_CALL(clEnqueueCopyBuffer, queue_, memory(from), memory(to), from_offset, to_offset, bytes, 0, nullptr,
              nullptr);
  }
  void fill(const Buffer& to, size_t offset, uint32_t word, size_t bytes) override {
    if (bytes) CL_CALL(clEnqueueFillBuffer, queue_, memory(to), &word, sizeof word, offset, bytes, 0, nullptr, nullptr);
  }

  Kernel kernel(std::string_view source, std::string_view variant, const char* function) override {
    const std::string key = std::string(source) + "." + std::string(variant);
    auto program = programs_.find(key);
    if (program == programs_.end()) program = programs_.emplace(key, build(source, variant)).first;
    const std::string name = key + "." + function;
    auto found = kernels_.find(name);
    if (found == kernels_.end()) found = kernels_.emplace(name, create(program->second, function)).first;
    return {found->second};
  }
  void compile(std::string_view source, std::string_view variant, const char* function) override {
    const cl_program program = build(source, variant);
    const cl_kernel kernel = create(program, function);
    opencl_api().clReleaseKernel(kernel);
    opencl_api().clReleaseProgram(program);
  }

  void launch_list(const Kernel& kernel, Size3 blocks, Size3 threads, std::span<const Argument> arguments) override {
    const auto handle = static_cast<cl_kernel>(kernel.handle);
    for (size_t i = 0; i < arguments.size(); ++i) {
      CL_CALL(clSetKernelArg, handle, static_cast<cl_uint>(i), arguments[i].bytes, arguments[i].value);
    }
    const size_t local[] = {threads.x, threads.y, threads.z};
    const size_t global[] = {size_t{blocks.x} * threads.x, size_t{blocks.y} * threads.y, size_t{blocks.z} * threads.z};
    CL_CALL(clEnqueueNDRangeKernel, queue_, handle, 3, nullptr, global, local, 0, nullptr, nullptr);
  }

  void flush() override { CL_CALL(clFlush, queue_); }
  void finish() override { CL_CALL(clFinish, queue_); }

  std::unique_ptr<Mark> mark() override {
    auto mark = std::make_unique<OpenclMark>();
    CL_CALL(clEnqueueMarkerWithWaitList, queue_, 0, nullptr, &mark->event);
    return mark;
  }
  double seconds_between(const Mark& from, const Mark& to) override {
    const cl_event begin = static_cast<const OpenclMark&>(from).event, end = static_cast<const OpenclMark&>(to).event;
    const cl_event both[] = {begin, end};
    CL_CALL(clFlush, queue_);
    CL_CALL(clWaitForEvents, 2, both);
    cl_ulong a = 0, b = 0;
    CL_CALL(clGetEventProfilingInfo, begin, CL_PROFILING_COMMAND_END, sizeof a, &a, nullptr);
    CL_CALL(clGetEventProfilingInfo, end, CL_PROFILING_COMMAND_END, sizeof b, &b, nullptr);
    return static_cast<double>(b - a) / 1e9;
  }

 private:
  static cl_mem memory(const Buffer& buffer) { return reinterpret_cast<cl_mem>(buffer.handle()); }

  void free_buffer(uint64_t handle) noexcept override {
    opencl_api().clReleaseMemObject(reinterpret_cast<cl_mem>(handle));
  }
  void free_pinned(void* data, uint64_t handle) noexcept override {
    const auto memory = reinterpret_cast<cl_mem>(handle);
    opencl_api().clEnqueueUnmapMemObject(queue_, memory, data, 0, nullptr, nullptr);
    opencl_api().clFinish(queue_);
    opencl_api().clReleaseMemObject(memory);
  }

  cl_program build(std::string_view source, std::string_view variant) {
    const kernels::Source* text = kernels::find(source, variant);
    const std::string name = std::string(source) + "." + std::string(variant);
    if (!text) throw Failure("There is no kernel source " + name + ".");
    if (text->opencl.empty()) throw Unsupported("The kernel source " + name + " is for CUDA only.");
    const char* words = text->opencl.data();
    const size_t length = text->opencl.size();
    cl_int status = 0;
    const cl_program program = opencl_api().clCreateProgramWithSource(context_, 1, &words, &length, &status);
    if (status) failed("clCreateProgramWithSource", status);
    // Products and sums as they are written: results are compared between devices.
    const std::string options = "-cl-std=CL1.2 -DVARIANT_" + std::string(variant);
    status = opencl_api().clBuildProgram(program, 1, &device_, options.c_str(), nullptr, nullptr);
    if (status == CL_SUCCESS) return program;
    size_t bytes = 0;
    opencl_api().clGetProgramBuildInfo(program, device_, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes);
    std::string log(bytes, 0);
    opencl_api().clGetProgramBuildInfo(program, device_, CL_PROGRAM_BUILD_LOG, bytes, log.data(), nullptr);
    opencl_api().clReleaseProgram(program);
    throw Failure("The kernel source " + name + " does not build (error " + std::to_string(status) +
                  "): " + log.c_str());
  }
  static cl_kernel create(cl_program program, const char* function) {
    cl_int status = 0;
    const cl_kernel kernel = opencl_api().clCreateKernel(program, function, &status);
    if (status)
      throw Failure(std::string("There is no kernel ") + function + " in its program (error " + std::to_string(status) +
                    ").");
    return kernel;
  }

  void describe(cl_platform_id platform) {
    info_.name = device_text(device_, CL_DEVICE_NAME);
    info_.driver = device_text(device_, CL_DRIVER_VERSION);
    char version[256] = "";
    CL_CALL(clGetPlatformInfo, platform, CL_PLATFORM_VERSION, sizeof version - 1, version, nullptr);
    info_.api_version = version;
    info_.memory_bytes = device_info<cl_ulong>(device_, CL_DEVICE_GLOBAL_MEM_SIZE);
    info_.max_allocation_bytes = device_info<cl_ulong>(device_, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info_.l2_bytes = device_info<cl_ulong>(device_, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    info_.shared_bytes = static_cast<size_t>(device_info<cl_ulong>(device_, CL_DEVICE_LOCAL_MEM_SIZE));
    info_.multiprocessors = static_cast<int>(device_info<cl_uint>(device_, CL_DEVICE_MAX_COMPUTE_UNITS));
    info_.clock_mhz = static_cast<int>(device_info<cl_uint>(device_, CL_DEVICE_MAX_CLOCK_FREQUENCY));
    info_.max_threads = static_cast<int>(device_info<size_t>(device_, CL_DEVICE_MAX_WORK_GROUP_SIZE));
    info_.fp64 = device_text(device_, CL_DEVICE_EXTENSIONS).find("cl_khr_fp64") != std::string::npos;
    info_.images = device_info<cl_bool>(device_, CL_DEVICE_IMAGE_SUPPORT) == CL_TRUE;
    info_.is_cpu = (device_info<cl_device_type>(device_, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
  }

  cl_device_id device_ = nullptr;
  cl_context context_ = nullptr;
  cl_command_queue queue_ = nullptr;
  std::map<std::string, cl_program> programs_;
  std::map<std::string, cl_kernel> kernels_;
};

}  // namespace

std::unique_ptr<Device> open_opencl(int ordinal) { return std::make_unique<OpenclDevice>(ordinal); }

}  // namespace nm::device
