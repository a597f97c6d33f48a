"""What a client library may bring into somebody's process: libc and nothing else, no release of it newer than any that
our users have, no symbol but those of the library it stands for, no code that runs at load.

Usage: client_library_test.py LIBRARY SONAME NAMES COUNT
NAMES: the version script that says what is exported. Prints each rule that is broken; exits with 1 if there is one.
"""

import re
import subprocess
import sys

MAY_NEED = re.compile(r"libc\.so\.6|ld-linux-x86-64\.so\.2")
NEWEST_GLIBC = (2, 34)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def broken_needs(library, soname):
    dynamic = output_of("objdump", "-p", library)
    for name in re.findall(r"^\s*NEEDED\s+(\S+)", dynamic, re.M):
        if not MAY_NEED.fullmatch(name):
            yield f"it needs {name}"
    found = re.findall(r"^\s*SONAME\s+(\S+)", dynamic, re.M)
    if found != [soname]:
        yield f"its SONAME is {', '.join(found) or 'missing'}, not {soname}"
    if re.search(r"^\s*(RPATH|RUNPATH)\s", dynamic, re.M):
        yield "it carries a search path of the machine that built it"


def broken_imports(symbols):
    for line in symbols:
        if "*UND*" not in line:
            continue
        name = line.split()[-1]
        version = re.search(r"\(GLIBC_([0-9.]+)\)", line)
        if version and tuple(int(n) for n in version[1].split(".")) > NEWEST_GLIBC:
            yield f"it wants {name} of GLIBC_{version[1]}"
        if not version and " w " not in line:
            yield f"it wants {name} from whoever has it"


def broken_exports(symbols, names, count):
    exported = {line.split()[-1] for line in symbols if "*UND*" not in line}
    if len(names) != count:
        yield f"the table names {len(names)} functions, the real library has {count}"
    for name in sorted(names - exported):
        yield f"{name} is not exported"
    for name in sorted(exported - names):
        yield f"{name} is exported and the real library has no such name"


def broken_load(library):
    """One initialiser is the toolchain's own (frame_dummy); every other one is code of ours that runs at load."""
    sections = output_of("readelf", "-SW", library)
    size = re.search(r"\.init_array\s+INIT_ARRAY\s+\S+\s+\S+\s+([0-9a-f]+)", sections)
    entries = int(size[1], 16) // 8 if size else 0
    if entries > 1:
        culprits = re.findall(r"_GLOBAL__sub_I_\S+", output_of("nm", library))
        yield f"{entries - 1} functions run at load {' '.join(culprits)}".rstrip()
    if ".preinit_array" in sections or ".ctors" in sections:
        yield "it has constructors of another kind"


def main(library, soname, names_file, count):
    names = set(re.findall(r"^\s+(\w+);$", open(names_file).read().split("local:")[0], re.M))
    symbols = [line for line in output_of("objdump", "-T", library).splitlines() if re.match(r"[0-9a-f]{16} ", line)]
    found = [*broken_needs(library, soname), *broken_imports(symbols), *broken_exports(symbols, names, int(count)),
             *broken_load(library)]
    for sentence in found:
        print(f"{soname}: {sentence}")
    print(f"{len(symbols)} dynamic symbols read, {len(found)} rules broken")
    return 1 if found or not symbols else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
