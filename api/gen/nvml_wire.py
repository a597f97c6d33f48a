"""NVML's two ends of the wire: the client's exported functions and the server's validating handlers."""

from nvml import SCALARS, Arg, Nvml, Row


def is_struct(a: Arg, n: Nvml) -> bool:
    return a.type in n.structs


def counted(a: Arg, row: Row) -> bool:
    """Some array's length comes from this argument."""
    return any(o.count == a.name for o in row.args)


def signature(r: Row, n: Nvml) -> str:
    return ", ".join(f"{n.c_type(a)} {a.name}" for a in r.args)


# ---- client ----

def client_body(r: Row, n: Nvml) -> list[str]:
    checks, enc, inouts, outs, late = [], [], [], [], []
    for a in r.args:
        x = a.name
        if a.dir and not a.star or a.type == "cstr":
            checks.append(f"if (!{x}) return call.end(NVML_ERROR_INVALID_ARGUMENT);")
        if a.type == "cstr":
            enc.append(f"w.string({x});")
        elif a.dir == "" and a.type in n.handles:
            enc.append(f"w.u64(raw({x}));")
        elif a.dir == "" and counted(a, r):
            checks.append(f"uint64_t {x}_room; if (!room({x}, &{x}_room)) return call.end(NVML_ERROR_INVALID_ARGUMENT);")
            enc.append(f"w.u64({x}_room);")
        elif a.dir == "":
            enc.append(f"w.u64(static_cast<uint64_t>({x}));")
        elif a.types:
            tags = ", ".join(f"{t}ag" for t in a.types)
            checks.append(f"if (!known_version({x}, {{{tags}}})) return call.end(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);")
            enc.append(f"w.bytes({x}, size_of({x}));")
            inouts.append(f"read_bytes(r, {x}, size_of({x}));")
        elif a.dir == "in":
            enc.append(f"w.bytes({x}, sizeof *{x});")
        elif a.count and a.star:
            enc.append(f"w.u64({x} != nullptr);")
            outs.append(f"if ({x}) read_some(r, {x}, {a.count}_room);")
            # A program walks as many elements as it is told: no more than it has.
            late.append(f"if ({x} && *{a.count} > {a.count}_room) r.refuse();")
        elif a.count:
            size = f"{a.count if a.count.isdigit() else a.count + '_room'}"
            scale = "" if a.type in ("char", "byte") else f" * sizeof *{x}"
            if a.dir == "inout":
                enc.append(f"w.bytes({x}, {size}{scale});")
            outs.append(f"read_text(r, {x}, {size});" if a.type == "char" else f"read_bytes(r, {x}, {size}{scale});")
        elif a.dir == "inout" and is_struct(a, n):
            enc.append(f"w.bytes({x}, sizeof *{x});")
            inouts.append(f"read_bytes(r, {x}, sizeof *{x});")
        elif a.dir == "inout":
            if counted(a, r):
                checks.append(f"uint64_t {x}_room; if (!room(*{x}, &{x}_room)) return call.end(NVML_ERROR_INVALID_ARGUMENT);")
            enc.append(f"w.u64({x}_room);" if counted(a, r) else f"w.u64(*{x});")
            inouts.append(f"read_number(r, {x});")
        elif is_struct(a, n):
            outs.append(f"read_bytes(r, {x}, sizeof *{x});")
        elif a.type in n.handles:
            outs.append(f"read_handle(r, {x});")
        else:
            outs.append(f"read_number(r, {x});")
    outs += late
    # A struct that points to others says how many; its counter must be read before the call changes it.
    checks.sort(key=lambda c: "_room" in c or "version" in c)
    out = [f'Call call({r.id}, "{r.name}");', *checks, "wire::Writer& w = call.args(); (void)w;", *enc]
    if not inouts and not outs:
        return out + ["return call.wait();"]
    out += ["nvmlReturn_t result = call.wait();", "if (!call.answered()) return result;", "wire::Reader& r = call.reply();",
            *inouts]
    if outs:
        out += ["if (result == NVML_SUCCESS) {", *("  " + line for line in outs), "}"]
    return out + ["return r.bad() ? call.malformed() : result;"]


