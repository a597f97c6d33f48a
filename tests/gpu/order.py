#!/usr/bin/env python3
"""Random programs whose order shows (nm_order), natively and through nearmetal: every one must give the same memory.

usage: tests/gpu/order.py --prefix DIR --program NM_ORDER [--out DIR] [--seeds FROM COUNT] [--ops N] [--pieces N]
                          [--ways native,ring,socket,tcp,ring-strict,tcp-strict] [--native-library DIR] [--driver PATH|soft]

--program: nm_order of a build tree (tests/programs/order). DIR holds bin/nearmetal, bin/nearmetald and lib/nearmetal. The
seeds run in pieces of N (default 50), each piece once each way, in turn. "-strict" is NEARMETAL_STRICT=1. A way through
nearmetal leaves out what it is documented to do differently (docs/decisions/0006-host-memory.md): memory that kernels use
by a pointer where it is only mirrored, so registered memory over a Unix socket and all mapped memory over TCP; natively
the same programs run, so that digests can be compared. Prints a table; keeps every seed's line in order.json; exit status 1
if a digest differs or is wrong, or a call failed, or a program did not end.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

LINE = re.compile(r"seed (\d+): \d+ threads, (\d+) operations, digest ([0-9a-f]{16}), (right|WRONG)")
UNIX, NETWORK = "registered-mapped", "mapped,registered-mapped"  # left out
LIMIT = 600  # seconds for a piece


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True, type=pathlib.Path)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--out", default="gpu-results", type=pathlib.Path)
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 200])
    parser.add_argument("--ops", type=int, default=300)
    parser.add_argument("--pieces", type=int, default=50)
    parser.add_argument("--ways", default="native,ring,socket,tcp,ring-strict,tcp-strict")
    parser.add_argument("--native-library", default="")
    parser.add_argument("--driver", default="")
    args = parser.parse_args()
    prefix = args.prefix.resolve()
    args.out.mkdir(parents=True, exist_ok=True)

    scratch = tempfile.mkdtemp(prefix="nearmetal-order-")
    unix, tcp = f"unix:{scratch}/s", f"tcp:127.0.0.1:{free_port()}"
    command = [prefix / "bin/nearmetald", "--listen", unix, "--listen", tcp]
    if args.driver:
        command += ["--driver", args.driver]
    log = open(args.out / "order-server.log", "w")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    through = [str(prefix / "bin/nearmetal"), "run", "--"]
    native = dict(os.environ)
    if args.native_library:
        native["LD_LIBRARY_PATH"] = args.native_library
    ways = {"native": ([], native, [UNIX, NETWORK, ""])}
    for name, extra, out in [("ring", {"NEARMETAL_SERVER": unix}, UNIX),
                             ("socket", {"NEARMETAL_SERVER": unix, "NEARMETAL_TRANSPORT": "socket"}, UNIX),
                             ("tcp", {"NEARMETAL_SERVER": tcp}, NETWORK)]:
        ways[name] = (through, dict(os.environ, **extra), [out])
        ways[name + "-strict"] = (through, dict(os.environ, NEARMETAL_STRICT="1", **extra), [out])
    for _ in range(150):
        if subprocess.run([prefix / "bin/nearmetal", "gpus"], env=ways["ring"][1], capture_output=True).returncode == 0:
            break
        time.sleep(0.2)

    wanted, runs = args.ways.split(","), []
    digests, failed = {}, 0
    totals = {way: [0, 0, 0, 0.0] for way in wanted}  # programs, operations, wrong, seconds
    first, count = args.seeds
    for at in range(first, first + count, args.pieces):
        piece = min(args.pieces, first + count - at)
        for way in wanted:
            before, env, left_out = ways[way]
            for without in left_out:
                words = [str(args.program.resolve()), "--seeds", str(at), str(piece), "--ops", str(args.ops), "--without", without]
                start = time.monotonic()
                try:
                    p = subprocess.run(before + words, env=env, capture_output=True, text=True, timeout=LIMIT)
                    code, out, err = p.returncode, p.stdout, p.stderr
                except subprocess.TimeoutExpired as e:
                    code, out, err = "timeout", (e.stdout or b"").decode(), (e.stderr or b"").decode()
                totals[way][3] += time.monotonic() - start
                lines = LINE.findall(out)
                for seed, operations, digest, verdict in lines:
                    runs.append([way, without, int(seed), int(operations), digest, verdict])
                    # A wrong result, natively too, is no measure for others.
                    same = verdict != "right" or digests.setdefault((without, seed), digest) == digest
                    totals[way][0] += 1
                    totals[way][1] += int(operations)
                    totals[way][2] += verdict != "right" or not same
                    if not same:
                        print(f"{way}: seed {seed} has another digest than before", file=sys.stderr)
                failed += code != 0 or len(lines) != piece
                if code != 0:
                    print(f"{way}: status {code} after {len(lines)} of {piece} programs:\n{out[-3000:]}{err[-1500:]}", file=sys.stderr)
        print(f"seeds {at} to {at + piece - 1} of {first + count - 1}", file=sys.stderr)
    alive = server.poll() is None
    server.send_signal(signal.SIGTERM)
    server.wait(30)

    machine = "software GPU" if args.native_library else subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
    kept = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "ops": args.ops,
            "columns": ["way", "without", "seed", "operations", "digest", "verdict"], "runs": runs}
    (args.out / "order.json").write_text(json.dumps(kept) + "\n")
    text = f"{kept['date']}  {machine}; seeds {first} to {first + count - 1}, about {args.ops} operations each\n"
    text += f"{'way':14}{'programs':>10}{'operations':>12}{'wrong':>8}{'seconds':>10}\n"
    text += "".join(f"{way:14}{t[0]:10}{t[1]:12}{t[2]:8}{t[3]:10.1f}\n" for way, t in totals.items())
    (args.out / "order.txt").write_text(text)
    print(text)
    return 1 if failed or not alive or any(t[2] for t in totals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
