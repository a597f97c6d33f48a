"""python3 api/gen OUTDIR: turns the tables in api/ into the headers and sources of the build.

--lock rewrites api/abi.lock and --docs DIR the coverage page; `./dev gen` does both.
"""

import sys
from pathlib import Path

import abi
import dispatch
import exports
import fuzz
import nvml
import nvml_wire
import remote
from model import TableError, read_rows, read_types

HERE = Path(__file__).resolve().parent.parent


def write(path: Path, text: str) -> None:
    """Only what changed is touched, so that a build after a small edit stays small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(argv: list[str]) -> int:
    out = Path(argv[0])
    types = read_types(HERE / "types.toml")
    cuda = read_rows(HERE / "cuda.toml", types, exported=True)
    note = "// Made from api/ by api/gen; edit the tables, not this.\n"
    write(out / "cuda_abi.h", note + abi.emit(cuda, types))
    rows = cuda + read_rows(HERE / "session.toml", types, exported=False)
    write(out / "wire_ops.h", note + remote.ops(rows, types))
    write(out / "remote.h", note + remote.header(rows, types))
    write(out / "remote.cc", note + remote.source(rows, types))
    write(out / "driver_table.h", note + dispatch.driver_table(rows, types))
    write(out / "handle_tables.h", note + dispatch.tables(types))
    write(out / "server_args.h", note + dispatch.structs(rows, types))
    write(out / "dispatch.cc", note + dispatch.source(rows, types))
    write(out / "null_driver.inc", note + fuzz.null_driver(cuda, types))
    write(out / "wire_op_ids.inc", note + fuzz.seeds(rows))
    write(out / "cuda_exports.map", exports.version_script(cuda))
    write(out / "proc_table.inc", note + exports.proc_table(cuda))
    write(out / "unprototyped.inc", note + exports.declarations(cuda))
    write(out / "error_names.inc", note + exports.error_names(types))
    write(out / "softgpu_twins.inc", note + exports.twins(cuda, types))
    write(out / "softgpu_weak.cc", note + exports.weak_stubs(cuda))
    write_nvml(out, note)
    return 0


def write_nvml(out: Path, note: str) -> None:
    n = nvml.read(HERE / "nvml.toml")
    write(out / "nvml_abi.h", note + nvml.abi(n))
    write(out / "nvml_exports.map", nvml.version_script(n))
    write(out / "nvml_results.inc", note + nvml.result_texts(n))
    write(out / "nvml_remote.h", note + nvml_wire.remote_header(n))
    write(out / "nvml_stubs.cc", note + nvml_wire.stubs(n))
    write(out / "nvml_table.h", note + nvml_wire.table(n))
    write(out / "nvml_dispatch.cc", note + nvml_wire.dispatch(n))
    write(out / "softgpu_nvml_weak.cc", note + nvml.weak_stubs(n))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TableError as error:
        sys.exit(f"api: {error}")
