"""Does a small copy to the device see what the device wrote to its source just before?

Natively (driver 580) not always: of a copy of up to 24 KiB from page-locked memory the driver reads the source when the
copy is asked for, if the copy's own stream has nothing to do. It forgets that a blocking stream waits for the legacy
stream, and the legacy one for all blocking streams (docs/decisions/0023). Through nearmetal every line must say 0.

    small_copies.py            with the libcuda.so.1 that the loader finds; prints a table, exit status 1 if any is wrong
"""

import ctypes
import itertools
import sys

V, Q, U = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint
SIZES = (24, 4096, 16384, 24576, 24580, 65536)
REPEATS = 3
LATE = 3_000_000  # clock cycles until a kernel writes

# Waits for so many cycles, then fills `words` words at `at` with `value`.
PTX = b""".version 7.0
.target sm_70
.address_size 64
.visible .entry late(.param .u64 cycles, .param .u64 at, .param .u32 value, .param .u32 words) {
 .reg .u64 %begin, %now, %past, %cycles, %at; .reg .u32 %value, %words, %i; .reg .pred %more;
 ld.param.u64 %cycles, [cycles]; ld.param.u64 %at, [at]; ld.param.u32 %value, [value]; ld.param.u32 %words, [words];
 mov.u64 %begin, %clock64;
WAIT: mov.u64 %now, %clock64; sub.u64 %past, %now, %begin; setp.lt.u64 %more, %past, %cycles; @%more bra WAIT;
 mov.u32 %i, 0;
FILL: st.global.u32 [%at], %value; add.u64 %at, %at, 4; add.u32 %i, %i, 1; setp.lt.u32 %more, %i, %words; @%more bra FILL;
 ret; }
"""


class Driver:
    def __init__(self):
        self.library = ctypes.CDLL("libcuda.so.1")

    def __getattr__(self, name):
        function = getattr(self.library, name)

        def call(*arguments):
            result = function(*arguments)
            if result:
                sys.exit(f"{name} failed with {result}.")

        return call


class Copy2D(ctypes.Structure):
    _fields_ = [
        ("source_x", ctypes.c_size_t), ("source_y", ctypes.c_size_t), ("source_type", U), ("source_host", V),
        ("source_device", Q), ("source_array", V), ("source_pitch", ctypes.c_size_t),
        ("target_x", ctypes.c_size_t), ("target_y", ctypes.c_size_t), ("target_type", U), ("target_host", V),
        ("target_device", Q), ("target_array", V), ("target_pitch", ctypes.c_size_t),
        ("width", ctypes.c_size_t), ("height", ctypes.c_size_t),
    ]


def main():
    cu = Driver()
    cu.cuInit(0)
    device, context = ctypes.c_int(), V()
    cu.cuDeviceGet(ctypes.byref(device), 0)
    cu.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    cu.cuCtxSetCurrent(context)
    module, late = V(), V()
    cu.cuModuleLoadData(ctypes.byref(module), PTX)
    cu.cuModuleGetFunction(ctypes.byref(late), module, b"late")
    most = max(SIZES)
    host, mapped, target, other, blocking = V(), Q(), Q(), Q(), V()
    cu.cuMemHostAlloc(ctypes.byref(host), Q(most), 2)  # device-mapped
    cu.cuMemHostGetDevicePointer_v2(ctypes.byref(mapped), host, 0)
    cu.cuMemAlloc_v2(ctypes.byref(target), Q(most))
    cu.cuMemAlloc_v2(ctypes.byref(other), Q(most))
    cu.cuStreamCreate(ctypes.byref(blocking), 0)
    streams = {"legacy": V(1), "blocking": blocking, "per-thread": V(2)}

    def copy_row(n, stream):
        copy = Copy2D(source_type=1, source_host=host, source_pitch=n, target_type=2, target_device=target.value,
                      target_pitch=n, width=n, height=1)
        cu.cuMemcpy2DAsync_v2(ctypes.byref(copy), stream)

    forms = {
        "HtoDAsync": lambda n, s: cu.cuMemcpyHtoDAsync_v2(target, host, Q(n), s),
        "Async": lambda n, s: cu.cuMemcpyAsync(target, Q(host.value), Q(n), s),
        "DtoDAsync": lambda n, s: cu.cuMemcpyDtoDAsync_v2(target, mapped, Q(n), s),
        "2DAsync, one row": copy_row,
        "HtoD": lambda n, s: cu.cuMemcpyHtoD_v2(target, host, Q(n)),
    }
    values = itertools.count(1)

    def write(stream, at, value, size):
        arguments = [Q(LATE), Q(at), U(value), U(size // 4)]
        pointers = (V * 4)(*[ctypes.addressof(a) for a in arguments])
        cu.cuLaunchKernel(late, 1, 1, 1, 1, 1, 1, 0, stream, pointers, None)

    def is_wrong(writer, writes, copies, form, size):
        value = next(values)
        ctypes.memset(host, 0, size)
        cu.cuMemsetD8_v2(target, 0xEE, Q(size))
        cu.cuCtxSynchronize()
        if writer == "kernel":
            write(streams[writes], mapped.value, value, size)
        else:
            write(streams[writes], other.value, value, size)
            cu.cuMemcpyDtoHAsync_v2(host, other, Q(size), streams[writes])
        forms[form](size, streams[copies])
        cu.cuCtxSynchronize()
        out = (U * (size // 4))()
        cu.cuMemcpyDtoH_v2(out, target, Q(size))
        return any(word != value for word in out)

    print(f"Wrong of {REPEATS}, by the size in bytes")
    print(f"{'written by':10} {'in stream':10} {'copied in':10} {'by':16} " + " ".join(f"{n:>6}" for n in SIZES))
    any_wrong = False
    for writer, writes, copies, form in itertools.product(("kernel", "copy"), streams, streams, forms):
        # Two blocking streams do not wait for one another; a copy without a stream is the legacy stream's.
        if (writes == copies) or "legacy" not in (writes, copies) or (form == "HtoD" and copies != "legacy"):
            continue
        counts = [sum(is_wrong(writer, writes, copies, form, n) for _ in range(REPEATS)) for n in SIZES]
        any_wrong |= any(counts)
        print(f"{writer:10} {writes:10} {copies:10} {form:16} " + " ".join(f"{n:6}" for n in counts))
    return 1 if any_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
