"""The client's side of the wire: remote.h and remote.cc, and the exported functions that need no hand-written line."""

from abi import c_type, prototype
from model import Arg, Row, Types


def arg_type(arg: Arg, types: Types) -> str:
    if arg.kind == "blob":
        return "std::vector<uint8_t>*"
    if arg.kind == "bulk_in":
        return "const void*"
    if arg.kind == "bulk_out":
        return "void*"
    return c_type(arg, types)


def signature(row: Row, types: Types) -> str:
    return ", ".join(f"{arg_type(a, types)} {a.name}" for a in row.args if a.kind != "literal")


def element(arg: Arg, types: Types) -> str:
    return "1" if arg.type == "byte" else f"sizeof(*{arg.name})"


def count(arg: Arg, row: Row) -> str:
    return f"*{arg.count}" if arg.star else arg.count


def as_u64(arg: Arg, value: str) -> str:
    if arg.type == "f32":
        return f"std::bit_cast<uint32_t>({value})"
    return f"static_cast<uint64_t>({value})"


def joined(enc: list[str]) -> list[str]:
    """Neighbouring numbers are written together."""
    out, words = [], []
    for line in enc + [""]:
        if line.startswith("w.u64("):
            words.append(line[len("w.u64("):-len(");")])
            continue
        if words:
            out.append(f"w.u64({words[0]});" if len(words) == 1 else f"w.words({{{', '.join(words)}}});")
            words = []
        if line:
            out.append(line)
    return out


def body(row: Row, types: Types) -> list[str]:
    checks, enc, dec, late, mint, undo = [], [], [], [], [], []
    outs = False
    for a in row.args:
        n = a.name
        if a.kind in ("scalar", "enum"):
            enc.append(f"w.u64({as_u64(a, n)});")
        elif a.kind in ("handle", "del"):
            if a.type == "stream":
                checks.append(f"uint64_t {n}_h; if (CUresult e = resolve_stream({n}, &{n}_h)) return e;")
                enc.append(f"w.u64({n}_h);")
            else:
                strict = "true" if row.mode == "async" or a.kind == "del" else "false"
                checks.append(f"if (CUresult e = check_handle(Kind::{a.type}, as_handle({n}), {strict})) return e;")
                enc.append(f"w.u64(as_handle({n}));")
            if a.kind == "del":
                undo.append(f"release_handle(Kind::{a.type}, as_handle({n}));")
        elif a.kind == "new":
            outs = True
            checks.append(f"if (!{n}) return CUDA_ERROR_INVALID_VALUE;")
            mint.append(f"uint64_t {n}_h = draw_handle(Kind::{a.type});")
            enc.append(f"w.u64({n}_h);")
        elif a.kind == "val":
            enc.append(f"w.pod({n});")
        elif a.kind == "cstr":
            checks.append(f"if (!{n}) return CUDA_ERROR_INVALID_VALUE;")
            enc.append(f"w.string({n});")
        elif a.kind == "in":
            if a.is_array:
                size = f"{count(a, row)} * {element(a, types)}"
                if a.opt:
                    enc.append(f"if ({n}) w.bytes({n}, {size}); else w.null();")
                else:
                    checks.append(f"if (!{n} && {count(a, row)}) return CUDA_ERROR_INVALID_VALUE;")
                    enc.append(f"w.bytes({n}, {size});")
            elif a.opt:
                enc.append(f"if ({n}) w.pod(*{n}); else w.null();")
            else:
                checks.append(f"if (!{n}) return CUDA_ERROR_INVALID_VALUE;")
                enc.append(f"w.pod(*{n});")
        elif a.kind == "inout":
            outs = True
            checks.append(f"if (!{n}) return CUDA_ERROR_INVALID_VALUE;")
            enc.append(f"w.u64(static_cast<uint64_t>(*{n}));")
            dec.append(f"*{n} = static_cast<std::remove_reference_t<decltype(*{n})>>(r.u64());")
        elif a.kind == "out":
            outs = True
            if a.is_array:
                if a.star:
                    enc.append(f"w.u64({n} != nullptr);")
                    dec.append(f"if ({n}) read_array(r, {n}, {a.count}_room);")
                    # A program walks as many elements as it is told: no more than it has.
                    late.append(f"if ({n} && *{a.count} > {a.count}_room) r.refuse();")
                    checks.append(f"size_t {a.count}_room = {a.count} ? *{a.count} : 0; (void){a.count}_room;")
                else:
                    checks.append(f"if (!{n} && {count(a, row)}) return CUDA_ERROR_INVALID_VALUE;")
                    dec.append(f"read_bytes(r, {n}, {count(a, row)} * {element(a, types)});")
            else:
                if not a.opt:
                    checks.append(f"if (!{n}) return CUDA_ERROR_INVALID_VALUE;")
                guard = f"if ({n}) " if a.opt else ""
                if a.type in types.structs or a.type.endswith("AttrValue"):
                    dec.append(f"read_pod(r, {n});" if not a.opt else f"read_pod_or_skip(r, {n});")
                elif a.type == "f32":
                    dec.append(f"{{ uint64_t v = r.u64(); {guard}*{n} = std::bit_cast<float>(static_cast<uint32_t>(v)); }}")
                elif a.type in types.handles:
                    dec.append(f"{{ uint64_t v = r.u64(); {guard}*{n} = adopt_handle<{types.handles[a.type]}>"
                               f"(Kind::{a.type}, v); }}")
                else:
                    dec.append(f"{{ uint64_t v = r.u64(); {guard}*{n} = static_cast<std::remove_reference_t<"
                               f"decltype(*{n})>>(v); }}")
        elif a.kind == "blob":
            outs = True
            dec.append(f"{{ auto v = r.bytes(); {n}->assign(v.begin(), v.end()); }}")
        elif a.kind == "bulk_in":
            enc.append(f"call.bulk_in({n}, {a.count});")
        elif a.kind == "bulk_out":
            enc.append(f"call.bulk_out({n}, {a.count});")
    # Counters behind pointers are decoded before the arrays they count, and their room is read before they change.
    seen = set()
    checks = [c for c in checks if not (c in seen or seen.add(c))]
    deref = [c for c in checks if "_room" in c]
    checks = [c for c in checks if "_room" not in c] + deref
    out = ["if (CUresult e = enter()) return e;"] + checks + mint
    out += [f"Call call(op::{row.name});", "wire::Writer& w = call.args(); (void)w;"] + joined(enc)
    if row.mode == "async":
        out += [f"call.in_stream({a.name}_h);" for a in row.args if a.kind == "handle" and a.type == "stream"]
    drop = [f"release_handle(Kind::{a.type}, {a.name}_h);" for a in row.args if a.kind == "new"]
    set_new = [f"*{a.name} = from_handle<{types.handles[a.type]}>({a.name}_h);" for a in row.args if a.kind == "new"]
    if row.mode == "async":
        failed = f"{{ {' '.join(drop)} return e; }}" if drop else "return e;"
        out += [f"if (CUresult e = call.post()) {failed}"] + undo + set_new + ["return CUDA_SUCCESS;"]
        return out
    out.append("CUresult result = call.wait();")
    if drop:
        out.append(f"if (result != CUDA_SUCCESS) {{ {' '.join(drop)} return result; }}")
    if outs:
        out.append("if (result != CUDA_SUCCESS) return result;")
        if dec:
            out += ["wire::Reader& r = call.reply();"] + dec + late + ["if (r.bad()) return call.malformed();"]
        out += set_new + undo + ["return CUDA_SUCCESS;"]
    else:
        if undo:
            out.append(f"if (result == CUDA_SUCCESS) {{ {' '.join(undo)} }}")
        out.append("return call.surface(result);")
    return out


