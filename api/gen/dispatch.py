"""The server's side: the table of the genuine driver's functions and one validating handler per row."""

import re

from abi import base_type, c_type, prototype
from model import Arg, Row, Types
from remote import as_u64


def driver_table(rows: list[Row], types: Types) -> str:
    out = ["#pragma once", '#include "cuda_abi.h"', "namespace nm::server {",
           "// The functions of the libcuda that is served; null where that release lacks one.", "struct DriverTable {"]
    live = [r for r in rows if r.exported and r.mode != "none"]
    out += [f"  decltype(&::{r.name}) {r.name} = nullptr;" for r in live]
    out += ["};", "template <typename F> void for_each_function(DriverTable& t, F&& f) {"]
    out += [f'  f("{r.name}", reinterpret_cast<void**>(&t.{r.name}));' for r in live]
    return "\n".join(out + ["}", "}", ""])


def tables(types: Types) -> str:
    out = ["#pragma once", '#include "cuda_abi.h"', '#include "server/handle_table.h"', '#include "wire_ops.h"',
           "namespace nm::server {", "struct Tables {"]
    out += [f"  HandleTable<{c}> {k}{{Kind::{k}}};" for k, c in types.handles.items()]
    out += ["};", "}", ""]
    return "\n".join(out)


def handle_fields(name: str, types: Types) -> list[tuple[str, str]]:
    """(field, handle kind) of a struct's top-level handle fields."""
    out = []
    depth = 0
    for line in types.structs[name]["layout"].splitlines():
        if line.rstrip().endswith("{"):
            depth += 1
        elif line.lstrip().startswith("}"):
            depth -= 1
        elif depth == 0:
            ctype, _, field = line.strip().rpartition(" ")
            if kind := types.kind_of(ctype):
                out.append((field, kind))
    return out


def decl(a: Arg, types: Types) -> str:
    """The field of a hand-written handler's argument struct."""
    if a.kind in ("in",) and a.is_array:
        if a.type == "byte":
            return f"std::span<const uint8_t> {a.name};"
        return f"std::vector<{base_type(a, types)}> {a.name}; bool {a.name}_null = false;"
    if a.kind == "cstr":
        return f"std::string {a.name};"
    if a.kind == "in" and a.opt:
        return f"{base_type(a, types)} {a.name}{{}}; bool {a.name}_null = false;"
    return f"{base_type(a, types)} {a.name}{{}};"


def result_decl(a: Arg, types: Types) -> str:
    if a.kind == "blob":
        return f"std::vector<uint8_t> {a.name};"
    if a.is_array:
        return f"std::vector<{'uint8_t' if a.type == 'byte' else base_type(a, types)}> {a.name};"
    return f"{base_type(a, types)} {a.name}{{}};"


def returned(a: Arg) -> bool:
    return a.kind in ("out", "inout", "new", "blob")


def structs(rows: list[Row], types: Types) -> str:
    out = ["#pragma once", "#include <span>", "#include <string>", "#include <vector>", '#include "cuda_abi.h"',
           '#include "server/call.h"', "namespace nm::server {", "class Session;", "namespace args {"]
    wired = [r for r in rows if r.on_wire]
    for r in wired:
        ins = [a for a in r.args if a.kind not in ("out", "new", "blob", "bulk_in", "bulk_out", "literal")]
        stars = [a for a in r.args if a.kind == "out" and a.star]
        fields = [decl(a, types) for a in ins] + [f"bool want_{a.name} = false;" for a in stars]
        fields += [f"uint64_t {a.name}_handle = 0;" for a in r.args if a.kind in ("new", "del")]
        out.append(f"struct {r.name} {{ {' '.join(fields)} }};")
    out += ["}", "namespace outs {"]
    for r in wired:
        out.append(f"struct {r.name} {{ {' '.join(result_decl(a, types) for a in r.args if returned(a))} }};")
    out += ["}", "// Written by hand, in the file named after the group.", "namespace hand {"]
    out += [f"CUresult {r.name}(Session& s, args::{r.name}& a, outs::{r.name}& o);" for r in wired if r.server_hand]
    return "\n".join(out + ["}", "}", ""])


