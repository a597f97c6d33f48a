"""For the fuzz targets of the client: one call of every operation, with arguments as a program gives them."""

import nvml
from abi import base_type
from model import Row, Types
from nvml import SCALARS
from nvml_wire import counted


def cuda_call(row: Row, types: Types) -> list[str]:
    """A caller (fuzz/caller.h) makes the arguments up; every pointer leads to as much memory as the call may use."""
    first, then, args = [], [], []
    counts = {a.count for a in row.args if a.count and not a.count.isdigit()}
    for a in row.args:
        n, base = a.name, base_type(a, types) if a.type not in ("bulk", "blob") else ""
        if a.kind in ("scalar", "enum", "inout") and n in counts:
            first.append(f"auto {n} = static_cast<{base}>(c.count());")
            args.append(f"&{n}" if a.kind == "inout" else n)
        elif a.kind in ("scalar", "enum", "inout"):
            first.append(f"auto {n} = static_cast<{base}>(c.number());")
            args.append(f"&{n}" if a.kind == "inout" else n)
        elif a.kind in ("handle", "del"):
            first.append(f"auto {n} = c.{'fresh' if a.kind == 'del' else 'handle'}<{base}>(Kind::{a.type});")
            args.append(n)
        elif a.kind == "new" or (a.kind == "out" and not a.is_array):
            first.append(f"{base} {n}{{}};")
            args.append(f"&{n}")
        elif a.kind == "val":
            first.append(f"auto {n} = c.pod<{base}>();")
            args.append(n)
        elif a.kind == "cstr":
            args.append("c.text()")
        elif a.kind == "in" and not a.is_array:
            first.append(f"auto {n} = c.pod<{base}>();")
            args.append(f"&{n}")
        elif a.kind == "in" or a.kind == "out":
            element = "uint8_t" if a.type == "byte" else base
            number = a.count
            then.append(f"std::vector<{element}> {n}({number} + size_t{{1}});")
            if a.kind == "in":
                then.append(f"c.fill({n});")
            args.append(f"{n}.data()")
        elif a.kind == "blob":
            first.append(f"std::vector<uint8_t> {n};")
            args.append(f"&{n}")
        elif a.kind in ("bulk_in", "bulk_out"):
            then.append(f"std::vector<uint8_t> {n}({a.count} + size_t{{1}});")
            args.append(f"{n}.data()")
    # An array is exactly as long as the call is told, so that one element too many is found.
    then += [f"{a.name}.pop_back(); {a.name}.shrink_to_fit();" for a in row.args
             if a.is_array or a.kind in ("bulk_in", "bulk_out")]
    return first + then + looking(row, f"remote::{row.name}({', '.join(args)})")


def looking(row: Row | nvml.Row, call: str) -> list[str]:
    """A program that was told of so many elements looks at each of them."""
    walked = [a for a in row.args if getattr(a, "star", False)]
    return [call + ";"] if not walked else [f"if ({call} == 0) {{",
                                            *(f"  if ({a.name}.data()) c.look({a.name}.data(), {a.count});" for a in walked), "}"]


def cuda_calls(rows: list[Row], types: Types) -> str:
    out, live = [], [r for r in rows if r.on_wire]
    for r in live:
        args = [a for a in r.args if a.kind != "literal"]
        row = Row(r.name, r.id, r.mode, args)
        out += [f"void call_{r.name}(Caller& c) {{", "  (void)c;", *("  " + line for line in cuda_call(row, types)), "}"]
    out.append("constexpr void (*kCudaCalls[])(Caller&) = {")
    return "\n".join(out + [f"    call_{r.name}," for r in live] + ["};", ""])


def nvml_call(row: nvml.Row, n: nvml.Nvml) -> list[str]:
    first, then, args = [], [], []
    for a in row.args:
        x, base = a.name, n.c_base(a.type)
        if a.type == "cstr":
            args.append("c.text()")
        elif a.dir == "" and a.type in n.handles:
            first.append(f"auto {x} = reinterpret_cast<{base}>(c.number());")
            args.append(x)
        elif a.dir == "" or (a.dir == "inout" and a.type in SCALARS):
            first.append(f"auto {x} = static_cast<{base}>(c.{'count' if counted(a, row) else 'number'}());")
            args.append(f"&{x}" if a.dir else x)
        elif a.types:
            # As large as the version says and no larger, whatever the last version has.
            tags = ", ".join(f"{t}ag" for t in a.types)
            first.append(f"auto {x} = c.versioned({{{tags}}});")
            args.append(f"reinterpret_cast<{n.c_base(a.types[-1])}*>({x}.data())")
        elif not a.count:
            first.append(f"{base} {x}{{}};")
            args.append(f"&{x}")
        else:
            element = "char" if a.type == "char" else "uint8_t" if a.type == "byte" else base
            then.append(f"std::vector<{element}> {x}(c.length({a.count})); {x}.shrink_to_fit();")
            args.append(f"{x}.data()")
    return first + then + looking(row, f"remote::{row.name}({', '.join(args)})")


def nvml_calls(n: nvml.Nvml) -> str:
    out = []
    for r in n.wired:
        out += [f"void call_{r.name}(Caller& c) {{", "  (void)c;", *("  " + line for line in nvml_call(r, n)), "}"]
    out.append("constexpr void (*kNvmlCalls[])(Caller&) = {")
    return "\n".join(out + [f"    call_{r.name}," for r in n.wired] + ["};", ""])
