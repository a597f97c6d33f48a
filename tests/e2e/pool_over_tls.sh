# Programs through an encrypted connection on loopback: large copies, host functions and random programs give what they
# give without it, who is not of the pool gets in nowhere, and of a program's courier nothing is left.
. "$(dirname "$0")/lib.sh"
unset XDG_RUNTIME_DIR
export TMPDIR=$SCRATCH/tmp NEARMETAL_POOL_DIR=$SCRATCH/pool
mkdir "$TMPDIR"
nm() { "$BIN/nearmetal" "$@"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
refused() { local what=$1 part=$2 status=0 out; shift 2; out=$("$@" 2>&1) || status=$?; equal "$what: status" 125 $status; contains "$what" "$part" "$out"; }

for attempt in 1 2 3; do
  PORT=$(free_port)
  rm -rf "$NEARMETAL_POOL_DIR"
  contains "a pool is made" "Made pool" "$(nm pool init --address "127.0.0.1:$PORT")"
  try_server --listen "tls:127.0.0.1:$PORT" --pool "$NEARMETAL_POOL_DIR" && break
  [ $attempt -lt 3 ] || fail "the server did not start"
done
plain=$NEARMETAL_SERVER
export NEARMETAL_SERVER=tls:127.0.0.1:$PORT
log() { cat "$SCRATCH/server.log"; }

contains "gpus are listed" "GPU" "$(nm gpus)"
"$BUILD/tests/programs/nm_demo_program" >/dev/null 2>&1 || true
equal "the demo program runs" 0 "$(run "$BUILD/tests/programs/nm_demo_program" >/dev/null && echo 0 || echo 1)"
equal "a program sees the software GPU" "$(NEARMETAL_SERVER=$plain run python3 -c "$PYTHON_PROBE")" "$(run python3 -c "$PYTHON_PROBE")"
contains "the server knows who it is" '"from": "tcp:127.0.0.1:' "$(run python3 -c "$PYTHON_PROBE
import subprocess, sys; print(subprocess.run(['$BIN/nearmetal', 'top', '--once', '--delay', '0.1', '-o', 'json'], capture_output=True, text=True).stdout)")"

# 8 MiB there and back, on lanes, and a function of the host's on a stream.
cat >"$SCRATCH/copies.py" <<'PYTHON'
import ctypes, os
cuda = ctypes.CDLL("libcuda.so.1")
def ok(result): assert result == 0, result
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
ok(cuda.cuInit(0)), ok(cuda.cuDeviceGet(ctypes.byref(device), 0)), ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
ok(cuda.cuCtxSetCurrent(context))
there = os.urandom(8 << 20)
back = ctypes.create_string_buffer(len(there))
ok(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(len(there))))
ok(cuda.cuMemcpyHtoD_v2(memory, there, ctypes.c_size_t(len(there))))
ok(cuda.cuMemcpyDtoH_v2(back, memory, ctypes.c_size_t(len(there))))
assert back.raw == there
called = []
function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: called.append(1))
ok(cuda.cuLaunchHostFunc(None, function, None)), ok(cuda.cuCtxSynchronize())
assert called == [1]
print("good")
PYTHON
equal "large copies and host functions" good "$(run python3 "$SCRATCH/copies.py")"

# --- somebody else joins
token=$(nm pool invite --user bob 2>/dev/null)
bob=$SCRATCH/bob
contains "bob joins" "as user bob" "$(nm pool join --dir "$bob" - <<<"$token")"
contains "the token counts once" "The token has been used" "$(nm pool join --dir "$SCRATCH/eve" "$token" 2>&1 || true)"
as_bob() { NEARMETAL_POOL_DIR=$bob "$@"; }
equal "bob's program runs" good "$(as_bob run python3 "$SCRATCH/copies.py")"
contains "the audit log has it" '"event":"session","who":"user bob"' "$(cat "$NEARMETAL_POOL_DIR/audit.jsonl")"

# --- the program ends before those that it started
run sh -c "(sleep 0.3; exec python3 '$SCRATCH/copies.py' >'$SCRATCH/later' 2>&1) &" </dev/null >/dev/null
for _ in $(seq 600); do [ -s "$SCRATCH/later" ] && break; sleep 0.1; done
equal "what a program leaves behind still reaches the server" good "$(cat "$SCRATCH/later")"

# --- nobody else
printf '[[allow]]\nusers = ["somebody-else"]\n' >"$NEARMETAL_POOL_DIR/policy.toml"
contains "the policy counts at once" "has no rule that lets user bob" "$(as_bob run python3 -c "$PYTHON_PROBE" 2>&1 || true)"
rm "$NEARMETAL_POOL_DIR/policy.toml"
nm pool revoke bob >/dev/null
for _ in $(seq 100); do as_bob run true >/dev/null 2>&1 || break; sleep 0.1; done
refused "bob is revoked" "The certificate of user bob was revoked" as_bob run true
nm pool init --dir "$SCRATCH/other" >/dev/null
refused "another pool" "was not issued by this pool's authority" env NEARMETAL_POOL_DIR="$SCRATCH/other" "$BIN/nearmetal" run -- true
refused "a plain server" "nearmetal server" env NEARMETAL_SERVER=tls:127.0.0.1:1 "$BIN/nearmetal" run -- true
python3 - "$PORT" <<'PYTHON'
import socket, ssl, sys
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["nearmetal/1"])
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])))) as s:
            assert s.recv(1) == b"", "a stranger was let in"
            raise ssl.SSLError("closed")
    except (ssl.SSLError, ConnectionError) as error:
        print(f"ok: a stranger with {version.name}: {error.__class__.__name__}")
PYTHON
contains "it is logged" "Refused a connection (tcp:127.0.0.1:" "$(log)"
equal "the service goes on" good "$(run python3 "$SCRATCH/copies.py")"

# --- nothing is left
for _ in $(seq 300); do [ -z "$(ls -A "$TMPDIR")" ] && break; sleep 0.1; done
equal "no courier is left" "" "$(ls -A "$TMPDIR")"
children=$(cat /proc/$SERVER_PID/task/$SERVER_PID/children)
kill -TERM $SERVER_PID
status=0
wait $SERVER_PID || status=$?
SERVER_PID=""
equal "the server ends well" 0 $status
for pid in $children; do
  if [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; then fail "process $pid of the server is still there"; fi
done
echo "ok: no process"
