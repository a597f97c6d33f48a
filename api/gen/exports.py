"""What both of our libcuda.so.1 share: the exported names and the table behind cuGetProcAddress."""

from collections import defaultdict

from abi import prototype
from model import Row, Types


def exported_names(rows: list[Row]) -> list[str]:
    return sorted(n for r in rows for n in ([r.name] + ([f"{r.name}_{r.twin}"] if r.twin else [])))


def version_script(rows: list[Row]) -> str:
    return "{\n  global:\n" + "".join(f"    {n};\n" for n in exported_names(rows)) + "  local: *;\n};\n"


def proc_table(rows: list[Row]) -> str:
    """Rows of { name, since, function, per-thread variant or null }, sorted by name, then version."""
    by_name = defaultdict(list)
    for r in rows:
        if r.since:
            by_name[r.base].append(r)
    out = []
    for name in sorted(by_name):
        for r in sorted(by_name[name], key=lambda r: r.since):
            twin = f"NM_FN({r.name}_{r.twin})" if r.twin else "nullptr"
            out.append(f'{{"{name}", {r.since}, NM_FN({r.name}), {twin}}},')
    return "\n".join(out) + "\n"


def weak_stubs(rows: list[Row]) -> str:
    """Every export as a weak NOT_SUPPORTED, declared without its arguments; a strong definition elsewhere wins."""
    out = ['extern "C" {', "typedef int nm_result;"]
    for n in exported_names(rows):
        out.append(f'__attribute__((weak, visibility("default"))) nm_result {n}() {{ return 801; }}')
    return "\n".join(out + ["}", ""])


def declarations(rows: list[Row]) -> str:
    """The functions that have no prototype in cuda_abi.h, so that their addresses can be taken."""
    out = ['extern "C" {']
    for r in rows:
        if r.mode == "none" and not r.args:
            out += [f"CUresult {n}();" for n in ([r.name] + ([f"{r.name}_{r.twin}"] if r.twin else []))]
    return "\n".join(out + ["}", ""])


def error_names(types) -> str:
    """Rows of { code, name } of CUresult."""
    return "".join(f'{{{v}, "{n}"}},\n' for n, v in types.enums["CUresult"].items())


def twins(rows: list[Row], types: Types) -> str:
    """The per-thread variants: each sets the caller's scope (NM_PER_THREAD) and calls the function it is a variant of."""
    out = ['extern "C" {']
    for r in rows:
        if r.twin and r.mode != "none":
            args = ", ".join(a.name for a in r.args)
            out.append(f"{prototype(r, types, f'{r.name}_{r.twin}')} {{ NM_PER_THREAD; return {r.name}({args}); }}")
    return "\n".join(out + ["}", ""])
