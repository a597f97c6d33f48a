#!/usr/bin/env python3
"""Real programs on a real GPU: natively twice, then through nearmetal, results compared bit by bit.

usage: tests/gpu/run.py --prefix DIR [--out DIR] [--only NAME,NAME] [--tcp] [--strict]

--strict: once more with NEARMETAL_STRICT=1, where every call waits for its answer; the results must be the same.

DIR holds bin/nearmetal, bin/nearmetald and lib/nearmetal (an unpacked bundle or a build tree). Needs an NVIDIA driver,
python3 with PyTorch, and nvcc for the programs in C++. A case whose framework is missing is reported as absent, and the
run fails unless --allow-absent is given. Prints a table, writes real-programs.txt and results.json to --out.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON_CASES = [
    "elementwise", "reductions", "gemm", "conv", "attention", "autograd", "adamw", "resnet50", "transformer_lm",
    "llama_generate", "torch_compile", "cuda_graph", "dataloader", "multiprocessing", "oom_retry", "jax_case", "cupy_case",
    "numba_case",
]
CUDA_CASES = {"cudart_static": ["-cudart", "static"], "cudart_shared": ["-cudart", "shared"]}
TIMEOUT = 120
STRICT_TIMEOUT = 600  # a round trip for every call


def run(command, env, timeout=TIMEOUT):
    start = time.monotonic()
    try:
        p = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
        out, err, rc = p.stdout, p.stderr, p.returncode
    except subprocess.TimeoutExpired as e:
        out, err, rc = (e.stdout or b"").decode(errors="replace"), (e.stderr or b"").decode(errors="replace"), "timeout"
    result = {"rc": rc, "seconds": time.monotonic() - start, "stderr": err[-4000:], "values": {}}
    for line in out.splitlines():
        if line.startswith("RESULT "):
            result["values"].update(json.loads(line[7:]))
    result["stdout"] = out[-2000:]
    return result


def spread(a, b):
    """Largest relative difference of two results, None if their shapes differ."""
    if isinstance(a, str) or isinstance(b, str):
        return 0.0 if a == b else None
    if not isinstance(a, list):
        a, b = [a], [b]
    if len(a) != len(b):
        return None
    return max((abs(x - y) / max(abs(x), abs(y), 1e-30) for x, y in zip(a, b)), default=0.0)


def verdict(native, again, remote):
    if native["rc"] == 77:
        return "absent"
    if native["rc"] != 0:
        return "FAILED natively"
    if remote["rc"] != 0:
        return f"FAILED ({remote['rc']})"
    if set(native["values"]) != set(remote["values"]) or not native["values"]:
        return "FAILED (other results)"
    if native["values"] == remote["values"]:
        return "identical"
    for key, value in native["values"].items():
        if value == remote["values"][key]:
            continue
        noise, here = spread(value, again["values"].get(key)), spread(value, remote["values"][key])
        # A digest that differs natively from run to run says nothing; its numbers beside it do.
        if isinstance(value, str) and value != again["values"].get(key):
            continue
        if here is None or noise is None or here > max(noise * 2, 1e-12):
            return f"FAILED ({key}: off by {here}, natively by {noise})"
    return "within native spread"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True, type=pathlib.Path)
    parser.add_argument("--out", default="gpu-results", type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--allow-absent", action="store_true")
    args = parser.parse_args()
    prefix = args.prefix.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="nearmetal-gpu-"))
    wanted = [c for c in args.only.split(",") if c] or [*CUDA_CASES, *PYTHON_CASES, "nvidia-smi"]

    address = f"unix:{work}/server.sock"
    if args.tcp:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = f"tcp:127.0.0.1:{s.getsockname()[1]}"
    log = open(args.out / "server.log", "w")
    server = subprocess.Popen([prefix / "bin/nearmetald", "--listen", address], stdout=log, stderr=log)
    env = dict(os.environ, CUBLAS_WORKSPACE_CONFIG=":4096:8", PYTHONUNBUFFERED="1")
    remote_env = dict(env, NEARMETAL_SERVER=address, NEARMETAL_STATS="1")
    through = [str(prefix / "bin/nearmetal"), "run", "--"]
    for _ in range(100):
        if subprocess.run([prefix / "bin/nearmetal", "gpus"], env=remote_env, capture_output=True).returncode == 0:
            break
        time.sleep(0.2)

    rows, results, bad = [], {}, 0
    for case in wanted:
        if case in CUDA_CASES:
            program = work / case
            built = subprocess.run(["nvcc", "-O2", "-std=c++17", "-arch=sm_90", *CUDA_CASES[case], "-o", program,
                                    HERE / "cudart.cu"], capture_output=True, text=True)
            command = [str(program)] if built.returncode == 0 else ["sh", "-c", "exit 77"]
        elif case == "nvidia-smi":
            command = ["sh", "-c", "nvidia-smi -L | python3 -c 'import json,sys; print(\"RESULT\", json.dumps({\"list\": sys.stdin.read()}))'"]
        else:
            command = [sys.executable, str(HERE / "cases.py"), case]
        native = run(command, env)
        again = run(command, env) if native["rc"] == 0 else native
        remote = run(through + command, remote_env) if native["rc"] == 0 else native
        what = verdict(native, again, remote)
        results[case] = {"native": native, "again": again, "remote": remote, "verdict": what}
        failed = what.startswith("FAILED") or (what == "absent" and not args.allow_absent)
        shown = remote
        if args.strict and native["rc"] == 0:
            strict = run(through + command, dict(remote_env, NEARMETAL_STRICT="1"), STRICT_TIMEOUT)
            strictly = verdict(native, again, strict)
            results[case].update(strict=strict, strict_verdict=strictly)
            if strictly.startswith("FAILED"):
                failed, shown = True, remote if what.startswith("FAILED") else strict
            what += f"; strict: {strictly}, {strict['seconds']:.1f} s"
        bad += failed
        calls = next((line.split("nearmetal: ", 1)[1] for line in remote["stderr"].splitlines() if "nearmetal: calls=" in line), "")
        rows.append((case, f"{again['seconds']:.1f}", f"{remote['seconds']:.1f}", what, calls))
        print(f"{case:18} native {again['seconds']:6.1f} s   nearmetal {remote['seconds']:6.1f} s   {what}", flush=True)
        if failed:
            print("    " + "\n    ".join((shown["stderr"] or native["stderr"]).splitlines()[-12:]), flush=True)
    alive = server.poll() is None
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    head = f"{time.strftime('%Y-%m-%d')}  {gpu.stdout.strip()}  {'TCP loopback' if args.tcp else 'Unix socket'}\n\n"
    table = head + "".join(f"{r[0]:18} {r[1]:>8} s native  {r[2]:>8} s nearmetal  {r[3]:24} {r[4]}\n" for r in rows)
    (args.out / "real-programs.txt").write_text(table)
    (args.out / "results.json").write_text(json.dumps(results, indent=1))
    if not alive:
        print("The daemon ended on its own: see server.log.")
    print(f"{len(rows) - bad} of {len(rows)} cases hold")
    return 1 if bad or not alive else 0


if __name__ == "__main__":
    sys.exit(main())