def decode(a: Arg, row: Row, types: Types) -> list[str]:
    n = a.name
    if a.kind in ("scalar", "enum", "inout"):
        if a.type == "f32":
            return [f"a.{n} = std::bit_cast<float>(static_cast<uint32_t>(in.u64()));"]
        return [f"a.{n} = static_cast<decltype(a.{n})>(in.u64());"]
    if a.kind in ("handle", "del"):
        out = []
        if a.kind == "del":
            out.append(f"a.{n}_handle = in.u64();")
            value = f"a.{n}_handle"
        else:
            value = "in.u64()"
        if a.type == "stream":
            out.append(f"if (!s.stream_of({value}, &a.{n})) bad_handle = true;")
        elif a.type == "function":
            out.append(f"if (!s.function_of({value}, &a.{n})) bad_handle = true;")
        else:
            out.append(f"if (!s.tables().{a.type}.find({value}, &a.{n})) bad_handle = true;")
        if a.kind == "del" and row.mode == "async":
            # Gone already, with its context: nobody waits to hear of it.
            out.append("if (bad_handle) { *result = CUDA_SUCCESS; return Outcome::done; }")
        return out
    if a.kind == "new":
        return [f"a.{n}_handle = in.u64();"]
    if a.kind == "val":
        return [f"in.pod(&a.{n});"]
    if a.kind == "cstr":
        return [f"a.{n} = std::string(in.string());", f"if (a.{n}.find('\\0') != std::string::npos) in_bad = true;"]
    if a.kind == "in":
        if a.is_array:
            null = f"&a.{n}_null" if a.opt else "nullptr"
            if a.type == "byte":
                return [f"a.{n} = in.bytes();"]
            number = a.count if a.count.isdigit() else f"a.{a.count}"
            if a.type in types.handles:
                return [f"if (!decode_handles(in, s.tables().{a.type}, &a.{n}, {null}, &bad_handle)) in_bad = true;"]
            return [f"if (!decode_array(in, &a.{n}, {null})) in_bad = true;"]
        lines = [f"in.pod(&a.{n}, {f'&a.{n}_null' if a.opt else 'nullptr'});"]
        if a.type in types.structs:
            lines += [f"if (!s.tables().{kind}.find_or_null(a.{n}.{field}, &a.{n}.{field})) bad_handle = true;"
                      for field, kind in handle_fields(a.type, types)]
        return lines
    if a.kind == "out" and a.star:
        return [f"a.want_{n} = in.u64() != 0;"]
    return []


def size_checks(row: Row) -> list[str]:
    out = []
    for a in row.args:
        if a.kind == "in" and a.is_array and a.type != "byte":
            number = a.count if a.count.isdigit() else f"a.{a.count}"
            null = f"!a.{a.name}_null && " if a.opt else ""
            out.append(f"if ({null}a.{a.name}.size() != static_cast<size_t>({number})) in_bad = true;")
        if a.kind == "out" and a.is_array and not a.count.isdigit():
            out.append(f"if (static_cast<uint64_t>(a.{a.count}) > kMaxElements) in_bad = true;")
    return out


def encode(a: Arg, types: Types) -> list[str]:
    n = a.name
    if a.kind == "new":
        return [f"if (!s.tables().{a.type}.bind(a.{n}_handle, o.{n})) return Outcome::protocol_error;"]
    if a.kind == "blob":
        return [f"out.bytes(o.{n}.data(), o.{n}.size());"]
    if a.kind == "out" and a.is_array:
        guard = f"if (a.want_{n}) " if a.star else ""
        clip = f"o.{n}.resize(std::min<size_t>(o.{n}.size(), o.{a.count})); " if a.star else ""
        if a.type in types.handles:
            return [f"{guard}{{ {clip}encode_handles(out, s.tables().{a.type}, o.{n}); }}"]
        return [f"{guard}{{ {clip}out.bytes(o.{n}.data(), o.{n}.size() * sizeof(o.{n}[0])); }}"]
    if a.type in types.structs or a.type.endswith("AttrValue"):
        return [f"s.tables().{kind}.to_virtual(&o.{n}.{field});" for field, kind in
                (handle_fields(a.type, types) if a.type in types.structs else [])] + [f"out.pod(o.{n});"]
    if a.type in types.handles:
        return [f"out.u64(s.tables().{a.type}.virtual_of(o.{n}));"]
    return [f"out.u64({as_u64(a, f'o.{n}')});"]


def driver_arg(a: Arg) -> str:
    n = a.name
    if a.kind == "inout":
        return f"&o.{n}"
    if a.kind in ("out", "new"):
        if a.star:
            return f"a.want_{n} ? o.{n}.data() : nullptr"
        return f"o.{n}.data()" if a.is_array else f"&o.{n}"
    if a.kind == "in":
        data = f"a.{n}.data()" if a.is_array else f"&a.{n}"
        return f"a.{n}_null ? nullptr : {data}" if a.opt else data
    if a.kind == "cstr":
        return f"a.{n}.c_str()"
    return f"a.{n}"


