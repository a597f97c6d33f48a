# The software GPU carries no programs of the CUDA runtime. Such a program is told so once, on its own stderr, with what
# to do; nobody else is, and nothing of it stands in the server's log.
. "$(dirname "$0")/lib.sh"
start_server --log-level debug

# What an embedded runtime does first: it asks for the driver's table, here twice.
ask='
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
runtime = bytes.fromhex("6bd5fb6c5bf4e74a8987d93912fd9df9")
for _ in range(2):
    table = ctypes.c_void_p()
    answer = cuda.cuGetExportTable(ctypes.byref(table), runtime)
    print(answer, table.value, flush=True)
'
sentence='asks for a genuine NVIDIA driver and will not start; serve a real GPU'

said=$(run python3 -c "$ask" 2>&1 >"$SCRATCH/answers")
equal "the tables are refused" "$(printf '1 None\n1 None')" "$(cat "$SCRATCH/answers")"
equal "one line is said" 1 "$(printf '%s\n' "$said" | wc -l)"
contains "it says what to do" "$sentence" "$said"
contains "it names the server" "the server at $NEARMETAL_SERVER serves \"nearmetal software GPU\"" "$said"

said=$(NEARMETAL_QUIET=1 run python3 -c "$ask" 2>&1 >/dev/null)
equal "NEARMETAL_QUIET silences it" "" "$said"

said=$(run python3 -c "$PYTHON_PROBE" 2>&1)
equal "a program of the driver API hears nothing" "nearmetal software GPU" "$said"

said=$(LD_LIBRARY_PATH=$BUILD/lib/nearmetal/softgpu python3 -c "$ask" 2>&1 >/dev/null)
equal "without a server: one line" 1 "$(printf '%s\n' "$said" | wc -l)"
contains "without a server: what to do" "$sentence" "$said"

kill -TERM "$SERVER_PID"
wait "$SERVER_PID" || fail "the server ended with status $?"
SERVER_PID=""
log=$(cat "$SCRATCH/server.log")
[[ "$log" != *"will not start"* ]] || fail "the server's log speaks of a runtime: $log"
echo "ok: the server's log does not speak of it"
