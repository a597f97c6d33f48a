// A program that calls the client library: it gives valid pointers, live handles and any numbers.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "shape.h"

namespace nm::fuzz {

class Caller {
 public:
  explicit Caller(Input in) : in_(in) {}

  bool more() const { return in_.left() > 0; }
  uint16_t pick() { return in_.take<uint16_t>(); }
  uint64_t number() { return in_.number(); }
  uint64_t count() { return in_.take<uint8_t>() % 9; }
  const char* text() { return "name"; }
  template <typename T>
  T pod() {
    T value;
    std::memset(static_cast<void*>(&value), 0, sizeof value);
    if (in_.take<uint8_t>() & 1) in_.copy(&value, sizeof value);
    return value;
  }
  template <typename T>
  void fill(std::vector<T>& values) {
    if (!values.empty() && (in_.take<uint8_t>() & 1)) in_.copy(values.data(), values.size() * sizeof(T));
  }
  // A handle of the client's own, of which there are few, or one that a server drew.
  template <typename H, typename Kind>
  H handle(Kind kind) {
    const auto c = in_.take<uint8_t>();
    const uint64_t value = c % 4 == 0 ? 0
                           : c % 4 == 1
                               ? wire::Handle{static_cast<uint8_t>(kind), 1, wire::kServerBit | (c / 4u & 7)}.value()
                               : made(kind);
    return as<H>(value);
  }
  // One that may go.
  template <typename H, typename Kind>
  H fresh(Kind kind) {
    return as<H>(draw_handle(kind));
  }
  // A struct that begins with its version: exactly as many bytes as that says.
  std::vector<uint32_t> versioned(std::initializer_list<unsigned> tags) {
    const unsigned tag = tags.begin()[in_.take<uint8_t>() % tags.size()];
    std::vector<uint32_t> words((tag & 0xffffff) / 4);
    words[0] = tag;
    return words;
  }
  template <typename T>
  void look(const T* values, size_t count) {
    auto* bytes = reinterpret_cast<const uint8_t*>(values);
    for (size_t i = 0; i < count * sizeof(T); i++) seen_ = seen_ + bytes[i];
  }
  // Of an array that `n` counts.
  template <typename N>
  static size_t length(N n) {
    return static_cast<size_t>(n);
  }

 private:
  template <typename H>
  static H as(uint64_t value) {
    if constexpr (std::is_pointer_v<H>)
      return reinterpret_cast<H>(value);
    else
      return value;
  }
  // Drawn once in a process, as by an earlier call that succeeded.
  template <typename Kind>
  static uint64_t made(Kind kind) {
    static uint64_t handles[256] = {};
    uint64_t& h = handles[static_cast<uint8_t>(kind)];
    if (!h) h = draw_handle(kind);
    return h;
  }

  Input in_;
  volatile uint8_t seen_ = 0;
};

}  // namespace nm::fuzz
