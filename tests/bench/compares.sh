# Two ways to a GPU, measured by turns: the overhead that is there is found, the one that is not is not.
. "$(dirname "$0")/lib.sh"

# --- a target that is 5 % slower, and one that is not
compare native 'same=env A=b' 'slow=env FAKE_OVERHEAD=0.05' --pairs 4 --save "$SCRATCH/r.jsonl" -o json \
  >"$SCRATCH/r.json" 2>"$SCRATCH/err" || fail "$(cat "$SCRATCH/err")"
of() { json "$1" <"$SCRATCH/r.json"; }
equal "the same is equivalent, all levels" "{'EQUIVALENT'}" "$(of "{s['verdict'] for s in r['targets'][0]['summaries']}")"
equal "the slower has an overhead, all levels" "{'OVERHEAD'}" "$(of "{s['verdict'] for s in r['targets'][1]['summaries']}")"
equal "the overhead is 5 %" True "$(of "all(abs(s['ratio'] - 0.95) < 0.002 for s in r['targets'][1]['summaries'])")"
equal "higher and lower are oriented alike" True "$(of "all(m['ratio'] < 0.96 for m in r['targets'][1]['metrics'])")"
equal "A/A says that the machine is quiet" "True ''" "$(of "f\"{r['quiet']} {r['noise']!r}\"")"
equal "levels, suites, their PCIe parts" \
  "[('shoc', 0, False), ('shoc', 0, True), ('shoc', 1, False), ('shoc', 1, True), ('shoc', 2, False), ('shoc', 2, True), ('shoc', None, False), ('shoc', None, True), ('apps', None, False), ('apps', None, True), ('path', None, False), ('path', None, True)]" \
  "$(of "[(s['suite'], s['level'], s['pcie_only']) for s in r['targets'][0]['summaries']]")"
equal "a curve is one item of the mean" "[(4, 1)]" "$(of "[(s['metrics'], s['items']) for s in r['targets'][0]['summaries'] if s['suite'] == 'path' and not s['pcie_only']]")"

# --- the file has every process, in the order in which it ran
python3 - "$SCRATCH/r.jsonl" <<'END'
import collections, json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert [l["line"] for l in lines][:2] == ["header", "fingerprint"] and lines[-1] == {"line": "end", "complete": True}
assert lines[-2]["line"] == "fingerprint" and lines[-2]["when"] == "after", lines[-2]
runs = [l for l in lines if l["line"] == "run"]
assert len(runs) == 5 * 4 * (1 + 4), len(runs)
assert [r["position"] for r in runs] == list(range(len(runs)))
assert all(r["samples"] and len(r["samples"][0]["values"]) == 3 for r in runs)
blocks = collections.defaultdict(list)
for r in runs:
    if not r["warm_up"]:
        blocks[r["program"], r["pair"] // 2].append((r["target"], r["self"]))
assert all(order == order[::-1] and len(set(order)) == 4 for order in blocks.values()), blocks
assert len({tuple(order) for order in blocks.values()}) > 1, "the order is not random"
print("ok: the file has every run, in blocks that read the same from both ends")
END

# --- the report of that file is the comparison again, paired
bench report "$SCRATCH/r.jsonl" -o json --html "$SCRATCH/r.html" >"$SCRATCH/again.json"
equal "report repeats the comparison" True "$(python3 -c "
import json; a, b = (json.load(open('$SCRATCH/' + f)) for f in ('r.json', 'again.json'))
print([t['metrics'] for t in a['targets']] == [t['metrics'] for t in b['targets']] and a['self']['metrics'] == b['self']['metrics'])")"
[ -s "$SCRATCH/r.html" ] || fail "no page"
contains "table" EQUIVALENT "$(bench report "$SCRATCH/r.jsonl")"
contains "tsv" "$(printf '\nrate\t')" "$(bench report "$SCRATCH/r.jsonl" -o tsv)"

# --- files of two sessions: Welch, and said
for name in host guest; do
  FAKE_OVERHEAD=$([ $name = guest ] && echo 0.03 || echo 0) bench run --workload "$FAKE" --suite shoc --runs 5 \
    --save "$SCRATCH/$name.jsonl" >"$SCRATCH/out" 2>&1 || fail "$(cat "$SCRATCH/out")"
done
contains "run shows its figures" "GFLOPS" "$(cat "$SCRATCH/out")"
bench compare "host=$SCRATCH/host.jsonl" "guest=$SCRATCH/guest.jsonl" -o json >"$SCRATCH/r.json"
equal "files: not paired, found" "False {'OVERHEAD'}" "$(of "f\"{r['targets'][0]['paired']} {set(s['verdict'] for s in r['targets'][0]['summaries'])}\"")"
contains "files: said" "not paired" "$(bench report "$SCRATCH/host.jsonl" "$SCRATCH/guest.jsonl")"

# --- a live target against a file
compare native "then=$SCRATCH/host.jsonl" --suite shoc --pairs 3 -o json >"$SCRATCH/r.json" 2>/dev/null
equal "live against a file" "False {'EQUIVALENT'}" "$(of "f\"{r['targets'][0]['paired']} {set(s['verdict'] for s in r['targets'][0]['summaries'])}\"")"

# --- two pairs say nothing
compare native same='env A=b' --program Alpha --pairs 2 -o json >"$SCRATCH/r.json" 2>/dev/null
equal "two pairs: no interval, no verdict" "[None] {'INCONCLUSIVE'} False" \
  "$(of "f\"{[s['t'][1] for s in r['targets'][0]['summaries']][:1]} {set(s['verdict'] for s in r['targets'][0]['summaries'])} {r['quiet']}\"")"

# --- throttled pairs are dropped and counted, for no other reason
status=0
compare native hot='env FAKE_THROTTLE=64' --program Alpha --pairs 3 -o json >"$SCRATCH/r.json" 2>/dev/null || status=$?
equal "all throttled: nothing was compared, and the status says so" 1 $status
equal "throttled runs are dropped and counted" "3 0" "$(of "f\"{len(r['dropped'])} {len(r['targets'][0]['metrics'])}\"")"
compare native capped='env FAKE_THROTTLE=4' --program Alpha --pairs 3 -o json >"$SCRATCH/r.json" 2>/dev/null
equal "the usual power cap is no reason" "0" "$(of "len(r['dropped'])")"

# --- a noisy machine says so
noisy=$(FAKE_NOISE=0.08 compare native same='env A=b' --program Alpha --pairs 4 2>/dev/null)
contains "noise is said" "noisy" "$noisy"

# --- what a device cannot run is not a failure
status=0
compare native none='env FAKE_FAULT=unsupported' --program Alpha --pairs 3 -o json >"$SCRATCH/r.json" 2>/dev/null || status=$?
equal "nothing can run: nothing was compared, and the status says so" 1 $status
equal "skipped is not failed" "1 0" "$(of "f\"{len(r['skipped'])} {len(r['failed'])}\"")"

contains "list" "Alpha" "$(bench list --workload "$FAKE")"
equal "list -o json" 5 "$(bench list --workload "$FAKE" -o json | wc -l)"