MOST_WORDS = 32  # wire::Reader::kMaxWords


def gather(lines: list[str]) -> list[str]:
    """Scalars that follow one another are read with one look at whether they are there."""
    out, run, runs = [], [], 0

    def close():
        nonlocal run, runs
        words = sum("in.u64()" in line for line in run)
        if words > 1:
            out.append(f"const uint8_t* const words{runs} = in.words({words});")
            number = iter(range(words))
            run = [re.sub(r"in\.u64\(\)", lambda _: f"in.word(words{runs}, {next(number)})", line) for line in run]
            runs += 1
        out.extend(run)
        run = []

    for line in lines:
        scalar = line.count("in.u64()")
        if re.search(r"\bin\b", line) and not scalar or sum("in.u64()" in l for l in run) + scalar > MOST_WORDS:
            close()
        if scalar:
            run.append(line)
        else:
            (run if run else out).append(line)
    close()
    return out


# The driver answers INVALID_VALUE where a handle of these kinds is none, INVALID_HANDLE for all others.
GRAPH_KINDS = {"graph", "node", "graphexec", "userobj"}


def handler(row: Row, types: Types) -> list[str]:
    out = [f"Outcome handle_{row.name}(Session& s, wire::Reader in, wire::Writer& out, CUresult* result) {{",
           f"  args::{row.name} a; outs::{row.name} o; bool bad_handle = false, in_bad = false;",
           "  (void)s; (void)out; (void)a; (void)o;"]
    lines = []
    for a in row.args:
        if a.kind != "literal":
            lines += decode(a, row, types)
    lines = gather(lines) + size_checks(row)
    refusal = "CUDA_ERROR_INVALID_" + ("VALUE" if any(a.type in GRAPH_KINDS for a in row.args) else "HANDLE")
    lines += ["if (in.bad() || in_bad || !in.at_end()) return Outcome::protocol_error;",
              f"if (bad_handle) {{ *result = {refusal}; return Outcome::done; }}"]
    for a in row.args:
        if a.kind == "new":
            lines.append(f"if (!s.tables().{a.type}.free_slot(a.{a.name}_handle)) return Outcome::protocol_error;")
        if a.kind == "out" and a.is_array:
            lines.append(f"o.{a.name}.resize({a.count if a.count.isdigit() else f'a.{a.count}'});" if not a.star else
                         f"if (a.want_{a.name}) o.{a.name}.resize(a.{a.count});")
        if a.kind == "inout":
            lines.append(f"o.{a.name} = a.{a.name};")
    if row.server_hand:
        lines.append(f"*result = hand::{row.name}(s, a, o);")
        lines.append("if (*result == kDeferred) return Outcome::deferred;")
    else:
        lines.append(f"if (!s.driver().{row.name}) {{ *result = CUDA_ERROR_NOT_SUPPORTED; return Outcome::done; }}")
        lines.append(f"*result = s.driver().{row.name}({', '.join(driver_arg(a) for a in row.args)});")
    for a in row.args:
        if a.kind == "del":
            # After a posted destroy the client reuses the index that it drew, whatever the driver said.
            lines.append(f"if (*result == CUDA_SUCCESS) s.tables().{a.type}.unbind(a.{a.name}_handle);")
            if row.mode != "call":
                lines.append(f"else s.tables().{a.type}.unbind_drawn(a.{a.name}_handle);")
    lines.append("if (*result != CUDA_SUCCESS) return Outcome::done;")
    for a in row.args:
        if returned(a):
            lines += encode(a, types)
    lines.append("return Outcome::done;")
    return out + ["  " + line for line in lines] + ["}"]


def source(rows: list[Row], types: Types) -> str:
    wired = [r for r in rows if r.on_wire]
    out = ['#include "server_args.h"', '#include "server/dispatch_support.h"', "namespace nm::server {", "namespace {"]
    for r in wired:
        out += handler(r, types)
    # By id, so that finding one is one look into a table.
    ids = {r.id: r for r in wired}
    out += ["}", f"const Operation kOperations[{max(ids) + 1}] = {{"]
    for n in range(max(ids) + 1):
        row = ids.get(n)
        out.append(f"  {{handle_{row.name}, {'true' if row.mode == 'call' else 'false'}}}," if row else "  {},")
    out += ["};", f"const size_t kOperationCount = {max(ids) + 1};"]
    return "\n".join(out + ["}", ""])
