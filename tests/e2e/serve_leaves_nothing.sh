# A server that is told to stop leaves no process, no socket and no shared memory, whatever its sessions were doing.
. "$(dirname "$0")/lib.sh"
before=$(ls /dev/shm | sort)
start_server --drain-seconds 1

descendants() {
  local child
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do echo "$child"; descendants "$child"; done
}

# One session that ends by itself, one killed in the middle, one that stays.
run "$BUILD/tests/programs/nm_demo_program" >/dev/null
# exec, so that what is killed is the program itself and not a subshell.
(exec "$BIN/nearmetal" run -- python3 -c "$PYTHON_PROBE
import time; time.sleep(60)" >"$SCRATCH/killed") &
killed=$!
(exec "$BIN/nearmetal" run -- python3 -c "$PYTHON_PROBE
import time; time.sleep(60)" >"$SCRATCH/stays") &
stays=$!
for _ in $(seq 100); do [ -s "$SCRATCH/killed" ] && [ -s "$SCRATCH/stays" ] && break; sleep 0.1; done
[ -s "$SCRATCH/stays" ] || fail "the sessions did not start"
kill -KILL $killed
workers=$(descendants $SERVER_PID)
[ -n "$workers" ] || fail "the server has no workers"

kill -TERM $SERVER_PID
status=0
wait $SERVER_PID || status=$?
SERVER_PID=""
kill -KILL $stays 2>/dev/null || true
equal "the server's status" 0 $status
[ ! -e "$SCRATCH/s" ] || fail "the socket is still there"
echo "ok: no socket"
for pid in $workers; do
  if [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; then fail "worker $pid is still there"; fi
done
echo "ok: no process"
equal "no shared memory" "$before" "$(ls /dev/shm | sort)"
