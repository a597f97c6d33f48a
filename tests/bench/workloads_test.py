"""Benchmark programs at size ci: each runs to its end, checks what it computed, and prints what output.md says.

Usage: workloads_test.py NEARMETAL_WORKLOAD API SUITE [LEVEL]
"""

import json
import math
import subprocess
import sys

# Fields that a line must have, and of which type.
FIELDS = {
    "begin": {"workload": int, "suite_version": str, "program": str, "suite": str, "level": int, "api": str, "size": str, "seed": int},
    "device": {"name": str, "uuid": str, "pci": str, "driver": str, "api_version": str, "memory_bytes": int, "multiprocessors": int},
    "sample": {"metric": str, "unit": str, "better": str, "pcie": bool, "values": list},
    "check": {"what": str, "ok": bool, "error": (int, float), "bound": (int, float)},
    "skip": {"metric": str, "why": str},
    "end": {"ok": bool, "seconds": (int, float)},
}
NO_DEVICE = "There is no OpenCL"


def complaints(program, api, status, lines):
    kinds = [line.get("line") for line in lines]
    for line in lines:
        kind = line.get("line")
        if kind == "error":
            yield line["sentence"]
            continue
        if kind not in FIELDS:
            yield f"there is no kind of line {kind!r}"
            continue
        for name, kind_of in FIELDS[kind].items():
            if not isinstance(line.get(name), kind_of):
                yield f"{kind}: {name} is {line.get(name)!r}"
        if kind == "sample":
            # Fewer only where a pass is a whole application's run.
            if len(line["values"]) != 2 and not (program["suite"] == "apps" and len(line["values"]) == 1):
                yield f"{line['metric']}: {len(line['values'])} values, asked for 2"
            if not all(isinstance(v, (int, float)) and math.isfinite(v) and v > 0 for v in line["values"]):
                yield f"{line['metric']}: {line['values']}"
            if line["better"] not in ("higher", "lower"):
                yield f"{line['metric']}: better is {line['better']}"
        if kind == "check" and not line["ok"]:
            yield f"{line['what']}: error {line['error']}, bound {line['bound']}"
    if kinds[:1] != ["begin"] or lines[0]["program"] != program["program"] or lines[0]["api"] != api:
        yield f"it begins with {lines[:1]}"
    metrics = [line["metric"] for line in lines if line["line"] == "sample"]
    if len(metrics) != len(set(metrics)):
        yield f"a metric twice: {sorted(m for m in set(metrics) if metrics.count(m) > 1)}"
    if status == 77:
        if not any(line["line"] == "skip" and line["metric"] == "*" for line in lines):
            yield "it cannot run here and does not say why"
    elif status != 0 or kinds[-1] != "end":
        yield f"status {status}, its last line is {kinds[-1:]}"
    elif not metrics and "skip" not in kinds:
        yield "it measured nothing"
    elif metrics and "check" not in kinds:
        yield "nothing was checked"


def main(workload, api, suite, level=None):
    listed = subprocess.run([workload, "list", "-o", "json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    programs = [json.loads(line) for line in listed.splitlines()]
    programs = [p for p in programs if p["suite"] == suite and (level is None or p["level"] == int(level))]
    failed, ran = 0, 0
    for program in programs:
        if api == "opencl" and not program["opencl"]:
            continue
        command = [workload, "run", program["program"], "--api", api, "--size", "ci", "--passes", "2"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if api == "opencl" and any(NO_DEVICE in line.get("why", "") for line in lines):
            print("skipped: no OpenCL platform is installed")
            return 77
        found = list(complaints(program, api, done.returncode, lines))
        ran += done.returncode == 0
        failed += bool(found)
        seconds = lines[-1].get("seconds", 0) if lines else 0
        figures = sum(line["line"] == "sample" for line in lines)
        checks = sum(line["line"] == "check" for line in lines)
        print(f"{'NOT OK' if found else 'ok    '} {program['program']:<20} {seconds:6.2f} s, {figures} figures, {checks} checks")
        for complaint in found:
            print(f"         {complaint}")
        if done.stderr:
            print(f"         stderr: {done.stderr.strip()[:300]}")
    print(f"{ran} ran, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
