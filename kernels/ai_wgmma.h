// The warpgroup's matrix product of Hopper (sm_90a): 64 x WGMMA_N sums (64, 128 or 256; the including source says which)
// of 16 terms (bf16) or 8 (tf32) an instruction, from tiles in shared memory with rows of 128 bytes whose 16-byte pieces are permuted by
// the row's number, as the instruction knows it.
#ifndef NM_AI_WGMMA_H
#define NM_AI_WGMMA_H
#include "ai_bf16.h"

// Where a tile lies (aligned to 1,024 bytes), 1,024 bytes from eight rows to the next eight, 128-byte permutation. An
// instruction's terms further along the rows are 32 bytes: 2 more.
DEVICE ulong tile_descriptor(uint address) {
  return (ulong)((address & 0x3ffffu) >> 4) | (1ul << 16) | (64ul << 32) | (1ul << 62);
}

#define NAMES_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_64 \
  NAMES_32 ", " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES_128 \
  NAMES_64 ", " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SUMS_4(s, i) "+f"(s[i]), "+f"(s[(i) + 1]), "+f"(s[(i) + 2]), "+f"(s[(i) + 3])
#define SUMS_16(s, i) SUMS_4(s, i), SUMS_4(s, (i) + 4), SUMS_4(s, (i) + 8), SUMS_4(s, (i) + 12)
#define SUMS_32(s, i) SUMS_16(s, i), SUMS_16(s, (i) + 16)
#define SUMS_64(s, i) SUMS_32(s, i), SUMS_32(s, (i) + 32)
// A thread's sums, their names in the assembly, and those of the two descriptors behind them.
#if WGMMA_N == 64
#define WGMMA_SUMS(s) SUMS_32(s, 0)
#define WGMMA_OPCODE "wgmma.mma_async.sync.aligned.m64n64" WGMMA_TYPES " {" NAMES_32 "}, "
#define LEFT "%32"
#define RIGHT "%33"
#elif WGMMA_N == 128
#define WGMMA_SUMS(s) SUMS_64(s, 0)
#define WGMMA_OPCODE "wgmma.mma_async.sync.aligned.m64n128" WGMMA_TYPES " {" NAMES_64 "}, "
#define LEFT "%64"
#define RIGHT "%65"
#else
#define WGMMA_SUMS(s) SUMS_64(s, 0), SUMS_64(s, 64)
#define WGMMA_OPCODE "wgmma.mma_async.sync.aligned.m64n256" WGMMA_TYPES " {" NAMES_128 "}, "
#define LEFT "%128"
#define RIGHT "%129"
#endif
#ifdef VARIANT_tf32
#define WGMMA_TYPES "k8.f32.tf32.tf32"
#define WGMMA(a, b) WGMMA_OPCODE a ", " b ", 1, 1, 1;\n"
#else
#define WGMMA_TYPES "k16.f32.bf16.bf16"
#define WGMMA(a, b) WGMMA_OPCODE a ", " b ", 1, 1, 1, 0, 0;\n"
#endif

// s (64 x WGMMA_N of a warpgroup) += the 128 bytes' columns of tile a (64 rows) times those of tile b (WGMMA_N rows). Begun, not
// awaited: the products begun before are finished when it returns. One statement, so that the compiler does nothing to
// the sums in between.
DEVICE void wgmma_tile(float* s, ulong a, ulong b) {
  asm volatile(
      "{\n.reg .b64 a1, a2, a3, b1, b2, b3;\n"
      "add.s64 a1, " LEFT ", 2;\nadd.s64 a2, " LEFT ", 4;\nadd.s64 a3, " LEFT ", 6;\n"
      "add.s64 b1, " RIGHT ", 2;\nadd.s64 b2, " RIGHT ", 4;\nadd.s64 b3, " RIGHT ", 6;\n"
      "wgmma.fence.sync.aligned;\n"
      WGMMA(LEFT, RIGHT) WGMMA("a1", "b1") WGMMA("a2", "b2") WGMMA("a3", "b3")
      "wgmma.commit_group.sync.aligned;\n"
      "wgmma.wait_group.sync.aligned 1;\n}"
      : WGMMA_SUMS(s)
      : "l"(a), "l"(b)
      : "memory");
}
// All products are finished; the sums may be read.
DEVICE void wgmma_finish(float* s) { asm volatile("wgmma.wait_group.sync.aligned 0;" : WGMMA_SUMS(s)::"memory"); }
// What this thread wrote to shared memory is seen by the tensor cores after the next barrier.
DEVICE void fence_for_wgmma(void) { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#endif
