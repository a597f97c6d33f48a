// The driver that libcuda.so.1 gives, whichever that is.
#pragma once

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include <string>

#include "cuda_abi.h"

namespace order {

template <typename Function>
Function find(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) {
    fprintf(stderr, "order: libcuda.so.1 does not give %s: %s\n", name, dlerror());
    _exit(2);
  }
  return reinterpret_cast<Function>(found);
}

// What this thread is at, for the sentence about a call that fails.
inline thread_local std::string t_doing = "before the first program";

[[noreturn]] inline void call_failed(const char* name, CUresult result) {
  fprintf(stderr, "order: %s answered %d. %s\n", name, static_cast<int>(result), t_doing.c_str());
  fflush(nullptr);
  _exit(2);  // other threads are in the middle of their work
}

}  // namespace order

#define CU_ANSWER(name, ...)                                             \
  ([&] {                                                                 \
    static const auto function_ = order::find<decltype(&::name)>(#name); \
    return function_(__VA_ARGS__);                                       \
  }())
#define CU(name, ...)                                                                                                 \
  do {                                                                                                                \
    if (CUresult result_ = CU_ANSWER(name, __VA_ARGS__); result_ != CUDA_SUCCESS) order::call_failed(#name, result_); \
  } while (0)
