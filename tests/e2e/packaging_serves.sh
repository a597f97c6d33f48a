# The example configuration and the systemd unit are what a server takes, and tell the service manager when it is ready.
. "$(dirname "$0")/lib.sh"
packaging=$(dirname "$(readlink -f "$0")")/../../packaging

# Every key of the file, those that it only mentions too.
sed -e "s|unix:/[^\"]*|unix:$SCRATCH/s|" -e 's|driver = "auto"|driver = "soft"|' "$packaging/nearmetald.toml" >"$SCRATCH/example.toml"
sed -e 's|^# \([a-z_]* = \)|\1|' -e 's|"video"|"no-such-group"|' "$SCRATCH/example.toml" >"$SCRATCH/all.toml"
status=0
out=$("$BIN/nearmetald" --config "$SCRATCH/all.toml" 2>&1) || status=$?
contains "every key is known, as far as the first value that cannot be" "--nvml /path/to/libnvidia-ml.so.1: No such file" "$out"

python3 - "$BIN/nearmetald" "$SCRATCH" <<'PY'
import os, signal, socket, subprocess, sys
program, scratch = sys.argv[1:]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(scratch + "/notify")
manager.settimeout(20)
server = subprocess.Popen([program, "--config", scratch + "/example.toml"],
                          env=dict(os.environ, NOTIFY_SOCKET=scratch + "/notify"), stderr=open(scratch + "/server.log", "w"))
try:
    assert b"READY=1" in manager.recv(4096)
    assert os.path.exists(scratch + "/s"), "ready without a socket"
    print("ok: ready is said when the socket is there")
finally:
    server.send_signal(signal.SIGTERM)
assert b"STOPPING=1" in manager.recv(4096)
assert server.wait(20) == 0
print("ok: stopping is said")
PY

if command -v systemd-analyze >/dev/null; then
  sed "s|/opt/nearmetal/bin|$BIN|" "$packaging/nearmetald.service" >"$SCRATCH/nearmetald.service"
  equal "systemd finds nothing wrong with the unit" "" "$(systemd-analyze verify --man=no "$SCRATCH/nearmetald.service" 2>&1)"
fi