def stubs(n: Nvml) -> str:
    out = ['#include "client/nvml/stub_support.h"', '#include "nvml_remote.h"', "", "namespace nm::client::nvml::remote {"]
    for r in n.wired:
        out += [f"nvmlReturn_t {r.name}({signature(r, n)}) {{", *("  " + line for line in client_body(r, n)), "}"]
    out += ["}", "", "using namespace nm::client::nvml;", 'extern "C" {']
    for r in n.generated:
        args = ", ".join(a.name for a in r.args)
        out.append(f"NM_EXPORT {n.prototype(r)} {{ return remote::{r.name}({args}); }}")
    out += [f'NM_EXPORT nvmlReturn_t {x}() {{ return answer("{x}", NVML_ERROR_NO_PERMISSION); }}' for x in n.refused]
    out += [f'NM_EXPORT nvmlReturn_t {x}() {{ return answer("{x}", NVML_ERROR_NOT_SUPPORTED); }}' for x in n.not_carried]
    return "\n".join(out + ["}", ""])


def remote_header(n: Nvml) -> str:
    out = ["#pragma once", "#include <cstdint>", '#include "nvml_abi.h"', "namespace nm::client::nvml {", "namespace op {"]
    out += [f"inline constexpr uint16_t {r.name} = {r.id};" for r in n.wired if r.mode == "wire"]
    out += ["}", "// Each asks the server and waits.", "namespace remote {"]
    out += [f"nvmlReturn_t {r.name}({signature(r, n)});" for r in n.wired]
    return "\n".join(out + ["}", "}", ""])


# ---- server ----

def table(n: Nvml) -> str:
    out = ["#pragma once", '#include "nvml_abi.h"', "namespace nm::server {",
           "// The functions of the libnvidia-ml.so.1 that is served; null where that release lacks one.",
           "struct NvmlTable {"]
    behind_wire = ["nvmlInit_v2", "nvmlInitWithFlags", "nvmlDeviceGetRunningProcessDetailList",
                   "nvmlDeviceGetProcessesUtilizationInfo", "nvmlEventSetWait_v2", "nvmlGpmMetricsGet",
                   "nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts"]
    live = [r.name for r in n.generated] + behind_wire
    out += [f"  decltype(&::{x}) {x} = nullptr;" for x in live]
    out += ["};", "template <typename F> void for_each_function(NvmlTable& t, F&& f) {"]
    out += [f'  f("{x}", reinterpret_cast<void**>(&t.{x}));' for x in live]
    return "\n".join(out + ["}", "}", ""])


