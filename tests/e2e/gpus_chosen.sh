# --gpus and CUDA_VISIBLE_DEVICES choose among the server's GPUs as they do natively: what names nothing ends the list, an
# empty list is CUDA_ERROR_NO_DEVICE, and the server goes on.
. "$(dirname "$0")/lib.sh"
export NEARMETAL_SOFTGPU_DEVICES=3
start_server

count='
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
n = ctypes.c_int(-1)
print(cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(n)), n.value)'
# chosen GPUS: what cuInit and cuDeviceGetCount answer, and the count; what the library says goes to $SCRATCH/said.
chosen() { "$BIN/nearmetal" run --gpus "$1" -- python3 -c "$count" 2>"$SCRATCH/said"; }

equal "all" "0 0 3" "$(run python3 -c "$count")"
equal "one" "0 0 1" "$(chosen 2)"
equal "two" "0 0 2" "$(chosen 2,0)"
equal "the list ends at a GPU that is not there" "0 0 1" "$(chosen 1,9,2)"
equal "a UUID" "0 0 1" "$(chosen "$("$BIN/nearmetal" gpus -o json | sed -n 's/.*"uuid": "\(.*\)".*/\1/p' | tail -1)")"
for again in 1 2 3 4; do
  equal "none is there, attempt $again" "100 3 -1" "$(chosen 9)"
  contains "a sentence says why" "has no GPU that CUDA_VISIBLE_DEVICES=9 names" "$(cat "$SCRATCH/said")"
done
equal "an empty wish" "100 3 -1" "$(CUDA_VISIBLE_DEVICES= run python3 -c "$count" 2>"$SCRATCH/said")"
equal "an empty wish needs no sentence" "" "$(cat "$SCRATCH/said")"
equal "the others go on" "0 0 3" "$(run python3 -c "$count")"
[[ "$(cat "$SCRATCH/server.log")" != *" error "* ]] || fail "the server took it for an error"
echo "ok: no error in the log"
