"""cuda_abi.h: the driver API's types and prototypes, for the client, the server, the software GPU and the tests."""

from model import EXACT, SCALARS, Arg, Row, Types


def base_type(arg: Arg, types: Types) -> str:
    if arg.type in types.handles:
        return types.handles[arg.type]
    if arg.type == "byte":
        return "void"
    return EXACT.get(arg.type) or SCALARS.get(arg.type) or arg.type


def c_type(arg: Arg, types: Types) -> str:
    """The argument's type in the C prototype."""
    if arg.kind == "literal":
        return arg.type
    if arg.kind == "cstr":
        return "const char*"
    base = base_type(arg, types)
    if arg.kind == "in":
        return f"const {base}*" if arg.type in ("byte", "node", "CUgraphEdgeData") or arg.type.startswith("CUDA_") or \
            not arg.is_array else f"{base}*"
    if arg.kind in ("out", "inout", "new"):
        return f"{base}*"
    return base


def prototype(row: Row, types: Types, name: str = "") -> str:
    args = ", ".join(f"{c_type(a, types)} {a.name}" for a in row.args) or "void"
    return f"CUresult {name or row.name}({args})"


def layout(text: str) -> list[str]:
    return [line if line.rstrip().endswith("{") else line + ";" for line in text.strip().splitlines()]


def underlying(values: dict[str, int]) -> str:
    """The type that C gives such an enum. Named, so that any value off the wire is a value of it in C++ too."""
    return "unsigned" if any(v >= 2**31 for v in values.values()) else "int"


def emit(rows: list[Row], types: Types) -> str:
    out = ["#pragma once", "#include <stddef.h>", "#include <stdint.h>", "", 'extern "C" {', ""]
    out += ["typedef unsigned long long CUdeviceptr;", "typedef int CUdevice;", "typedef unsigned long long CUtexObject;",
            "typedef unsigned long long CUsurfObject;", "typedef unsigned long long CUgraphConditionalHandle;",
            "typedef struct CUgraphDeviceNode_st* CUgraphDeviceNode;"]
    for c in types.handles.values():
        out.append(f"typedef unsigned long long {c};" if c == "CUmemGenericAllocationHandle"
                   else f"typedef struct {c}_st* {c};")
    out += ["typedef void (*CUhostFn)(void* user_data);", "typedef size_t (*CUoccupancyB2DSize)(int block_size);"]
    for name, values in types.enums.items():
        body = ", ".join(f"{n} = {v if v < 2**31 else hex(v) + 'u'}" for n, v in values.items())
        out.append(f"typedef enum {name}_enum : {underlying(values)} {{ {body} }} {name};")
    out.append("enum : unsigned { " + ", ".join(f"{n} = {v}" for n, v in types.constants.items()) + " };")
    named = {a.type for r in rows for a in r.args if a.kind in ("enum", "in", "out", "inout")} | {
        word for s in types.structs.values() for word in s["layout"].replace("*", " ").split()}
    known = set(types.enums) | set(types.structs) | set(types.handles.values()) | {
        "CUdeviceptr", "CUdevice", "CUtexObject", "CUsurfObject", "CUgraphConditionalHandle", "CUgraphDeviceNode", "CUhostFn"}
    aliases = {"CUkernelNodeAttrID": "CUlaunchAttributeID", "CUstreamAttrID": "CUlaunchAttributeID"}
    for name in sorted(n for n in named if n.startswith("CU") and n not in known):
        if not name.endswith("AttrValue"):
            out.append(f"typedef {aliases.get(name, 'unsigned')} {name};")
    for name, s in types.structs.items():
        word = "union" if s.get("union") else "struct"
        out += [f"typedef {word} {name}_st {{", *("  " + line for line in layout(s["layout"])), f"}} {name};",
                f"static_assert(sizeof({name}) == {s['size']}, \"{name}\");"]
        if name == "CUlaunchAttributeValue":
            out += ["typedef CUlaunchAttributeValue CUkernelNodeAttrValue;", "typedef CUlaunchAttributeValue CUstreamAttrValue;"]
    out.append("typedef void (*CUstreamCallback)(CUstream stream, CUresult status, void* user_data);")
    out.append("")
    for row in rows:
        if row.mode != "none":
            out.append(prototype(row, types) + ";")
            if row.twin:
                out.append(prototype(row, types, f"{row.name}_{row.twin}") + ";")
    out += ["", '}  // extern "C"', ""]
    return "\n".join(out)
