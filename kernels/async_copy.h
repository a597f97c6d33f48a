// Copies from device memory into shared memory that a thread starts and later waits for. On CUDA cp.async: the data does
// not pass through registers, and the thread computes meanwhile. OpenCL has no such copy for the layouts wanted here, so
// there the copy is done at once.
#ifndef NM_ASYNC_COPY_H
#define NM_ASYNC_COPY_H

#ifdef __OPENCL_VERSION__

#define ASYNC_COPY_4(to, from) (*(SHARED_POINTER float*)(to) = *(GLOBAL const float*)(from))
#define ASYNC_COPY_8(to, from) (*(SHARED_POINTER float2*)(to) = *(GLOBAL const float2*)(from))
#define ASYNC_COPY_16(to, from) (*(SHARED_POINTER float4*)(to) = *(GLOBAL const float4*)(from))
#define ASYNC_COMMIT()
#define ASYNC_WAIT(groups)

#else

NM_INLINE uint nm_shared_address(const void* p) {
  return (uint)(unsigned long)(const __attribute__((address_space(3))) void*)p;
}
#define NM_ASYNC_COPY(cache, bytes, to, from) \
  asm volatile("cp.async." cache ".shared.global [%0], [%1], " bytes ";" ::"r"(nm_shared_address(to)), "l"(from) : "memory")
#define ASYNC_COPY_4(to, from) NM_ASYNC_COPY("ca", "4", to, from)
#define ASYNC_COPY_8(to, from) NM_ASYNC_COPY("ca", "8", to, from)
#define ASYNC_COPY_16(to, from) NM_ASYNC_COPY("cg", "16", to, from)
// What was started since the last commit becomes a group; the wait leaves at most the `groups` youngest unfinished.
#define ASYNC_COMMIT() asm volatile("cp.async.commit_group;" ::: "memory")
#define ASYNC_WAIT(groups) asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory")

#endif

#endif