def header(rows: list[Row], types: Types) -> str:
    out = ["#pragma once", "#include <vector>", '#include "cuda_abi.h"', '#include "wire_ops.h"',
           "namespace nm::client::remote {"]
    out += [f"CUresult {r.name}({signature(r, types)});" for r in rows if r.on_wire]
    return "\n".join(out + ["}", ""])


def source(rows: list[Row], types: Types) -> str:
    out = ['#include "remote.h"', '#include "client/remote_support.h"', "namespace nm::client::remote {"]
    for r in rows:
        if r.on_wire:
            out += [f"CUresult {r.name}({signature(r, types)}) {{", *("  " + line for line in body(r, types)), "}"]
    out += ["}", "", 'extern "C" {']
    for r in rows:
        if not r.exported:
            continue
        names = ", ".join(a.name for a in r.args)
        if r.mode == "none":
            out.append(f'NM_EXPORT CUresult {r.name}() {{ return nm::client::not_supported("{r.name}"); }}')
            if r.twin:
                out.append(f'NM_EXPORT CUresult {r.name}_{r.twin}() {{ return nm::client::not_supported("{r.name}"); }}')
            continue
        if r.on_wire and not r.client_hand:
            call = f"nm::client::remote::{r.name}({names})"
            if r.syncs:
                call = f"nm::client::synchronised({call})"
            out.append(f"NM_EXPORT {prototype(r, types)} {{ return {call}; }}")
        if r.twin:
            out += [f"NM_EXPORT {prototype(r, types, f'{r.name}_{r.twin}')} {{",
                    f"  nm::client::PerThreadDefault scope; return {r.name}({names});", "}"]
    return "\n".join(out + ["}", ""])


def ops(rows: list[Row], types: Types) -> str:
    out = ["#pragma once", "#include <cstdint>", "namespace nm {",
           "enum class Kind : uint8_t { none, " + ", ".join(types.handles) + ", count };",
           "namespace op {"]
    out += [f"inline constexpr uint16_t {r.name} = {r.id};" for r in rows if r.on_wire]
    top = max(r.id for r in rows) + 1
    out += [f"inline constexpr uint16_t kCount = {top};", "}",
            "// Name of an operation, null where the number is not on the wire.",
            "inline const char* op_name(uint16_t id) {", "  switch (id) {"]
    out += [f'    case {r.id}: return "{r.name}";' for r in rows if r.on_wire]
    return "\n".join(out + ["    default: return nullptr;", "  }", "}", "}", ""])
