"""The demo program's runs, natively and through nearmetal, as a small table of medians.

Usage: compare.py NATIVE.jsonl REMOTE.jsonl STATS
Exits with 1 if a run was wrong or the two saw different devices or made different calls.
"""

import json
import re
import statistics
import sys

STATS = re.compile(r"(\w+)=(\d+)")


def runs_of(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def main(native_path, remote_path, stats_path):
    native, remote = runs_of(native_path), runs_of(remote_path)
    with open(stats_path) as file:
        stats = [{key: int(value) for key, value in STATS.findall(line)} for line in file]

    print(f"{remote[0]['device']}, {len(native)} runs each")
    print(f"{'':<24}{'native':>12}{'nearmetal':>12}{'ratio':>8}")
    print(f"{'driver calls':<24}{median(native, 'calls'):>12.0f}{median(remote, 'calls'):>12.0f}")
    print(f"{'  answered by client':<24}{'':>12}{median(stats, 'local'):>12.0f}")
    print(f"{'  sent without waiting':<24}{'':>12}{median(stats, 'posted'):>12.0f}")
    print(f"{'  round trips':<24}{'':>12}{median(stats, 'waited'):>12.0f}")
    steps = [key for key in native[0] if key.endswith("_ms")]
    for key in steps:
        a, b = median(native, key), median(remote, key)
        print(f"{key.removesuffix('_ms') + ', ms':<24}{a:>12.2f}{b:>12.2f}{b / a:>8.2f}")
    a, b = (statistics.median(sum(run[key] for key in steps) for run in runs) for runs in (native, remote))
    print(f"{'all, ms':<24}{a:>12.2f}{b:>12.2f}{b / a:>8.2f}")

    if not all(run["right"] for run in native + remote):
        print("a result differs from the CPU's")
        return 1
    if {run["device"] for run in native} != {run["device"] for run in remote}:
        print("the two ways saw different devices")
        return 1
    if {run["calls"] for run in native} != {run["calls"] for run in remote}:
        print("the two ways made different calls")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
