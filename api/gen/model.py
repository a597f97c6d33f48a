"""Reads cuda.toml, session.toml, nvml.toml and types.toml into checked rows. Everything else in gen/ only prints."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

SCALARS = {
    "u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "i32": "int32_t", "u64": "uint64_t", "i64": "int64_t",
    "usize": "size_t", "f32": "float", "devptr": "CUdeviceptr", "device": "CUdevice",
}
# Exact C types where they differ from the wire's view of them; both are the same size.
EXACT = {"u64": "unsigned long long", "u32": "unsigned", "i32": "int", "u8": "unsigned char", "u16": "unsigned short"}

SPEC = re.compile(
    r"^(?P<opt>opt )?(?:(?P<dir>inout|in|out|new|del|val) )?(?P<type>\w+)(?:\[(?P<star>\*)?(?P<count>\w+)\])?$")


class TableError(Exception):
    pass


@dataclass
class Arg:
    name: str
    kind: str          # scalar, enum, handle, new, del, in, out, inout, val, cstr, literal, bulk_in, bulk_out, blob
    type: str          # scalar, enum, struct or handle kind; the C type of a literal
    opt: bool = False
    count: str = ""    # argument (or number) that says how many; "" for one
    star: bool = False  # the count is behind a pointer
    is_array: bool = False


@dataclass
class Row:
    name: str
    id: int
    mode: str
    args: list[Arg]
    since: int = 0
    twin: str = ""
    client_hand: bool = False
    server_hand: bool = False
    exported: bool = True
    syncs: bool = False
    lacks: str = ""

    @property
    def base(self) -> str:
        """The name that a program asks cuGetProcAddress for."""
        return re.sub(r"_v\d+$", "", self.name)

    @property
    def on_wire(self) -> bool:
        return self.mode in ("call", "async")


@dataclass
class Types:
    handles: dict[str, str] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    structs: dict[str, dict] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)

    def kind_of(self, c_type: str) -> str:
        return next((k for k, c in self.handles.items() if c == c_type), "")


def parse_arg(text: str, types: Types, where: str) -> Arg:
    name, _, spec = text.partition(": ")
    if not spec or not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise TableError(f"{where}: '{text}' is not 'name: type'.")
    if spec.startswith("= "):
        return Arg(name, "literal", spec[2:])
    if spec == "cstr":
        return Arg(name, "cstr", "char")
    if spec == "out blob":
        return Arg(name, "blob", "blob")
    m = SPEC.match(spec)
    if not m:
        raise TableError(f"{where}: cannot read the type '{spec}' of '{name}'.")
    opt, direction, kind, count = bool(m["opt"]), m["dir"], m["type"], m["count"] or ""
    if kind == "bulk":
        return Arg(name, f"bulk_{direction}", "bulk", count=count)
    known = kind in SCALARS or kind in types.handles or kind in types.structs or kind == "byte" or kind.startswith("CU") \
        or kind.startswith("nvml")
    if not known:
        raise TableError(f"{where}: '{kind}' is neither a scalar, a handle, an enum nor a struct of types.toml.")
    if direction is None:
        if kind in types.handles:
            return Arg(name, "handle", kind)
        return Arg(name, "scalar" if kind in SCALARS else "enum", kind)
    return Arg(name, direction, kind, opt, count, bool(m["star"]), bool(count))


def read_types(path: Path) -> Types:
    raw = tomllib.loads(path.read_text())
    return Types(raw["handle"], raw.get("enum", {}), raw.get("struct", {}), raw.get("constant", {}))


def read_rows(path: Path, types: Types, exported: bool) -> list[Row]:
    rows, ids = [], {}
    for name, raw in tomllib.loads(path.read_text()).items():
        where = f"{path.name}: {name}"
        unknown = set(raw) - {"id", "since", "mode", "client", "server", "twin", "syncs", "lacks", "args"}
        if unknown:
            raise TableError(f"{where}: unknown key {sorted(unknown)[0]}.")
        args = [parse_arg(a, types, where) for a in raw.get("args", [])]
        row = Row(name, raw["id"], raw.get("mode", "call"), args, raw.get("since", 0), raw.get("twin", ""),
                  raw.get("client") == "hand", raw.get("server") == "hand", exported, raw.get("syncs", False),
                  raw.get("lacks", ""))
        if row.mode not in ("call", "async", "local", "none"):
            raise TableError(f"{where}: mode '{row.mode}' is not call, async, local or none.")
        if row.id in ids:
            raise TableError(f"{where}: id {row.id} belongs to {ids[row.id]} already; a new row takes a new number.")
        ids[row.id] = name
        names = {a.name for a in args}
        for a in args:
            if a.count and not a.count.isdigit() and a.count not in names:
                raise TableError(f"{where}: '{a.name}' counts by '{a.count}', which is not an argument.")
            if row.on_wire and a.kind == "literal" and not row.client_hand:
                raise TableError(f"{where}: '{a.name}' has a raw C type, so the row cannot be generated; describe it or "
                                 "write that side by hand.")
            if row.mode == "async" and a.kind in ("out", "inout", "blob", "bulk_out"):
                raise TableError(f"{where}: '{a.name}' returns something, so the call cannot be async.")
        rows.append(row)
    return rows
