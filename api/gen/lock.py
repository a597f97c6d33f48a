"""api/abi.lock: one line per operation on the wire, with a hash of its layout. A changed wire is seen in review.

A hash covers what both sides must agree on: mode, the order, kinds and types of the arguments, and the layout of every
struct among them. The first lines cover the numbers of the handle kinds.
"""

import hashlib

HEAD = "# Made by `./dev gen`. A changed line is a changed wire: raise kProtocol in src/wire/hello.h with it.\n"


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def place(a, row) -> str:
    """Of the count: which argument it is, because names do not travel."""
    names = [b.name for b in row.args]
    return f"#{names.index(a.count)}" if a.count in names else a.count


def cuda_layout(row, types) -> str:
    parts = [row.mode]
    for a in row.args:
        if a.kind == "literal":
            continue
        parts.append(f"{a.kind} {a.type} {place(a, row)} {int(a.star)} {int(a.opt)}")
        if a.type in types.structs:
            parts.append(struct_layout(a.type, types))
    return "\n".join(parts)


def struct_layout(name: str, types) -> str:
    """The struct and those inside it."""
    s = types.structs[name]
    inner = sorted({w for w in s["layout"].replace("*", " ").split() if w in types.structs and w != name})
    return f"{s['size']} {s.get('union', False)} {s['layout']}" + "".join(struct_layout(i, types) for i in inner)


def nvml_layout(row, nvml) -> str:
    parts = [row.mode, row.returns]
    for a in row.args:
        parts.append(f"{a.dir} {a.type} {place(a, row)} {int(a.star)} {' '.join(a.types)}")
        parts += [str(sorted(nvml.structs[t].items())) for t in (a.type, *a.types) if t in nvml.structs]
    return "\n".join(parts)


def emit(rows, types, nvml) -> str:
    out = [HEAD + f"cuda handles {short(' '.join(types.handles))}", f"nvml handles {short(' '.join(nvml.handles))}"]
    wired = sorted((r for r in rows if r.on_wire), key=lambda r: r.id)
    out += [f"cuda {r.id} {r.name} {short(cuda_layout(r, types))}" for r in wired]
    out += [f"nvml {r.id} {r.name} {short(nvml_layout(r, nvml))}" for r in sorted(nvml.wired, key=lambda r: r.id)]
    return "\n".join(out) + "\n"