def server_body(r: Row, n: Nvml) -> list[str]:
    decl, dec, pre, call, inouts, outs = [], [], [], [], [], []
    for a in r.args:
        x, base = a.name, n.c_base(a.type)
        if a.type == "cstr":
            dec.append(f"std::string {x}(in.string());")
            dec.append(f"if ({x}.find('\\0') != std::string::npos) return Outcome::protocol_error;")
            call.append(f"{x}.c_str()")
        elif a.dir == "" and a.type in n.handles:
            dec.append(f"{base} {x}{{}}; if (!s.{a.type}.find(in.u64(), &{x})) bad_handle = true;")
            call.append(x)
        elif a.dir == "" or (a.dir == "inout" and (a.type in SCALARS)):
            dec.append(f"auto {x} = static_cast<{base}>(in.u64());")
            if counted(a, r):
                dec.append(f"if (static_cast<uint64_t>({x}) > wire::kMaxNvmlElements) return Outcome::protocol_error;")
            call.append(f"&{x}" if a.dir else x)
            if a.dir:
                inouts.append(f"out.u64({x});")
        elif a.types:
            tags = ", ".join(f"{t}ag" for t in a.types)
            size = " , ".join(f"sizeof({t})" for t in a.types)
            dec += [f"Block<std::max({{{size}}})> {x};", f"if (!{x}.take(in, {{{tags}}})) return Outcome::protocol_error;"]
            call.append(f"{x}.as<{a.types[-1]}>()")
            inouts.append(f"{x}.give(out);")
        elif a.dir == "in" or (a.dir == "inout" and not a.count):
            dec += [f"{base} {x}{{}}; in.pod(&{x});"]
            call.append(f"&{x}")
            if a.dir == "inout":
                inouts.append(f"out.bytes(&{x}, sizeof {x});")
        elif a.count and a.star:
            dec.append(f"bool {x}_wanted = in.u64() != 0;")
            pre.append(f"std::vector<{base}> {x}({x}_wanted ? {a.count} + size_t{{1}} : 0);")
            pre.append(f"size_t {x}_room = {a.count};")
            call.append(f"{x}_wanted ? {x}.data() : nullptr")
            give = f"give_handles(out, s.{a.type}, {x}, std::min<size_t>({a.count}, {x}_room));" if a.type in n.handles \
                else f"out.bytes({x}.data(), std::min<size_t>({a.count}, {x}_room) * sizeof({base}));"
            outs.append(f"if ({x}_wanted) {give}")
        elif a.count:
            element = "char" if a.type in ("char", "byte") else base
            if a.dir == "inout":
                dec.append(f"std::vector<{element}> {x}; if (!take_array(in, {a.count}, &{x})) return Outcome::protocol_error;")
            else:
                pre.append(f"std::vector<{element}> {x}({a.count} + size_t{{1}});")
            call.append(f"{x}.data()")
            outs.append(f"out.string({{{x}.data(), strnlen({x}.data(), {a.count})}});" if a.type == "char"
                        else f"out.bytes({x}.data(), {a.count} * sizeof({element}));")
        else:
            pre.append(f"{base} {x}{{}};")
            call.append(f"&{x}")
            if a.type in n.structs:
                outs += [f"s.{kind}.to_virtual(&{x}.{f});" for f, kind in n.handle_fields(a.type)]
                outs.append(f"out.bytes(&{x}, sizeof {x});")
            elif a.type in n.handles:
                outs.append(f"out.u64(s.{a.type}.virtual_of({x}));")
            else:
                outs.append(f"out.u64(static_cast<uint64_t>({x}));")
    out = ["bool bad_handle = false; (void)bad_handle;", *dec, "if (in.bad() || !in.at_end()) return Outcome::protocol_error;"]
    if any("bad_handle = true" in line for line in dec):
        out.append("if (bad_handle) { *result = NVML_ERROR_INVALID_ARGUMENT; return Outcome::done; }")
    args = ", ".join(call)
    if r.mode == "call":
        out += [f"if (!s.driver.{r.name}) {{ *result = NVML_ERROR_FUNCTION_NOT_FOUND; return Outcome::done; }}", *pre,
                f"*result = s.driver.{r.name}({args});"]
    else:
        out += [*pre, f"*result = nvml_hand::{r.name}(s{', ' if args else ''}{args});"]
    out += inouts
    if outs:
        out += ["if (*result == NVML_SUCCESS) {", *("  " + line for line in outs), "}"]
    return out + ["return Outcome::done;"]


def dispatch(n: Nvml) -> str:
    out = ['#include "server/nvml_support.h"', "namespace nm::server {", "namespace {"]
    for r in n.wired:
        out += [f"Outcome do_{r.name}(NvmlState& s, wire::Reader& in, wire::Writer& out, nvmlReturn_t* result) {{",
                "  (void)s; (void)out;", *("  " + line for line in server_body(r, n)), "}"]
    out += ["}", "NvmlHandler nvml_handler_of(uint16_t op) {", "  switch (op) {"]
    out += [f"    case {r.id}: return do_{r.name};" for r in n.wired]
    return "\n".join(out + ["    default: return nullptr;", "  }", "}", "}", ""])
