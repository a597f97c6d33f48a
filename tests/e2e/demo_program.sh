# The demo program computes the same through nearmetal as directly on the software GPU.
. "$(dirname "$0")/lib.sh"
program=$BUILD/tests/programs/nm_demo_program
start_server
native=$(LD_LIBRARY_PATH=$BUILD/lib/nearmetal/softgpu "$program" --json)
remote=$(NEARMETAL_STATS=1 "$BIN/nearmetal" run -- "$program" --json 2>"$SCRATCH/stats")
contains "right natively" '"right": true' "$native"
contains "right through nearmetal" '"right": true' "$remote"
calls=$(sed -n 's/.*"calls": \([0-9]*\).*/\1/p' <<<"$remote")
waited=$(sed -n 's/.*waited=\([0-9]*\).*/\1/p' "$SCRATCH/stats")
echo "$calls calls, $waited round trips"
[ "$calls" -gt 5000 ] || fail "the program made only $calls calls"
[ "$waited" -lt 100 ] || fail "$waited round trips: launches wait for replies"
grep -qE '^nearmetal: nm_launch +5[0-9]{3} +0 ' "$SCRATCH/stats" || fail "the counters do not say that launches were posted: $(cat "$SCRATCH/stats")"
