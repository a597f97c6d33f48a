#!/usr/bin/env python3
"""How long the ways to a GPU take, natively and through nearmetal, in interleaved fresh processes.

usage: tests/gpu/paths.py --prefix DIR --program NM_PATHS [--out DIR] [--blocks N] [--rounds N] [--ways native,ring,socket,tcp,link]
                          [--link NM_LINK [--round-trip-us 200] [--gbit 100]] [--sockets NM_SOCKETS] [--device-sockets NM_DEVICE_SOCKETS]
                          [--before DIR] [--native-library DIR] [--driver PATH|soft] [--quick] [CASE...]

The way "link" goes through a link of that round trip and bandwidth. --sockets: also what four plain sockets carry, over
TCP and through a link of the same kind, against which copies over TCP are held. --device-sockets: what sockets and the
device's own copies reach together, with nothing of nearmetal. --before: another build, as DIR, whose ways are called
"ring before" and so on. --program: nm_paths of a build tree, or torch_paths.py. DIR holds bin/nearmetal, bin/nearmetald and lib/nearmetal. Every block runs each way once, in an order that is reversed from
block to block. Prints medians and their ratio to native; keeps every sample in paths.json. Exit status 1 if a run failed.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True, type=pathlib.Path)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--out", default="gpu-results", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default="native,ring,socket,tcp")
    parser.add_argument("--native-library", default="")
    parser.add_argument("--link", type=pathlib.Path)
    parser.add_argument("--sockets", type=pathlib.Path)
    parser.add_argument("--device-sockets", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path)
    parser.add_argument("--round-trip-us", default="200")
    parser.add_argument("--gbit", default="100")
    parser.add_argument("--driver", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    prefix = args.prefix.resolve()
    args.out.mkdir(parents=True, exist_ok=True)

    work = tempfile.mkdtemp(prefix="nearmetal-paths-")
    program = [str(args.program.resolve()), "--rounds", str(args.rounds)] + ["--quick"] * args.quick + args.cases
    native_env = dict(os.environ)
    if args.native_library:
        native_env["LD_LIBRARY_PATH"] = args.native_library
    ways = {"native": (program, native_env)}
    servers = []

    def serve(prefix, name):
        unix, tcp = f"unix:{work}/s{len(servers)}", f"tcp:127.0.0.1:{free_port()}"
        command = [prefix / "bin/nearmetald", "--listen", unix, "--listen", tcp]
        if args.driver:
            command += ["--driver", args.driver]
        log = open(args.out / f"paths-server{name.replace(' ', '-')}.log", "w")
        servers.append(subprocess.Popen(command, stdout=log, stderr=log))
        through = [str(prefix / "bin/nearmetal"), "run", "--"] + program
        ways["ring" + name] = (through, dict(os.environ, NEARMETAL_SERVER=unix))
        ways["socket" + name] = (through, dict(os.environ, NEARMETAL_SERVER=unix, NEARMETAL_TRANSPORT="socket"))
        ways["tcp" + name] = (through, dict(os.environ, NEARMETAL_SERVER=tcp))
        return tcp

    tcp = serve(prefix, "")
    if args.before:
        before = serve(args.before.resolve(), " before")
    links = []

    def through_link(to):
        far = f"tcp:127.0.0.1:{free_port()}"
        links.append(subprocess.Popen([args.link.resolve(), "--listen", far, "--to", to, "--round-trip-us",
                                       args.round_trip_us, "--gbit", args.gbit], stdout=subprocess.PIPE))
        links[-1].stdout.readline()
        return far

    if args.link:
        ways["link"] = (ways["tcp"][0], dict(os.environ, NEARMETAL_SERVER=through_link(tcp)))
        if args.before:
            ways["link before"] = (ways["tcp before"][0], dict(os.environ, NEARMETAL_SERVER=through_link(before)))
    wanted = args.ways.split(",")
    for kind, tool in (("plain", args.sockets), ("device", args.device_sockets)):
        if not tool:
            continue
        for way in ("tcp", "link"):
            if way not in wanted:
                continue
            listen = f"tcp:127.0.0.1:{free_port()}"
            command = [str(tool.resolve()), "--listen", listen, "--rounds", str(args.rounds)] + ["--quick"] * args.quick
            if way == "link":
                command += ["--through", through_link(listen)]
            ways[f"{kind} {way}"] = (command, native_env)
            wanted.append(f"{kind} {way}")
    for name in ("ring", "ring before"):
        for _ in range(150):
            if name not in ways or subprocess.run([ways[name][0][0], "gpus"], env=ways[name][1], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)

    samples, units, checks, failed = {}, {}, {}, 0

    # What was measured until then is kept.
    def stop(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    def take_up(way, text, took):
        nonlocal failed
        for line in text.splitlines():
            try:
                one = json.loads(line)
            except json.JSONDecodeError:
                continue  # half a line of a program that was stopped
            units[one["case"]] = one["unit"]
            if checks.setdefault(one["case"], one.get("check")) != one.get("check"):
                failed += 1
                print(f"{way}: {one['case']} computed {one['check']}, before it was {checks[one['case']]}", file=sys.stderr)
            samples.setdefault(one["case"], {}).setdefault(way, []).append(one["samples"])
        if took:
            units["process"] = "ms"
            samples.setdefault("process", {}).setdefault(way, []).append([took * 1e3])

    output = pathlib.Path(work) / "out"

    def run(way):
        nonlocal failed
        command, env = ways[way]
        start = time.monotonic()
        with open(output, "w") as out, open(output.with_suffix(".err"), "w") as err:
            p = subprocess.Popen(command, env=env, stdout=out, stderr=err)
            try:
                code = p.wait(timeout=240)
            except (subprocess.TimeoutExpired, KeyboardInterrupt) as e:
                p.kill()
                p.wait()
                failed += 1
                take_up(way, output.read_text(), None)
                print(f"{way}: stopped after {time.monotonic() - start:.1f} s", file=sys.stderr)
                if isinstance(e, KeyboardInterrupt):
                    raise
                return
        took = time.monotonic() - start
        if code != 0:
            failed += 1
            print(f"{way}: status {code}: {output.with_suffix('.err').read_text()[-1500:]}", file=sys.stderr)
        take_up(way, output.read_text(), took)
        print(f"{way} took {took:.1f} s", file=sys.stderr)

    try:
        for block in range(args.blocks):
            print(f"block {block + 1} of {args.blocks}", file=sys.stderr)
            for way in wanted if block % 2 == 0 else wanted[::-1]:
                run(way)
    except KeyboardInterrupt:
        failed += 1
    for link in links:
        link.kill()
        link.wait()
    for server in servers:
        server.send_signal(signal.SIGTERM)
        server.wait(30)

    machine = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip() \
        if not args.native_library else "software GPU"
    kept = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "cores": os.cpu_count(), "kernel": platform.release(),
            "units": units, "samples": samples}
    (args.out / "paths.json").write_text(json.dumps(kept) + "\n")
    lines = [f"{kept['date']}  {machine}  {kept['cores']} cores; medians of {args.blocks} processes x {args.rounds} rounds, interleaved",
             f"{'':26}" + "".join(f"{w:>12}" + ("" if w == "native" else f"{'':>8}") for w in wanted)]
    for case, by_way in samples.items():
        row = f"{case + ', ' + units[case]:26}"
        base = statistics.median(x for run in by_way.get("native", [[]]) for x in run) if by_way.get("native") else None
        for way in wanted:
            value = statistics.median(x for run in by_way[way] for x in run) if by_way.get(way) else float("nan")
            row += f"{value:12.3f}" if value == value else f"{'':12}"
            if way != "native":
                row += f"{value / base:7.2f}x" if base and value == value else f"{'':8}"
        lines.append(row.rstrip())
    median = lambda case, way: statistics.median(x for run in samples[case][way] for x in run)
    for way in ("tcp", "link"):
        for case in samples:
            direction, _, size = (case.split("_") + ["", ""])[:3]
            plain_case = {"h2d": "forth", "d2h": "back"}.get(direction, "") + f"_{size}_4"
            if plain_case in samples and way in samples[case] and f"plain {way}" in samples[plain_case]:
                share = median(case, way) / median(plain_case, f"plain {way}")
                lines.append(f"{case + ' over ' + way:32}{share:7.2f} of what 4 plain sockets carry")
    table = "\n".join(lines) + "\n"
    (args.out / "paths.txt").write_text(table)
    print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
