// Nothing in this library throws: it is built with -fno-exceptions, and a C program that loads it has nobody to catch.
// But the parts of the standard library that are linked into it can throw (a string too long, memory gone), and with
// the throwing would come its unwinder (which wants _dl_find_object of GLIBC_2.35), its emergency memory and error
// categories (constructors that run at load) and a random device (arc4random of GLIBC_2.36). So what would throw ends
// here, with a sentence: the same end that an exception nobody catches has. All of it is hidden.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <unwind.h>

#include <cstdarg>
#include <exception>
#include <new>

namespace {

// No allocation, no stdio: memory may be what is missing.
[[noreturn]] void end(const char* what) {
  char line[160];
  int n = snprintf(line, sizeof line, "nearmetal: the client library cannot go on: %s.\n", what);
  if (n > 0 && write(STDERR_FILENO, line, static_cast<size_t>(n)) < 0) abort();
  abort();
}

void* allocate(size_t size) {
  void* p = malloc(size ? size : 1);
  if (!p) end("this process is out of memory");
  return p;
}

void* allocate(size_t size, std::align_val_t alignment) {
  void* p = nullptr;
  size_t a = static_cast<size_t>(alignment);
  if (posix_memalign(&p, a < sizeof p ? sizeof p : a, size ? size : 1) != 0) end("this process is out of memory");
  return p;
}

}  // namespace

void* operator new(size_t size) { return allocate(size); }
void* operator new[](size_t size) { return allocate(size); }
void* operator new(size_t size, std::align_val_t a) { return allocate(size, a); }
void* operator new[](size_t size, std::align_val_t a) { return allocate(size, a); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }
void operator delete(void* p) noexcept { free(p); }
void operator delete[](void* p) noexcept { free(p); }
void operator delete(void* p, size_t) noexcept { free(p); }
void operator delete[](void* p, size_t) noexcept { free(p); }
void operator delete(void* p, std::align_val_t) noexcept { free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { free(p); }

namespace std {

void terminate() noexcept { end("it reached a state that it does not know"); }
void __throw_bad_alloc() { end("this process is out of memory"); }
void __throw_bad_array_new_length() { end("this process is out of memory"); }
void __throw_bad_function_call() { end("it called a function that is not there"); }
void __throw_invalid_argument(const char* what) { end(what); }
void __throw_length_error(const char* what) { end(what); }
void __throw_logic_error(const char* what) { end(what); }
void __throw_out_of_range(const char* what) { end(what); }
void __throw_out_of_range_fmt(const char* format, ...) {
  char what[120];
  va_list args;
  va_start(args, format);
  // The library's formats use %s and %zu alone.
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  end(what);
}
void __throw_runtime_error(const char* what) { end(what); }
void __throw_system_error(int code) {
  char what[64];
  snprintf(what, sizeof what, "the system refused a lock or a thread with error %d", code);
  end(what);
}

}  // namespace std

extern "C" {

void* __cxa_allocate_exception(size_t) noexcept { end("the standard library threw"); }
void __cxa_free_exception(void*) noexcept {}
void __cxa_throw(void*, void*, void (*)(void*)) { end("the standard library threw"); }
void __cxa_rethrow() { end("the standard library threw"); }
void* __cxa_begin_catch(void*) noexcept { end("the standard library threw"); }
void __cxa_end_catch() {}
void __cxa_call_unexpected(void*) { end("the standard library threw"); }
void __cxa_pure_virtual() { end("it reached a state that it does not know"); }
void _Unwind_Resume(_Unwind_Exception*) { end("the standard library threw"); }

// Somebody else's exception, or a thread that is being cancelled, may pass through: there is nothing to clean up here.
_Unwind_Reason_Code __gxx_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class, _Unwind_Exception*,
                                         _Unwind_Context*) {
  return _URC_CONTINUE_UNWIND;
}

}  // extern "C"
