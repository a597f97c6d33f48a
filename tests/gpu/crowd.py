#!/usr/bin/env python3
"""Several processes on one GPU at once, natively and through nearmetal: total throughput, and how evenly it is shared.

usage: tests/gpu/crowd.py --prefix DIR --program NM_CROWD [--out DIR] [--processes 8] [--rounds 5] [--seconds 3] [--warm-up 1]
                          [--ways native,ring,tcp] [--works launch,medium,mixed] [--torch] [--seed 1] [--alone]
                          [--native-library DIR] [--driver PATH|soft]

--program: nm_crowd of a build tree. DIR holds bin/nearmetal, bin/nearmetald and lib/nearmetal. In each round every way runs
once for every work, in random order (--seed). A run starts the processes, waits until each has its context and has warmed
up, and lets all go at one moment; what they do in --seconds counts, in iterations, and each checks its result. Start-up is
not measured. Ways: native, ring, socket (NEARMETAL_TRANSPORT), tcp. Works: `launch` small kernels with a synchronise each
100, `medium` kernels of about 50 us, `mixed` 1 MiB to the device, a kernel, 64 KiB back, synchronise; --torch adds a
training step of a small network (torch_crowd.py). --alone also runs one process of each by itself, for scale.

Prints total iterations per second, their ratio to native (the median over rounds of the ratio within a round, and its
range), and the share of the slowest process as part of the fastest. Keeps every count in crowd.json. Exit status 1 if a
process failed.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
START_LIMIT = 180  # seconds until all processes are ready, and after the measured time until all have ended


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run_crowd(command, env, count, warm_up, seconds):
    """Starts `count` of them, lets them go together, returns one result each; None and a sentence if one failed."""
    processes, errors = [], tempfile.TemporaryFile()
    limit = None
    try:
        for _ in range(count):
            processes.append(subprocess.Popen(command + ["--warm-up", str(warm_up), "--seconds", str(seconds)], env=env,
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True))
        limit = threading.Timer(START_LIMIT + warm_up + seconds, lambda: [p.kill() for p in processes])
        limit.start()
        for p in processes:  # each says so when it is warm
            if p.stdout.readline().strip() != "ready":
                raise RuntimeError("a process did not get ready")
        for p in processes:
            p.stdin.write("go\n")
            p.stdin.flush()
        results = [json.loads(p.stdout.readline() or "null") for p in processes]
        if any(p.wait() != 0 or r is None for p, r in zip(processes, results)):
            raise RuntimeError("a process failed")
        return results, ""
    except (RuntimeError, OSError, ValueError) as e:
        for p in processes:
            p.kill()
        for p in processes:
            p.wait()
        errors.seek(0)
        return None, f"{e}: {errors.read().decode(errors='replace')[-1500:]}"
    finally:
        if limit:
            limit.cancel()
        for p in processes:
            p.stdin.close()
            p.stdout.close()


def rate(results):
    """Iterations a second of all together: each over the time that it itself took."""
    return sum(r["iterations"] / r["seconds"] for r in results)


def table(args, machine, samples):
    lines = [f"{time.strftime('%Y-%m-%d')}  {machine}  {os.cpu_count()} cores; {args.processes} processes, {args.seconds} s, "
             f"{args.rounds} rounds in random order",
             f"{'work':10}{'way':>10}{'processes':>11}{'total/s':>14}{'x native':>10}{'(range)':>18}{'slowest/fastest':>17}"]
    for (work, count), by_way in samples.items():
        native = by_way.get("native", {})
        for way, by_round in by_way.items():
            total = statistics.median(rate(r) for r in by_round.values())
            fair = statistics.median(min(x["iterations"] for x in r) / max(max(x["iterations"] for x in r), 1)
                                     for r in by_round.values())
            ratios = [rate(r) / rate(native[i]) for i, r in by_round.items() if i in native and rate(native[i])]
            versus = f"{statistics.median(ratios):10.3f}{f'({min(ratios):.3f}-{max(ratios):.3f})':>18}" if ratios else f"{'':28}"
            lines.append(f"{work:10}{way:>10}{count:11}{total:14.1f}{versus}{fair:17.3f}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True, type=pathlib.Path)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--out", default="gpu-results", type=pathlib.Path)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--ways", default="native,ring,tcp")
    parser.add_argument("--works", default="launch,medium,mixed")
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--native-library", default="")
    parser.add_argument("--driver", default="")
    args = parser.parse_args()
    prefix = args.prefix.resolve()
    args.out.mkdir(parents=True, exist_ok=True)

    scratch = tempfile.mkdtemp(prefix="nearmetal-crowd-")
    unix, tcp = f"unix:{scratch}/s", f"tcp:127.0.0.1:{free_port()}"
    command = [prefix / "bin/nearmetald", "--listen", unix, "--listen", tcp]
    if args.driver:
        command += ["--driver", args.driver]
    log = open(args.out / "crowd-server.log", "w")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    through = [str(prefix / "bin/nearmetal"), "run", "--"]
    native_env = dict(os.environ)
    if args.native_library:
        native_env["LD_LIBRARY_PATH"] = args.native_library
    ways = {
        "native": ([], native_env),
        "ring": (through, dict(os.environ, NEARMETAL_SERVER=unix)),
        "socket": (through, dict(os.environ, NEARMETAL_SERVER=unix, NEARMETAL_TRANSPORT="socket")),
        "tcp": (through, dict(os.environ, NEARMETAL_SERVER=tcp)),
    }
    works = {w: [str(args.program.resolve()), w] for w in args.works.split(",") if w}
    if args.torch:
        works["torch"] = [sys.executable, str(HERE / "torch_crowd.py")]
    for _ in range(150):
        if subprocess.run([prefix / "bin/nearmetal", "gpus"], env=ways["ring"][1], capture_output=True).returncode == 0:
            break
        time.sleep(0.2)

    wanted, order, failed, samples, order_kept = args.ways.split(","), random.Random(args.seed), 0, {}, []
    for work in works:
        for count in [1, args.processes] if args.alone else [args.processes]:
            samples[work, count] = {way: {} for way in wanted}
    for turn in range(args.rounds):
        runs = [(work, count, way) for work, count in samples for way in wanted]
        order.shuffle(runs)
        for work, count, way in runs:
            before, env = ways[way]
            results, why = run_crowd(before + works[work], env, count, args.warm_up, args.seconds)
            order_kept.append([turn, work, count, way])
            if results is None:
                failed += 1
                print(f"{work}, {way}, {count} processes: {why}", file=sys.stderr)
                continue
            samples[work, count][way][turn] = results
            print(f"round {turn + 1} of {args.rounds}: {work}, {count} processes, {way}: {rate(results):.1f}/s", file=sys.stderr)
    server.send_signal(signal.SIGTERM)
    server.wait(30)

    machine = "software GPU" if args.native_library else subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
    kept = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "cores": os.cpu_count(), "kernel": platform.release(),
            "seconds": args.seconds, "warm_up": args.warm_up, "order": order_kept,
            "samples": [{"work": work, "processes": count, "way": way, "round": turn, "results": results}
                        for (work, count), by_way in samples.items() for way, by_round in by_way.items()
                        for turn, results in by_round.items()]}
    (args.out / "crowd.json").write_text(json.dumps(kept) + "\n")
    complete = {key: {way: r for way, r in by_way.items() if r} for key, by_way in samples.items()}
    text = table(args, machine, complete)
    (args.out / "crowd.txt").write_text(text)
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
