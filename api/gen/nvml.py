"""nvml.toml read into checked rows, and what both libnvidia-ml.so.1 share: nvml_abi.h, the export list, the texts."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from model import TableError

SCALARS = {"u32": "unsigned", "i32": "int", "u64": "unsigned long long", "ulong": "unsigned long"}
SPEC = re.compile(r"^(?:(?P<dir>inout|in|out) )?(?P<type>\w+)(?:\[(?P<star>\*)?(?P<count>\w+)\])?(?: or (?P<other>\w+))?$")


@dataclass
class Arg:
    name: str
    dir: str           # "" (by value), in, out, inout, literal
    type: str          # scalar, enum, struct, handle, cstr, char, byte; the C type of a literal
    count: str = ""    # the argument or number that says how many; "" for one
    star: bool = False  # room for *count, and may be null
    types: list[str] = field(default_factory=list)  # of a versioned struct: all that may stand here


@dataclass
class Row:
    name: str
    id: int
    mode: str          # call, hand, local, wire
    args: list[Arg]
    returns: str = "nvmlReturn_t"


@dataclass
class Nvml:
    rows: list[Row]
    refused: list[str]
    not_carried: list[str]
    handles: dict[str, str]
    results: dict[str, tuple[int, str]]
    structs: dict[str, dict]

    @property
    def names(self) -> list[str]:
        return sorted([r.name for r in self.rows if r.mode != "wire"] + self.refused + self.not_carried)

    @property
    def generated(self) -> list[Row]:
        """What the client exports without a line of ours."""
        return [r for r in self.rows if r.mode in ("call", "hand")]

    @property
    def wired(self) -> list[Row]:
        return [r for r in self.rows if r.mode != "local"]

    def c_base(self, type: str) -> str:
        if type in ("cstr", "char"):
            return "char"
        return "void" if type == "byte" else self.handles.get(type) or SCALARS.get(type) or type

    def c_type(self, a: Arg) -> str:
        if a.dir == "literal":
            return a.type
        if a.type == "cstr" or a.dir == "in":
            return f"const {self.c_base(a.type)}*"
        return self.c_base(a.types[-1] if a.types else a.type) + ("*" if a.dir else "")

    def prototype(self, r: Row) -> str:
        args = ", ".join(f"{self.c_type(a)} {a.name}" for a in r.args)
        return f"{r.returns} {r.name}({args or 'void'})"

    def versioned(self, a: Arg) -> bool:
        return a.type in self.structs and "version" in self.structs[a.type]

    def handle_fields(self, type: str) -> list[tuple[str, str]]:
        """(field, handle kind) of a struct."""
        kinds = {c: k for k, c in self.handles.items()}
        fields = [line.rpartition(" ") for line in self.structs[type]["layout"].strip().splitlines()]
        return [(name, kinds[ctype]) for ctype, _, name in fields if ctype in kinds]


def parse_arg(text: str, raw: dict, where: str) -> Arg:
    name, _, spec = text.partition(": ")
    if spec.startswith("= "):
        return Arg(name, "literal", spec[2:])
    m = SPEC.match(spec)
    if not m:
        raise TableError(f"{where}: cannot read '{text}'.")
    type = m["type"]
    known = type in SCALARS or type in ("cstr", "char", "byte") or type in raw["handles"] or type in raw["struct"]
    if not known and not re.fullmatch(r"nvml\w+_t", type):
        raise TableError(f"{where}: '{type}' is neither a scalar, a handle nor a struct of nvml.toml.")
    a = Arg(name, m["dir"] or "", type, m["count"] or "", bool(m["star"]))
    versions = [t for t in (type, m["other"]) if t and "version" in raw["struct"].get(t, {})]
    if versions and a.dir == "inout":
        a.types = versions
    elif versions and a.dir == "out":
        raise TableError(f"{where}: '{name}' brings its version along, so it is inout.")
    if type in ("char", "byte") and not a.count:
        raise TableError(f"{where}: '{name}' has no size.")
    return a


def read(path: Path) -> Nvml:
    raw = tomllib.loads(path.read_text())
    special = {"refused", "not_carried", "handles", "results", "struct"}
    rows, ids = [], {}
    for name, r in raw.items():
        if name in special:
            continue
        where = f"{path.name}: {name}"
        row = Row(name, r.get("id", 0), r.get("mode", "call"), [parse_arg(a, raw, where) for a in r.get("args", [])],
                  r.get("returns", "nvmlReturn_t"))
        if row.mode not in ("call", "hand", "local", "wire") or set(r) - {"id", "mode", "args", "returns"}:
            raise TableError(f"{where}: has a key or a mode that nobody knows.")
        if row.mode != "local" and (row.id == 0 or row.id in ids):
            raise TableError(f"{where}: needs an id of its own.")
        ids[row.id] = name
        names = {a.name for a in row.args}
        if any(a.count and not a.count.isdigit() and a.count not in names for a in row.args):
            raise TableError(f"{where}: something counts by what is no argument.")
        rows.append(row)
    results = {n: (v, t) for n, (v, t) in raw["results"].items()}
    nvml = Nvml(rows, raw["refused"], raw["not_carried"], raw["handles"], results, raw["struct"])
    if len(set(nvml.names)) != len(nvml.names):
        raise TableError(f"{path.name}: a name stands there twice.")
    return nvml


def abi(n: Nvml) -> str:
    out = ["#pragma once", 'extern "C" {']
    out += [f"typedef struct {c[:-2]}_st* {c};" for c in n.handles.values()]
    out.append("typedef enum nvmlReturn_enum : int { " + ", ".join(f"{k} = {v}" for k, (v, _) in n.results.items()) +
               " } nvmlReturn_t;")
    enums = sorted({a.type for r in n.rows for a in r.args if a.dir != "literal" and a.type.startswith("nvml")} -
                   set(n.structs))
    out += [f"typedef unsigned {e};" for e in enums]
    for name, s in n.structs.items():
        out += [f"typedef {'union' if s.get('union') else 'struct'} {name[:-2]}_st {{",
                *(f"  {line};" for line in s["layout"].strip().splitlines()), f"}} {name};",
                f'static_assert(sizeof({name}) == {s["size"]}, "{name}");']
    out.append("// The first word of a struct that has a version.")
    out += [f"inline constexpr unsigned {name}ag = {s['version']}u << 24 | {s['size']};"
            for name, s in n.structs.items() if "version" in s]
    out += [n.prototype(r) + ";" for r in n.rows if r.mode != "wire"]
    return "\n".join(out + ['}  // extern "C"', ""])


def version_script(n: Nvml) -> str:
    return "{\n  global:\n" + "".join(f"    {name};\n" for name in n.names) + "  local: *;\n};\n"


def result_texts(n: Nvml) -> str:
    """Rows of { code, text }."""
    return "".join(f'{{{v}, "{text}"}},\n' for v, text in n.results.values())


def weak_stubs(n: Nvml) -> str:
    """Every export as a weak NOT_SUPPORTED, declared without its arguments; a strong definition elsewhere wins."""
    out = ['extern "C" {']
    out += [f'__attribute__((weak, visibility("default"))) int {name}() {{ return 3; }}' for name in n.names]
    return "\n".join(out + ["}", ""])
