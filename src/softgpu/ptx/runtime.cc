// Functions that programs call without defining them: the device run time of CUDA.
#include <bit>

#include "softgpu/ptx/format.h"
#include "softgpu/ptx/lower.h"

namespace nm::softgpu::ptx {
namespace {

template <class T>
T argument(const Exec& x, const Inst& in, uint32_t lane, size_t index) {
  T value{};
  const CallSite& site = *in.call;
  const size_t bytes = site.param_bytes[index] < sizeof(T) ? site.param_bytes[index] : sizeof(T);
  std::memcpy(&value, x.frame->params.data() + size_t{lane} * x.frame->function->param_bytes + site.arg_offsets[index],
              bytes);
  return value;
}
template <class T>
void result(const Exec& x, const Inst& in, uint32_t lane, T value) {
  const CallSite& site = *in.call;
  if (site.result_offsets.empty()) return;
  const size_t bytes = site.return_bytes[0] < sizeof(T) ? site.return_bytes[0] : sizeof(T);
  std::memcpy(x.frame->params.data() + size_t{lane} * x.frame->function->param_bytes + site.result_offsets[0], &value,
              bytes);
}
template <class F>
void each(const Exec& x, F f) {
  for (uint32_t m = x.mask; m && x.fault == Fault::none; m &= m - 1) f(static_cast<uint32_t>(std::countr_zero(m)));
}

void print(Exec& x, const Inst& in) {
  each(x, [&](uint32_t lane) {
    int count = 0;
    auto text = format_device(x, lane, argument<uint64_t>(x, in, lane, 0), argument<uint64_t>(x, in, lane, 1), count);
    if (!text) return;
    if (x.grid->print != nullptr && *x.grid->print) {
      std::lock_guard lock(x.grid->print_mutex);
      (*x.grid->print)(*text);
    }
    result(x, in, lane, count);
  });
}

// void __assertfail(const char* message, const char* file, unsigned line, const char* function, size_t char_size)
void assertion(Exec& x, const Inst& in) {
  const uint32_t lane = static_cast<uint32_t>(std::countr_zero(x.mask));
  auto text = [&](size_t index) {
    const uint64_t address = argument<uint64_t>(x, in, lane, index);
    auto string = address == 0 ? std::nullopt : device_string(x, lane, address);
    return string ? *string : std::string("?");
  };
  std::string line = text(1) + ":" + std::to_string(argument<uint32_t>(x, in, lane, 2)) + ": " + text(3) +
                     ": block: [" + std::to_string(x.block->ctaid[0]) + "," + std::to_string(x.block->ctaid[1]) + "," +
                     std::to_string(x.block->ctaid[2]) + "], thread: [" +
                     std::to_string(x.reg<uint32_t>(special_ref(Special::tid_x))[lane]) + "," +
                     std::to_string(x.reg<uint32_t>(special_ref(Special::tid_y))[lane]) + "," +
                     std::to_string(x.reg<uint32_t>(special_ref(Special::tid_z))[lane]) + "] Assertion `" + text(0) +
                     "` failed.";
  if (x.fault != Fault::none) return;
  if (x.grid->print != nullptr && *x.grid->print) {
    std::lock_guard lock(x.grid->print_mutex);
    (*x.grid->print)(line + "\n");
  }
  x.raise(Fault::assertion, lane, line);
}

void allocate(Exec& x, const Inst& in) {
  each(x, [&](uint32_t lane) {
    DeviceHeap* heap = x.grid->launch.heap;
    result<uint64_t>(x, in, lane, heap == nullptr ? 0 : heap->allocate(argument<uint64_t>(x, in, lane, 0)));
  });
}
void release(Exec& x, const Inst& in) {
  each(x, [&](uint32_t lane) {
    DeviceHeap* heap = x.grid->launch.heap;
    const uint64_t address = argument<uint64_t>(x, in, lane, 0);
    if (address != 0 && (heap == nullptr || !heap->release(address))) {
      x.raise(Fault::launch_failure, lane, "free() of an address that malloc() did not give");
    }
  });
}

}  // namespace

Handler runtime_function(std::string_view name, size_t params, size_t returns) {
  if (name == "vprintf" && params == 2 && returns <= 1) return print;
  if ((name == "__assertfail" || name == "__assert_fail") && params >= 4 && returns == 0) return assertion;
  if (name == "malloc" && params == 1 && returns == 1) return allocate;
  if (name == "free" && params == 1 && returns == 0) return release;
  return nullptr;
}

}  // namespace nm::softgpu::ptx
