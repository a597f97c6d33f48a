// For tests: one or a few instructions computed for one set of operands.
#pragma once

#include <string>
#include <type_traits>

#include "softgpu/ptx/test_device.h"

namespace nm::softgpu::ptx {

// `text` computes %d from %a, %b, %c, which are registers as wide as the C++ types; %p, %q are predicates, %r0, %r1
// 32-bit and %l0 64-bit scratch. Runs in a warp of which odd lanes are switched off, so that masks matter.
template <class D, class A, class B = A, class C = A>
D calc(const std::string& text, std::type_identity_t<A> a, std::type_identity_t<B> b = {},
       std::type_identity_t<C> c = {}) {
  auto bits = [](size_t bytes) { return ".b" + std::to_string(bytes * 8); };
  auto reg = [&](const char* name, size_t bytes) { return "  .reg " + bits(bytes) + " " + name + ";\n"; };
  auto load = [&](const char* name, const char* param, size_t bytes) {
    return "  ld.param" + bits(bytes) + " " + name + ", [" + param + "];\n";
  };
  const std::string source =
      ".version 8.5\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out, .param " + bits(sizeof(A)) +
      " pa, .param " + bits(sizeof(B)) + " pb, .param " + bits(sizeof(C)) + " pc)\n{\n" + reg("%d", sizeof(D)) +
      reg("%a", sizeof(A)) + reg("%b", sizeof(B)) + reg("%c", sizeof(C)) +
      "  .reg .pred %p, %q, %odd;\n  .reg .b32 %r<4>;\n  .reg .b64 %l<4>;\n  .reg .b64 %o;\n"
      "  .reg .b32 %lane;\n  .reg .b16 %h<4>;\n" +
      load("%o", "out", 8) + load("%a", "pa", sizeof(A)) + load("%b", "pb", sizeof(B)) + load("%c", "pc", sizeof(C)) +
      "  mov.u32 %lane, %laneid;\n  and.b32 %lane, %lane, 1;\n  setp.ne.u32 %odd, %lane, 0;\n"
      "  @%odd ret;\n" +
      text + "\n  st.global" + bits(sizeof(D)) + " [%o], %d;\n  ret;\n}\n";
  TestDevice device;
  D* out = device.zeros<D>(1);
  EXPECT_TRUE(device.load(source)) << device.log << source;
  if (device.module == nullptr) return D{};
  EXPECT_RUNS(device.run("k", {1}, {32}, out, a, b, c));
  return *out;
}

}  // namespace nm::softgpu::ptx
