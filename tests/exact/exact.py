#!/usr/bin/env python3
"""What a call costs the program, counted: round trips, bytes, and the instructions that its own thread executes; and the
instructions that a posted record costs the worker, the driver's own left out (worker.cc).

usage: tests/exact/exact.py BUILD [--update] [SCENARIO...]

Runs BUILD/tests/exact/nm_exact on the software GPU with two numbers of calls; the difference is what one call costs,
with nothing of start-up in it. Fails if a call costs a round trip or a byte more than expected.json says, or more
instructions than it says (3 % for the compiler's mood; 30 % with another compiler than the one it names). Instructions are
counted by callgrind for calls that do not wait: those that do spend them on waiting. --update writes what was counted.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.json"
FEW, MANY = 100, 400


def compiler():
    line = subprocess.run([os.environ.get("CXX", "c++"), "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return "gcc " + line.split(".")[0]


def counters(build, env, scenario, times):
    p = subprocess.run([build / "bin/nearmetal", "run", "--", build / "tests/exact/nm_exact", scenario, str(times)],
                       env=dict(env, NEARMETAL_STATS="1"), capture_output=True, text=True, timeout=60)
    found = dict(re.findall(r"(\w+)=(\d+)", next((l for l in p.stderr.splitlines() if "nearmetal: calls=" in l), "")))
    if p.returncode or not found:
        sys.exit(f"exact: {scenario} failed: {p.stderr}")
    return {key: int(value) for key, value in found.items()}


def instructions(build, env, scenario, times):
    with tempfile.NamedTemporaryFile() as out:
        p = subprocess.run([build / "bin/nearmetal", "run", "--", "valgrind", "--tool=callgrind", f"--toggle-collect={scenario}",
                            f"--callgrind-out-file={out.name}", build / "tests/exact/nm_exact", scenario, str(times)],
                           env=env, capture_output=True, text=True, timeout=300)
        found = re.search(r"^summary: (\d+)", pathlib.Path(out.name).read_text(), re.M)
    if p.returncode or not found:
        sys.exit(f"exact: {scenario} under callgrind failed: {p.stderr[-2000:]}")
    return int(found[1])


# valgrind counts each byte that the ring's memory is copied with as an instruction.
def worker_instructions(build, scenario, times):
    with tempfile.NamedTemporaryFile() as out:
        p = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=nm::server::Session::run()", f"--callgrind-out-file={out.name}",
                            build / "tests/exact/nm_exact_worker", scenario, str(times)], capture_output=True, text=True, timeout=300)
        found = re.search(r"^summary: (\d+)", pathlib.Path(out.name).read_text(), re.M)
    if p.returncode or not found:
        sys.exit(f"exact: the worker's {scenario} under callgrind failed: {p.stderr[-2000:]}")
    return int(found[1])


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    if not arguments:
        sys.exit(__doc__)
    build, wanted = pathlib.Path(arguments[0]).resolve(), arguments[1:]
    expected = json.loads(EXPECTED.read_text())
    scenarios = wanted or list(expected["calls"])
    folder = tempfile.mkdtemp(prefix="nearmetal-exact-")
    address = f"unix:{folder}/s"
    server = subprocess.Popen([build / "bin/nearmetald", "--listen", address, "--driver", "soft", "--log-level", "warn"])
    env = dict(os.environ, NEARMETAL_SERVER=address)
    for _ in range(300):
        if os.path.exists(f"{folder}/s"):
            break
        time.sleep(0.1)
    slack = 1.03 if compiler() == expected["compiler"] else 1.3
    bad = 0
    try:
        print(f"{'one call':24}{'round trips':>12}{'bytes':>8}{'instructions':>14}")
        for scenario in scenarios:
            few, many = (counters(build, env, scenario, n) for n in (FEW, MANY))
            cost = {key: (many[field] - few[field]) / (MANY - FEW) for key, field in (("round_trips", "waited"), ("bytes", "bytes_out"))}
            if cost["round_trips"] == 0:
                few, many = (instructions(build, env, scenario, n) for n in (FEW, MANY))
                cost["instructions"] = round((many - few) / (MANY - FEW))
            limit = expected["calls"].get(scenario, {})
            over = [key for key, value in cost.items()
                    if value > limit.get(key, 0) * (slack if key == "instructions" else 1)]
            over += [key for key in limit if key not in cost]
            print(f"{scenario:24}{cost['round_trips']:12.2f}{cost['bytes']:8.0f}{cost.get('instructions', ''):>14}" +
                  (f"   MORE than expected: {', '.join(f'{k} {limit.get(k, 0)}' for k in over)}" if over else ""))
            bad += bool(over)
            if "--update" in sys.argv:
                expected["calls"][scenario] = cost
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        os.rmdir(folder)
    for scenario in [] if wanted else list(expected["worker"]):
        few, many = (worker_instructions(build, scenario, n) for n in (FEW, MANY))
        cost, limit = round((many - few) / (MANY - FEW)), expected["worker"][scenario]
        over = cost > limit * slack
        print(f"{'worker: ' + scenario:24}{'':20}{cost:>14}" + (f"   MORE than expected: {limit}" if over else ""))
        bad += over
        if "--update" in sys.argv:
            expected["worker"][scenario] = cost
    if "--update" in sys.argv:
        expected["compiler"] = compiler()
        EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")
        return 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
