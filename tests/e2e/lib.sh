# What the end-to-end tests share. Sourced with the build directory as $1.
set -euo pipefail

BUILD=$(readlink -f "$1")
BIN=$BUILD/bin
SCRATCH=$(mktemp -d)
SERVER_PID=""
# A test decides for itself where the server is.
unset NEARMETAL_SERVER CUDA_VISIBLE_DEVICES LD_PRELOAD LD_LIBRARY_PATH
export XDG_CONFIG_HOME=$SCRATCH/no-config XDG_CACHE_HOME=$SCRATCH/no-cache

finish() {
  local status=$?
  if [ -n "$SERVER_PID" ]; then
    kill -KILL "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
  fi
  if [ $status != 0 ] && [ $status != 77 ] && [ -f "$SCRATCH/server.log" ]; then
    echo "--- the server's log"
    tail -30 "$SCRATCH/server.log"
  fi
  rm -rf "$SCRATCH"
}
trap finish EXIT

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }

# 1: it ended instead of listening.
try_server() {
  "$BIN/nearmetal" serve --listen "unix:$SCRATCH/s" --driver soft "$@" 2>>"$SCRATCH/server.log" &
  SERVER_PID=$!
  for _ in $(seq 200); do
    [ -S "$SCRATCH/s" ] && break
    if ! kill -0 $SERVER_PID 2>/dev/null; then
      SERVER_PID=""
      return 1
    fi
    sleep 0.05
  done
  export NEARMETAL_SERVER=unix:$SCRATCH/s
}

# The software GPU at unix:$SCRATCH/s, which is NEARMETAL_SERVER from here on. More options may follow.
start_server() { try_server "$@" || fail "the server did not start"; }

# Also at tcp:127.0.0.1:$PORT. The port was free a moment ago; if somebody was quicker, another one.
start_server_tcp() {
  for _ in 1 2 3; do
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    try_server --listen "tcp:127.0.0.1:$PORT" "$@" && return
  done
  fail "the server did not start"
}

run() { "$BIN/nearmetal" run -- "$@"; }

# equal WHAT EXPECTED ACTUAL
equal() {
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
  echo "ok: $1"
}

# contains WHAT PART TEXT
contains() {
  [[ "$3" == *"$2"* ]] || fail "$1: \"$2\" is not in: $3"
  echo "ok: $1"
}

# Prints the name of device 0 as the libcuda.so.1 that the program finds tells it. $PYTHON_PROBE is the program.
read -r -d '' PYTHON_PROBE <<'END' || true
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
name, device = ctypes.create_string_buffer(100), ctypes.c_int()
for what in (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0), cuda.cuDeviceGetName(name, 100, device)):
    assert what == 0, what
print(name.value.decode(), flush=True)
END
