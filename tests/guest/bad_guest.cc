// A library that breaks every rule of tests/guest/client_library_test.py.
#include <cmath>
#include <iostream>
#include <string>

namespace {
struct Greeter {
  explicit Greeter(const char* text) : text_(text) {}
  std::string text_;
} greeter("hello");
}  // namespace

extern "C" __attribute__((visibility("default"))) double of_another_library(double x) {
  if (x < 0) throw greeter.text_;
  return std::tgamma(x);
}
