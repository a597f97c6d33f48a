# A user's own commands as benchmarks: numbers are read from what they print, under any target.
. "$(dirname "$0")/lib.sh"

mkdir "$SCRATCH/mine"
cat >"$SCRATCH/mine/program" <<'END'
#!/bin/sh
# Prints numbers as programs do, half as high where SLOW is set.
echo "step 1: warming up at 1.0 steps/s"
scale=${SLOW:-1}
for n in 1 2 3; do echo "step $n: running at $((100 * n / n / scale)).$((RANDOM % 3)) steps/s"; done
echo "{\"timing\": {\"ms\": [7.$n, 8]}, \"scale\": $scale}"
echo "All atoms accounted for."
[ -z "$FAULT" ] || eval "$FAULT"
END
sed -i "1s/.*/#!\/bin\/bash/" "$SCRATCH/mine/program"
chmod +x "$SCRATCH/mine/program"
cat >"$SCRATCH/mine/s.toml" <<'END'
[[scenario]]
name = "atoms"
command = ["{dir}/program", "some words"]
reads = [
  { regex = 'at ([0-9.]+) steps/s', unit = "steps/s", metric = "speed" },
  { json = "/timing/ms", unit = "ms", better = "lower", metric = "time" },
]
check = { regex = "^All atoms" }
warmup = 1
timeout = 20
END
scenario() { "$BIN/nearmetal" bench compare --scenario "$SCRATCH/mine/s.toml" --pairs 3 "$@"; }

scenario native slow='env SLOW=2' -o json --save "$SCRATCH/s.jsonl" >"$SCRATCH/r.json" 2>"$SCRATCH/err" || fail "$(cat "$SCRATCH/err")"
of() { json "$1" <"$SCRATCH/r.json"; }
equal "metrics" "['speed', 'time']" "$(of "[m['metric'] for m in r['targets'][0]['metrics']]")"
equal "half as fast" True "$(of "0.48 < r['targets'][0]['metrics'][0]['ratio'] < 0.52")"
equal "the first value is left out" "3 [8.0]" \
  "$(python3 -c "
import json; run = [json.loads(l) for l in open('$SCRATCH/s.jsonl')][2]
print(len(run['samples'][0]['values']), run['samples'][1]['values'])")"
contains "report of scenarios" "against native" "$(bench report "$SCRATCH/s.jsonl" 2>&1)"

bad() { local part=$1; shift; wrong 1 "$part" "$BIN/nearmetal" bench compare --scenario "$SCRATCH/mine/s.toml" --pairs 2 native "$@"; }
bad 'exited with status 3, not 0' 'x=env FAULT="exit 3"'
bad 'was ended by signal 9' 'x=env FAULT="kill -9 $$"'
bad 'did not end within 0.4 s' 'x=env FAULT="sleep 30"' --timeout 0.4
bad 'Target x does not start' 'x=env -u PATH /nonexistent'
sed -i 's/All atoms/No atoms/' "$SCRATCH/mine/s.toml"
bad "No line of its output is what the scenario's check asks for" same='env A=b'
sed -i 's/^check.*//; s/warmup = 1/warmup = 9/' "$SCRATCH/mine/s.toml"
bad 'has 4 values of speed, and 9 are left out to warm up' same='env A=b'

file() { cat >"$SCRATCH/bad.toml"; wrong 1 "$1" "$BIN/nearmetal" bench run --scenario "$SCRATCH/bad.toml"; }
file 'has no [[scenario]]' <<<''
file 'bad.toml:1: unknown key "scenery"' <<<'scenery = 1'
file 'needs name, command and reads' <<<'[[scenario]]'
file 'unknown key "comand"' <<<$'[[scenario]]\nname = "a"\ncomand = "b"'
file 'needs either regex or json' <<<$'[[scenario]]\nname = "a"\ncommand = "b"\nreads = { unit = "s" }'
file 'needs a group' <<<$'[[scenario]]\nname = "a"\ncommand = "b"\nreads = { regex = "x" }'
file 'is not right' <<<$'[[scenario]]\nname = "a"\ncommand = "b"\nreads = { regex = "((" }'
file 'must be "higher" or "lower"' <<<$'[[scenario]]\nname = "a"\ncommand = "b"\nbetter = "more"\nreads = { regex = "(x)" }'
file 'two readings need two names' <<<$'[[scenario]]\nname = "a"\ncommand = "b"\nreads = [{ regex = "(x)" }, { regex = "(y)" }]'
wrong 1 'none.toml: No such file' "$BIN/nearmetal" bench run --scenario "$SCRATCH/none.toml"

# Those that are shipped can be read: their command is what fails here.
for shipped in pytorch lammps; do
  out=$("$BIN/nearmetal" bench run --scenario "$(dirname "$0")/../../scenarios/$shipped.toml" --timeout 20 2>&1) || true
  contains "scenarios/$shipped.toml" "native: $shipped" "$out"
done
