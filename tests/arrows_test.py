"""The arrows of the design, read off the #includes: which folder of src/ may know which other one.

    cmd -> server -> wire -> base <- wire <- client        softgpu -> base
    cmd -> bench -> base        workload -> device -> kernels (beside src/), base
    cmd -> attach -> inventory -> base        cmd -> guest -> inventory
    cmd -> pool -> base         cmd -> store -> base
    cmd -> identity -> wire

Siblings never include each other, and nothing includes upwards. What api/ generates (headers without a folder in their
name) belongs to those who speak CUDA: client, server, softgpu, and the wire that carries it.

Usage: arrows_test.py [SRC]; prints every include that breaks a rule and exits with 1 if there is one.
"""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": set(),
    "wire": {"base"},
    "client": {"wire", "base"},
    "server": {"wire", "base"},
    "softgpu": {"base"},
    "kernels": set(),  # beside src/
    "device": {"kernels", "base"},
    "workload": {"device", "kernels", "base"},
    "bench": {"base"},
    "inventory": {"base"},
    "guest": {"inventory", "base"},
    "attach": {"inventory", "base"},
    "pool": {"base"},
    "store": {"base"},
    "identity": {"wire", "base"},
    "cmd": {"server", "bench", "attach", "guest", "identity", "inventory", "pool", "store", "wire", "base"},
}
MAY_USE_GENERATED = {"client", "server", "softgpu", "wire", "device", "workload"}
# The client lives in other people's processes: libc and the C++ standard library, nothing else.
GUESTS = {"base", "wire", "client", "softgpu"}
FOREIGN = re.compile(r"^(fmt|spdlog|CLI|toml\+\+|nlohmann)/")
GUESTS_EXCEPT = {"base/log.cc"}  # a library of its own, which the client does not link

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def complaints_about(folder, name, line_number, quoted, target, known):
    where = f"{name}:{line_number}"
    if not quoted:
        if folder in GUESTS and FOREIGN.match(target) and name not in GUESTS_EXCEPT:
            yield f"{where}: {folder} may not use the library of <{target}>"
        return
    head, slash, _ = target.partition("/")
    if not slash:
        if folder not in MAY_USE_GENERATED:
            yield f'{where}: {folder} may not use the generated "{target}"'
    elif head not in known:
        yield f'{where}: "{target}" is not written relative to src/'
    elif head != folder and head not in MAY_INCLUDE[folder]:
        yield f'{where}: {folder} may not include {head} ("{target}")'


def check(src):
    """All complaints, and how many files were read."""
    found, read = [], 0
    for path in sorted(src.rglob("*")):
        if path.suffix not in {".h", ".cc", ".c", ".S", ".inc"} or not path.is_file():
            continue
        name = path.relative_to(src).as_posix()
        folder = name.split("/")[0]
        read += 1
        if folder not in MAY_INCLUDE:
            found.append(f"{name}: {folder} has no arrows yet; say in tests/arrows_test.py what it may include")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                found += complaints_about(folder, name, number, match[1] == '"', match[2], MAY_INCLUDE)
    return found, read


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    src = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "src"
    found, read = check(src)
    for complaint in found:
        print(complaint)
    print(f"{read} files read, {len(found)} includes against the arrows")
    return 1 if found or read == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
