"""docs/coverage.md: which functions are carried, and how. Made from the tables: it cannot promise what they do not."""

import re
from collections import defaultdict

from model import Row, TableError

# First match wins; a function that fits nowhere is an error, so that a new one gets its place.
GROUPS = [
    ("Initialisation, errors, function addresses",
     r"cu(Init|DriverGetVersion|GetErrorName|GetErrorString|GetProcAddress|GetExportTable)"),
    ("Interoperation with graphics and other memory",
     r"cu(GL|EGL|VDPAU|Graphics|External|Import|DestroyExternal|SignalExternal|WaitExternal|DeviceGetNvSciSync)"),
    ("Debugging, profiling, checkpoints, logs",
     r"cudbg|cu(Coredump|Profiler|Checkpoint|Logs|Device(Unr|R)egisterAsyncNotification)"),
    ("Green contexts", r"cu(Green|DevResource|DevSm|CtxFromGreen|CtxGetDevRes|DeviceGetDevRes|StreamGetGreen)"),
    ("Capture and graphs", r"cu(Graph|UserObject|ThreadExchange|Stream\w*Captur|Device\w*GraphMem)"),
    ("Memory pools and stream-ordered memory", r"cu(Mem\w*Pool|MemAllocAsync|MemFreeAsync|Device\w*MemPool)"),
    ("Contexts", r"cu(Ctx|DevicePrimaryCtx)"),
    ("Devices", r"cu(Device|FlushGPUDirect)"),
    ("Occupancy", r"cuOccupancy"),
    ("Launches and host functions", r"cu(Launch|Param|FuncSetBlockShape|FuncSetSharedSize|StreamAddCallback)"),
    ("Modules, libraries, kernels, linking", r"cu(Module|Library|Kernel|Link|Func)"),
    ("Events", r"cuEvent"),
    ("Managed memory", r"cu(MemAllocManaged|MemAdvise|MemPrefetch|MemDiscard|MemRange|StreamAttachMem)"),
    ("Streams", r"cuStream"),
    ("Memory of other processes", r"cuIpc"),
    ("Pointers", r"cuPointer|cuMemGetAddressRange"),
    ("Address space and physical memory",
     r"cu(Multicast|Mem(Address|Create|Release|Map|Unmap|SetAccess|GetAccess|Export|Import|Retain|GetAllocation"
     r"|GetHandle|GetAttribute))"),
    ("Copies and fills", r"cuMem(cpy|set|BatchDecompress)"),
    ("Memory", r"cuMem"),
    ("Arrays", r"cu(Array|Mipmapped)"),
    ("Textures and surfaces", r"cu(Tex|Surf)"),
    ("Tensor maps", r"cuTensorMap"),
]

WAYS = {
    "generated": "Made from the table",
    "hand": "Carried by hand",
    "client": "In the client: answered there, or made of other operations",
    "none": "Not carried",
}

HEAD = """\
# What is carried

Made from api/cuda.toml and api/nvml.toml by `./dev gen`; edit those.

libcuda.so.1 exports the {exports} functions of driver 580 ({rows} and {twins} per-thread variants of them). What is not
carried answers CUDA_ERROR_NOT_SUPPORTED and is named once on stderr; nothing is dropped in silence.

| | functions | with their variants |
|---|---:|---:|
"""


def way(row: Row) -> str:
    if row.mode == "none":
        return "none"
    if row.mode == "local":
        return "client"
    return "hand" if row.client_hand or row.server_hand else "generated"


def group_of(row: Row) -> str:
    for title, pattern in GROUPS:
        if re.match(pattern, row.name):
            return title
    raise TableError(f"{row.name} belongs to no group of api/gen/docs.py; give it one.")


def number(rows: list[Row]) -> str:
    return f"{len(rows)} | {sum(2 if r.twin else 1 for r in rows)}"


def coverage(rows: list[Row], nvml) -> str:
    ways, groups = defaultdict(list), defaultdict(list)
    for row in rows:
        ways[way(row)].append(row)
        groups[group_of(row)].append(row)
    twins = sum(1 for r in rows if r.twin)
    out = [HEAD.format(exports=len(rows) + twins, rows=len(rows), twins=twins).rstrip("\n")]
    out += [f"| {text} | {number(ways[key])} |" for key, text in WAYS.items()]
    out += [f"| **All** | {number(rows)} |", ""]
    for title, _ in GROUPS:
        out += section(title, sorted(groups[title], key=lambda r: r.name.lower()))
    return "\n".join(out + nvml_section(nvml)) + "\n"


def section(title: str, rows: list[Row]) -> list[str]:
    carried = [r for r in rows if r.mode != "none"]
    out = [f"## {title}: {len(carried)} of {len(rows)}", ""]
    for key, text in WAYS.items():
        names = [f"`{r.name}`" for r in rows if way(r) == key]
        if names:
            out.append(f"- {text}: {', '.join(names)}")
    out += [f"- `{r.name}` does without: {r.lacks}" for r in carried if r.lacks]
    return out + [""]


def nvml_section(nvml) -> list[str]:
    count = {mode: sum(1 for r in nvml.rows if r.mode == mode) for mode in ("call", "hand", "local")}
    return [
        "## NVML", "",
        f"libnvidia-ml.so.1: {count['call']} functions made from api/nvml.toml, {count['hand'] + count['local']} by "
        "hand.",
        f"{len(nvml.refused)} change a GPU or its machine and answer NVML_ERROR_NO_PERMISSION; "
        f"{len(nvml.not_carried)} are not carried and", "answer NVML_ERROR_NOT_SUPPORTED. Both lists stand in the table."]
