// PTX types: what a register, an operand or a memory access holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nm::softgpu::ptx {

enum class Type : uint8_t {
  none,
  pred,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  bf16,
  f32,
  f64,
  tf32,
  f16x2,
  bf16x2,
  u16x2,
  s16x2,
  e4m3x2,
  e5m2x2,
};

constexpr uint32_t size_of(Type type) {
  switch (type) {
    case Type::none:
      return 0;
    case Type::pred:
      return 4;
    case Type::b8:
    case Type::u8:
    case Type::s8:
      return 1;
    case Type::b16:
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16:
      return 2;
    case Type::e4m3x2:
    case Type::e5m2x2:
      return 2;
    case Type::b32:
    case Type::u32:
    case Type::s32:
    case Type::f32:
    case Type::tf32:
      return 4;
    case Type::f16x2:
    case Type::bf16x2:
    case Type::u16x2:
    case Type::s16x2:
      return 4;
    case Type::b64:
    case Type::u64:
    case Type::s64:
    case Type::f64:
      return 8;
    case Type::b128:
      return 16;
  }
  return 0;
}

constexpr bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
constexpr bool is_unsigned(Type t) { return t == Type::u8 || t == Type::u16 || t == Type::u32 || t == Type::u64; }
constexpr bool is_bits(Type t) {
  return t == Type::b8 || t == Type::b16 || t == Type::b32 || t == Type::b64 || t == Type::b128;
}
constexpr bool is_integer(Type t) { return is_signed(t) || is_unsigned(t); }
constexpr bool is_float(Type t) { return t == Type::f16 || t == Type::bf16 || t == Type::f32 || t == Type::f64; }

// The unsigned type of the same width; what untyped data is handled as.
constexpr Type unsigned_of(uint32_t bytes) {
  return bytes == 1 ? Type::u8 : bytes == 2 ? Type::u16 : bytes == 4 ? Type::u32 : Type::u64;
}

// "u32" and the like; nothing for other words.
std::optional<Type> type_named(std::string_view name);
std::string_view name_of(Type type);

// State spaces. `param` of a kernel is one read-only buffer; of a function it is memory of a thread's frame.
enum class Space : uint8_t { generic, global, constant, shared, local, param };

}  // namespace nm::softgpu::ptx
