# A hundred programs that start at once all get a session.
. "$(dirname "$0")/lib.sh"
start_server
pids=()
for i in $(seq 100); do
  "$BIN/nearmetal" run -- python3 -c "$PYTHON_PROBE" >"$SCRATCH/out.$i" 2>"$SCRATCH/err.$i" &
  pids+=($!)
done
failed=0
for i in $(seq 100); do
  wait "${pids[$((i - 1))]}" || { failed=$((failed + 1)); cat "$SCRATCH/err.$i"; }
done
equal "programs that failed" 0 $failed
equal "names of devices seen" 1 "$(cat "$SCRATCH"/out.* | sort -u | wc -l)"
equal "answers" 100 "$(cat "$SCRATCH"/out.* | wc -l)"
