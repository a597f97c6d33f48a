"""For the fuzz targets: what every row looks like on the wire, and drivers that do nothing and answer everything."""

import nvml
from abi import base_type, c_type
from model import Row, Types


def null_driver(rows: list[Row], types: Types) -> str:
    out = ["// Included inside a namespace, after driver_table.h; invent<T>() makes handles and numbers up."]
    live = [r for r in rows if r.exported and r.mode != "none"]
    for r in live:
        args = ", ".join(f"{c_type(a, types)} {a.name}" for a in r.args)
        lines = []
        for a in r.args:
            lines.append(f"(void){a.name};")
            if a.kind in ("out", "new") and not a.is_array:
                lines.append(f"if ({a.name}) *{a.name} = invent<std::remove_reference_t<decltype(*{a.name})>>();")
            elif a.kind == "out" and a.is_array and not a.star and a.type != "byte":
                lines.append(f"for (size_t i = 0; {a.name} && i < size_t({a.count}); i++) {a.name}[i] = "
                             f"invent<std::remove_reference_t<decltype(*{a.name})>>();")
        out.append(f"CUresult null_{r.name}({args}) {{ {' '.join(lines)} "
                   f"return CUresult(answer({'true' if r.name in ('cuEventQuery', 'cuStreamQuery') else ''})); }}")
    out.append("void fill_null_driver(DriverTable* t) {")
    out += [f"  t->{r.name} = null_{r.name};" for r in live]
    return "\n".join(out + ["}", ""])


def item(what: str, slot: int = 0, kind: str = "0", size: str = "0", count: str = "0", opt: bool = False) -> str:
    return f"{{'{what}', {str(opt).lower()}, {slot}, {kind}, {size}, {count}}}"


def slots_of(args: list) -> dict[str, int]:
    """The arguments that say how many others have, numbered from 1."""
    return {name: i + 1 for i, name in enumerate(dict.fromkeys(a.count for a in args if a.count and not a.count.isdigit()))}


def many(a, slots: dict[str, int]) -> dict:
    """How many elements an array has: another argument's number of them, or a number of the table."""
    return {"count": a.count} if a.count.isdigit() else {"slot": slots[a.count]}


def cuda_shape(row: Row, types: Types) -> tuple[list[str], list[str]]:
    """What travels with a call and what its reply brings, item by item as fuzz/shape.h knows them."""
    ins, outs, slots = [], [], slots_of(row.args)
    for a in row.args:
        kind = f"uint8_t(Kind::{a.type})" if a.type in types.handles else "0"
        number = item("n", slots[a.name]) if a.name in slots else item("u")
        size = "1" if a.type == "byte" else f"sizeof({base_type(a, types)})" if a.kind in ("in", "out", "val") else "0"
        if a.kind in ("scalar", "enum", "inout"):
            ins.append(number)
        elif a.kind in ("handle", "del"):
            ins.append(item("h", kind=kind))
        elif a.kind == "new":
            ins.append(item("w", kind=kind))
        elif a.kind == "cstr":
            ins.append(item("s"))
        elif a.kind == "in" and a.is_array:
            ins.append(item("H" if kind != "0" else "a", kind=kind, size=size, opt=a.opt, **many(a, slots)))
        elif a.kind in ("in", "val"):
            ins.append(item("p", size=size, opt=a.opt))
        elif a.kind == "out" and a.star:
            ins.append(item("f"))
        elif a.kind == "bulk_in":
            ins.append(item("B", **many(a, slots)))
        if a.kind == "inout":
            outs.append(number)
        elif a.kind == "out" and a.is_array:
            outs.append(item("H" if kind != "0" else "a", kind=kind, size=size, **many(a, slots)))
        elif a.kind == "out" and (a.type in types.structs or a.type.endswith("AttrValue")):
            outs.append(item("p", size=size))
        elif a.kind == "out":
            outs.append(item("h", kind=kind) if kind != "0" else item("u"))
        elif a.kind == "blob":
            outs.append(item("b"))
        elif a.kind == "bulk_out":
            outs.append(item("B", **many(a, slots)))
    return ins, outs


