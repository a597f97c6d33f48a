"""python3 api/gen OUTDIR: turns the tables in api/ into the headers and sources of the build.

python3 api/gen --lock rewrites what is made from them and kept in git: api/abi.lock and docs/coverage.md.
`./dev gen` does both.
"""

import sys
from pathlib import Path

import abi
import dispatch
import docs
import exports
import fuzz
import fuzz_client
import lock
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
    types = read_types(HERE / "types.toml")
    cuda = read_rows(HERE / "cuda.toml", types, exported=True)
    rows = cuda + read_rows(HERE / "session.toml", types, exported=False)
    n = nvml.read(HERE / "nvml.toml")
    kept = {HERE / "abi.lock": lock.emit(rows, types, n), HERE.parent / "docs" / "coverage.md": docs.coverage(cuda, n)}
    if argv == ["--lock"]:
        for path, text in kept.items():
            write(path, text)
        return 0
    if len(argv) != 1 or argv[0].startswith("-"):
        raise TableError("say python3 api/gen OUTDIR, or python3 api/gen --lock.")
    check_kept(kept)
    out = Path(argv[0])
    note = "// Made from api/ by api/gen; edit the tables, not this.\n"
    write(out / "cuda_abi.h", note + abi.emit(cuda, types))
    write(out / "wire_ops.h", note + remote.ops(rows, types))
    write(out / "remote.h", note + remote.header(rows, types))
    write(out / "remote.cc", note + remote.source(rows, types))
    write(out / "driver_table.h", note + dispatch.driver_table(rows, types))
    write(out / "handle_tables.h", note + dispatch.tables(types))
    write(out / "server_args.h", note + dispatch.structs(rows, types))
    write(out / "dispatch.cc", note + dispatch.source(rows, types))
    write(out / "null_driver.inc", note + fuzz.null_driver(cuda, types))
    write(out / "cuda_shapes.inc", note + fuzz.cuda_shapes(rows, types))
    write(out / "cuda_calls.inc", note + fuzz_client.cuda_calls(rows, types))
    write(out / "cuda_exports.map", exports.version_script(cuda))
    write(out / "proc_table.inc", note + exports.proc_table(cuda))
    write(out / "unprototyped.inc", note + exports.declarations(cuda))
    write(out / "error_names.inc", note + exports.error_names(types))
    write(out / "softgpu_twins.inc", note + exports.twins(cuda, types))
    write(out / "softgpu_weak.cc", note + exports.weak_stubs(cuda))
    write_nvml(out, note, n)
    return 0


def check_kept(kept: dict[Path, str]) -> None:
    stale = [p for p, text in kept.items() if not p.exists() or p.read_text() != text]
    if stale:
        names = " and ".join(str(p.relative_to(HERE.parent)) for p in stale)
        raise TableError(f"{names} {'does' if len(stale) == 1 else 'do'} not match the tables; run ./dev gen, or "
                         "python3 api/gen --lock, and commit the change with yours.")


def write_nvml(out: Path, note: str, n: nvml.Nvml) -> None:
    write(out / "nvml_abi.h", note + nvml.abi(n))
    write(out / "nvml_exports.map", nvml.version_script(n))
    write(out / "nvml_results.inc", note + nvml.result_texts(n))
    write(out / "nvml_remote.h", note + nvml_wire.remote_header(n))
    write(out / "nvml_stubs.cc", note + nvml_wire.stubs(n))
    write(out / "nvml_table.h", note + nvml_wire.table(n))
    write(out / "nvml_dispatch.cc", note + nvml_wire.dispatch(n))
    write(out / "nvml_shapes.inc", note + fuzz.nvml_shapes(n))
    write(out / "nvml_calls.inc", note + fuzz_client.nvml_calls(n))
    write(out / "null_nvml.inc", note + fuzz.null_nvml(n))
    write(out / "softgpu_nvml_weak.cc", note + nvml.weak_stubs(n))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TableError as error:
        sys.exit(f"api: {error}")
