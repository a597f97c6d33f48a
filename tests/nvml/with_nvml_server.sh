# with_nvml_server.sh BUILD NVML PROGRAM ARGS...: runs PROGRAM through a server that serves the library NVML.
set -euo pipefail
build=$1 nvml=$2
shift 2
scratch=$(mktemp -d)
# No worker is kept warm, so the CUDA driver named here is never loaded.
FAKE_NVML_DIES=1 "$build/bin/nearmetald" --listen "unix:$scratch/s" --driver "$nvml" --nvml "$nvml" --warm 0 2>"$scratch/log" &
server=$!
finish() {
  local status=$?
  kill -KILL $server 2>/dev/null || true
  wait $server 2>/dev/null || true
  [ $status = 0 ] || { echo "--- the server's log"; tail -30 "$scratch/log"; }
  rm -rf "$scratch"
}
trap finish EXIT
for _ in $(seq 200); do
  [ -S "$scratch/s" ] && break
  kill -0 $server 2>/dev/null || { echo "the server did not start"; exit 1; }
  sleep 0.05
done
NEARMETAL_SERVER=unix:$scratch/s LD_LIBRARY_PATH=$build/lib/nearmetal "$@"