def nvml_shape(row: nvml.Row, n: nvml.Nvml) -> tuple[list[str], list[str]]:
    ins, changed, outs, slots = [], [], [], slots_of(row.args)
    kinds = {k: hex(0xe0 + i) for i, k in enumerate(n.handles)}
    for a in row.args:
        kind = kinds.get(a.type, "0")
        number = item("n", slots[a.name]) if a.name in slots else item("u")
        size = "1" if a.type in ("char", "byte", "cstr") else f"sizeof({n.c_base(a.type)})"
        if a.type == "cstr":
            ins.append(item("s"))
        elif a.dir == "":
            ins.append(item("h", kind=kind) if kind != "0" else number)
        elif a.dir == "inout" and a.type in nvml.SCALARS:
            ins.append(number)
            changed.append(number)
        elif a.types:
            ins.append(item("v", size=f"{a.types[0]}ag", count=f"{a.types[-1]}ag"))
            changed.append(item("v", size=f"{a.types[0]}ag", count=f"{a.types[-1]}ag"))
        elif a.dir in ("in", "inout") and not a.count:
            ins.append(item("p", size=size))
            changed += [item("p", size=size)] * (a.dir == "inout")
        elif a.count:
            if a.star:
                ins.append(item("f"))
            elif a.dir == "inout":
                ins.append(item("a", size=size, **many(a, slots)))
            outs.append(item("s" if a.type == "char" else "H" if kind != "0" else "a", kind=kind, size=size, **many(a, slots)))
        elif kind != "0":
            outs.append(item("h", kind=kind))
        else:
            outs.append(item("p", size=size) if a.type in n.structs else item("u"))
    return ins, changed + outs


def shapes(name: str, rows: list[tuple[int, bool, str, tuple[list[str], list[str]]]]) -> str:
    out = [f"constexpr Item k{name}Items[] = {{"]
    table, at = [], 0
    for id, waits, row, (ins, outs) in rows:
        out += [f"    {x}," for x in ins + outs]
        middle, end = at + len(ins), at + len(ins) + len(outs)
        table.append(f'    {{{id}, {str(waits).lower()}, "{row}", {at}, {middle}, {end}}},')
        at = end
    return "\n".join(out + ["};", f"constexpr Row k{name}Rows[] = {{", *table, "};", ""])


def cuda_shapes(rows: list[Row], types: Types) -> str:
    return shapes("Cuda", [(r.id, r.mode == "call", r.name, cuda_shape(r, types)) for r in rows if r.on_wire])


def nvml_shapes(n: nvml.Nvml) -> str:
    return shapes("Nvml", [(r.id, True, r.name, nvml_shape(r, n)) for r in n.wired])


def null_nvml(n: nvml.Nvml) -> str:
    """The same for NVML: what is asked for is there, and what it is was made up."""
    out = ["// Included inside a namespace, after nvml_table.h; invent<T>() makes handles and numbers up."]
    live = n.generated
    for r in live:
        lines = []
        for a in r.args:
            lines.append(f"(void){a.name};")
            plain = a.dir == "out" and a.type not in ("char", "byte") and not a.count
            if plain:
                lines.append(f"*{a.name} = invent<std::remove_reference_t<decltype(*{a.name})>>();")
            elif a.dir == "out" and a.count and a.type != "byte":
                number = f"*{a.count}" if a.star else a.count
                lines.append(f"for (unsigned i = 0; {a.name} && i < unsigned({number}); i++) {a.name}[i] = "
                             f"invent<std::remove_reference_t<decltype(*{a.name})>>();")
        out.append(f"nvmlReturn_t null_{n.prototype(r).partition(' ')[2]} {{ {' '.join(lines)} "
                   "return nvmlReturn_t(answer()); }")
    out.append("void fill_null_nvml(NvmlTable* t) {")
    out += [f"  t->{r.name} = null_{r.name};" for r in live]
    return "\n".join(out + ["}", ""])
