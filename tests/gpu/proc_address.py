#!/usr/bin/env python3
"""What cuGetProcAddress gives natively and through nearmetal, for every name that either library exports.

usage: tests/gpu/proc_address.py --prefix DIR

Asks for each name, with and without its version's suffix, in CUDA 11.8, 12.4 and 13.0 and with every flag, and compares
the result, the status and the name of what was found. Needs an NVIDIA driver; exit status 1 if anything differs.
"""

import argparse
import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

VERSIONS, FLAGS = (11080, 12040, 13000), (0, 1, 2)


class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]


def exported(library):
    out = subprocess.run(["objdump", "-T", library], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\b(cu[A-Z]\w+)$", out, re.M))


def answers(names):
    cuda, libc = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL(None)
    libc.dladdr.argtypes = [ctypes.c_void_p, ctypes.POINTER(Info)]
    cuda.cuInit(0)
    out = {}
    for name in names:
        for version in VERSIONS:
            for flags in FLAGS:
                found, status = ctypes.c_void_p(), ctypes.c_int(-1)
                result = cuda.cuGetProcAddress_v2(name.encode(), ctypes.byref(found), version, ctypes.c_uint64(flags), ctypes.byref(status))
                info, symbol = Info(), None
                if found.value and libc.dladdr(found, ctypes.byref(info)) and info.name and info.address == found.value:
                    symbol = info.name.decode()
                out[f"{name} {version} {flags}"] = [result, status.value, bool(found.value), symbol]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", type=pathlib.Path)
    parser.add_argument("--names", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.names:
        print(json.dumps(answers(json.loads(pathlib.Path(args.names).read_text()))))
        return 0
    prefix, work = args.prefix.resolve(), pathlib.Path(tempfile.mkdtemp())
    found = subprocess.run([sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1'); "
                            "print(next(l.split()[-1] for l in open('/proc/self/maps') if 'libcuda.so' in l))"],
                           capture_output=True, text=True, check=True).stdout.strip()
    names = exported(found) | exported(prefix / "lib/nearmetal/libcuda.so.1")
    names |= {re.sub(r"(_v\d+)?(_ptsz|_ptds)?$", "", n) for n in names} | {"", "cuNothing"}
    (work / "names").write_text(json.dumps(sorted(names)))
    address = f"unix:{work}/s"
    server = subprocess.Popen([prefix / "bin/nearmetald", "--listen", address, "--log-level", "warn"])
    command = [sys.executable, __file__, "--names", str(work / "names")]
    native = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    while not os.path.exists(work / "s"):
        pass
    ours = json.loads(subprocess.run([prefix / "bin/nearmetal", "run", "--server", address, "--", *command], capture_output=True,
                                     text=True, check=True).stdout)
    server.terminate()
    server.wait(30)
    # A driver may give the address of a function that it does not export under that name.
    differs = [key for key in native if native[key][:3] != ours[key][:3] or (native[key][3] and native[key][3] != ours[key][3])]
    for key in differs[:40]:
        print(f"{key}: natively {native[key]}, through nearmetal {ours[key]}")
    print(f"{len(native) - len(differs)} of {len(native)} answers are the same")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
