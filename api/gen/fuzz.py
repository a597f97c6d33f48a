"""A driver that does nothing and answers everything, for the fuzz targets: the wire is under test, not a GPU."""

from abi import c_type
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
        out.append(f"CUresult null_{r.name}({args}) {{ {' '.join(lines)} return CUDA_SUCCESS; }}")
    out.append("void fill_null_driver(DriverTable* t) {")
    out += [f"  t->{r.name} = null_{r.name};" for r in live]
    return "\n".join(out + ["}", ""])


def seeds(rows: list[Row]) -> str:
    """Ids of the operations on the wire, so that a fuzzer does not have to guess them."""
    return ", ".join(str(r.id) for r in rows if r.on_wire) + "\n"
