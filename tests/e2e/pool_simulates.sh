# A trace is made, kept, replayed, and says the same again; what is wrong with one is said with its line.
. "$(dirname "$0")/lib.sh"
simulate() { "$BIN/nearmetal" pool simulate "$@"; }
# field FILE POLICY KEY...: of the JSON
field() {
  python3 -c 'import json, sys
value = next(p for p in json.load(open(sys.argv[1]))["policies"] if p["policy"] == sys.argv[2])
for key in sys.argv[3:]: value = value[key]
print(value)' "$@"
}

simulate --generate --gpus 200 --claims 1500 --seed 7 --save "$SCRATCH/t.jsonl" -o json >"$SCRATCH/made.json"
simulate "$SCRATCH/t.jsonl" -o json >"$SCRATCH/read.json"
for policy in pack first-fit best-fit; do
  equal "served by $policy" 1500 "$(field "$SCRATCH/made.json" $policy served)"
  for key in utilisation fragmentation makespan_ms taken_back; do
    equal "$policy: $key, made and read" "$(field "$SCRATCH/made.json" $policy $key)" "$(field "$SCRATCH/read.json" $policy $key)"
  done
  [ "$(field "$SCRATCH/made.json" $policy decision_us max)" != 0.0 ] || fail "no decision was timed"
done

printf 'at,runs,gpus\n0,10,2\n0,10,2\n' >"$SCRATCH/two.csv"
out=$(simulate "$SCRATCH/two.csv" --gpus 2 --model "NVIDIA H200" --policy pack)
contains "the table" "2 GPUs on 1 host; 2 claims" "$out"
contains "the second waits for the first" "10s" "$out"
contains "standard input" "2 GPUs on 1 host" "$(simulate - --gpus 2 <"$SCRATCH/two.csv")"

# wrong STATUS PART ARGS...
wrong() {
  local expected=$1 part=$2 status=0 out
  shift 2
  out=$(simulate "$@" 2>&1 </dev/null) || status=$?
  [ "$status" = "$expected" ] || fail "$*: status $status instead of $expected: $out"
  contains "$*" "$part" "$out"
}
wrong 2 'There is no trace to replay'
wrong 2 'not in {pack,spread,first-fit,best-fit}' --generate --policy luck
wrong 2 'excludes' --generate "$SCRATCH/two.csv"
wrong 1 'none.csv: No such file or directory. Check the path' "$SCRATCH/none.csv"
wrong 1 'Is a directory' "$SCRATCH"
wrong 1 'Name a file that is not there yet' "$SCRATCH/two.csv" --save "$SCRATCH/two.csv"
printf 'at,runs,gpus\n0,10,many\n' >"$SCRATCH/bad.csv"
wrong 1 'bad.csv: Line 2, column gpus: "many" is not a whole number' "$SCRATCH/bad.csv"
status=0
out=$("$BIN/nearmetal" pool frobnicate 2>&1) || status=$?
equal "an unknown verb" 2 "$status"
contains "an unknown verb" '`nearmetal pool` has no verb "frobnicate"' "$out"
