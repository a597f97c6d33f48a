# A server whose driver does not start says so to every client at once, and goes on running. One that is given something
# else than a driver does not begin.
. "$(dirname "$0")/lib.sh"
fake=$BUILD/src/cmd/libnm_fake_driver.so
FAKE_DRIVER_INIT=999 "$BIN/nearmetald" --listen "unix:$SCRATCH/s" --driver "$fake" 2>"$SCRATCH/server.log" &
SERVER_PID=$!
for _ in $(seq 100); do [ -S "$SCRATCH/s" ] && break; sleep 0.05; done
export NEARMETAL_SERVER=unix:$SCRATCH/s

for attempt in first second; do
  status=0
  out=$(timeout 20 "$BIN/nearmetal" gpus 2>&1) || status=$?
  equal "$attempt attempt: status" 1 $status
  contains "$attempt attempt: a sentence" "The server's driver does not start: cuInit answered 999" "$out"
done
kill -0 $SERVER_PID || fail "the server has ended"
contains "the log names the library" "$fake" "$(cat "$SCRATCH/server.log")"

status=0
out=$("$BIN/nearmetald" --driver /nonexistent/libcuda.so.1 2>&1) || status=$?
equal "a driver that is not there: status" 2 $status
contains "a driver that is not there: a sentence" "--driver /nonexistent/libcuda.so.1: No such file" "$out"

status=0
out=$("$BIN/nearmetald" --driver "$BUILD/src/cmd/libnm_other_library.so" 2>&1) || status=$?
equal "a library that is no driver: status" 2 $status
contains "a library that is no driver: a sentence" "is not a CUDA driver. Give the path of a libcuda.so.1" "$out"
