# Real benchmark programs through real ways: natively on the software GPU, through rings and through TCP. Everything is
# measured, checked and compared; what is said of speed on this machine is nobody's business here.
. "$(dirname "$0")/lib.sh"
start_server_tcp

# `native` is what the loader finds: the software GPU.
export LD_LIBRARY_PATH=$BUILD/lib/nearmetal/softgpu
status=0
"$BIN/nearmetal" bench compare native "rings=run --server $NEARMETAL_SERVER" "tcp=run --server tcp:127.0.0.1:$PORT" \
  --program Reduction --program Scan --program BFS --program HostCopies --pairs 3 --passes 2 \
  --save "$SCRATCH/r.jsonl" --html "$SCRATCH/r.html" -o json >"$SCRATCH/r.json" 2>"$SCRATCH/err" || status=$?
[ $status = 0 ] || fail "status $status: $(tail -5 "$SCRATCH/err")"
of() { python3 -c "import json; r = json.load(open('$SCRATCH/r.json')); print($1)"; }
equal "both ways were compared" "['rings', 'tcp']" "$(of "[t['label'] for t in r['targets']]")"
equal "nothing failed" "[]" "$(of "r['failed']")"
equal "the same figures through both" True "$(of "[m['metric'] for m in r['targets'][0]['metrics']] == [m['metric'] for m in r['targets'][1]['metrics']]")"
equal "every figure has three pairs" "{3}" "$(of "{len(m['reference']) for t in r['targets'] for m in t['metrics']}")"
python3 - "$SCRATCH/r.jsonl" <<'END'
import json, sys
runs = [line for line in map(json.loads, open(sys.argv[1])) if line["line"] == "run"]
assert runs and all(run["checks"] and all(check["ok"] for check in run["checks"]) for run in runs)
assert len({run["device"]["uuid"] for run in runs}) == 1, "another GPU in between"
print(f"ok: {len(runs)} processes, all of their results right, all on one GPU")
END
contains "the page shows what the ways cost" 'class="mark"' "$(cat "$SCRATCH/r.html")"
contains "the table has the levels" "level 1" "$("$BIN/nearmetal" bench report "$SCRATCH/r.jsonl")"

# A device that is not there is a sentence.
unset LD_LIBRARY_PATH
out=$("$BIN/nearmetal" bench run --program Reduction 2>&1) && fail "a run without a device ended with 0: $out"
contains "no device" "Reduction" "$out"
out=$("$BIN/nearmetal" bench compare native "same=env A=b" --program Reduction --pairs 2 2>&1) && fail "a comparison of nothing ended with 0: $out"
contains "nothing compared" "Nothing was compared" "$out"
