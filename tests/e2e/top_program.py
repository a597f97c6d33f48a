"""What top_shows_sessions.sh looks at: each argument is a step, done when a line comes in and said when it is over."""

import ctypes
import sys

MIB = 1 << 20
PTX = b""".version 7.0
.target sm_50
.address_size 64
.visible .entry nothing() { ret; }
\0"""

cuda = ctypes.CDLL("libcuda.so.1")


def call(name, *args):
    result = getattr(cuda, name)(*args)
    assert result == 0, (name, result)


device, context, module, function = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
first, second, pinned = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_void_p()
host = ctypes.create_string_buffer(8 * MIB)


def idle():
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuModuleLoadData", ctypes.byref(module), PTX)
    call("cuModuleGetFunction", ctypes.byref(function), module, b"nothing")


def allocate():
    call("cuMemAlloc_v2", ctypes.byref(first), ctypes.c_size_t(64 * MIB))
    call("cuMemAlloc_v2", ctypes.byref(second), ctypes.c_size_t(32 * MIB))
    call("cuMemHostAlloc", ctypes.byref(pinned), ctypes.c_size_t(8 * MIB), 0)


def launch():
    for _ in range(200):
        call("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
    call("cuCtxSynchronize")


def upload():
    call("cuMemcpyHtoD_v2", first, host, ctypes.c_size_t(8 * MIB))
    call("cuMemcpyHtoD_v2", first, host, ctypes.c_size_t(8 * MIB))
    call("cuMemcpyHtoD_v2", first, pinned, ctypes.c_size_t(8 * MIB))
    call("cuCtxSynchronize")


def download():
    call("cuMemcpyDtoH_v2", host, first, ctypes.c_size_t(8 * MIB))


def free():
    call("cuMemFree_v2", first)
    call("cuCtxSynchronize")


for step in sys.argv[1:]:
    globals()[step]()
    print(step, flush=True)
    sys.stdin.readline()
