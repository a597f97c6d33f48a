# attach, detach, release, recover and status from the command line: on a machine of files, with a real QEMU where there
# is one. It has no such device, so what is seen here is everything up to its refusal, and that all is undone.
. "$(dirname "$0")/lib.sh"
export NEARMETAL_STATE_DIR=$SCRATCH/state
"$BUILD/src/inventory/nm_fake_host" a100-vfs "$SCRATCH/host"
QEMU_PID=""
fake() { NM_FAKE_ROOT=$SCRATCH/host "$BUILD/src/cmd/nm_attach_crash" "$@"; }
driver() { basename "$(readlink "$SCRATCH/host/sys/bus/pci/devices/$1/driver")"; }
# refused PART COMMAND...: status 1, and a sentence
refused() {
  local part=$1 status=0 out
  shift
  out=$("$@" 2>&1) || status=$?
  [ $status = 1 ] || fail "$*: status $status instead of 1: $out"
  contains "${*##*/}" "$part" "$out"
}
trap '[ -z "$QEMU_PID" ] || kill -KILL $QEMU_PID 2>/dev/null || true; finish' EXIT

for verb in attach detach release recover status; do
  contains "$verb --help has an example" "Example:" "$("$BIN/nearmetal" $verb --help)"
done
status=0; "$BIN/nearmetal" attach 2>/dev/null || status=$?
equal "a mistake in the command line has its own status" 2 $status
refused '"65:00" names no GPU' fake attach 65:00 --vm train1
refused 'There is no virtual machine "nobody"' fake attach 41:00.6 --vm nobody
refused 'No such file or directory. Is the virtual machine running' fake attach 41:00.6 --vm "$SCRATCH/none"
equal "nothing is made by what is refused" "" "$(ls "$SCRATCH/state" 2>/dev/null | grep -v -e state.db -e lock || true)"
contains "status as a table" "0000:41:00.4" "$(fake status)"
fake status -o json | python3 -c '
import json, sys
rows = {g["gpu"]: g for g in json.load(sys.stdin)["gpus"]}
assert rows["0000:41:00.4"]["state"] == "attached", rows
assert "not by nearmetal" in rows["0000:41:00.4"]["remark"], rows
assert rows["0000:41:00.6"]["state"] == "host", rows'
echo "ok: status as JSON"
equal "nothing to recover" "There is nothing to recover." "$(fake recover)"

if ! command -v qemu-system-x86_64 >/dev/null; then
  echo "no QEMU here: the rest is left out"
  exit 0
fi
qemu-system-x86_64 -S -machine q35 -accel tcg -m 64 -nodefaults -display none -name guest=train9 \
  -qmp "unix:$SCRATCH/qmp,server=on,wait=off" -device pcie-root-port,id=rp1,chassis=1,slot=1 </dev/null >"$SCRATCH/qemu.log" 2>&1 &
QEMU_PID=$!
for _ in $(seq 600); do
  [ -S "$SCRATCH/qmp" ] && break
  kill -0 $QEMU_PID || fail "QEMU ended: $(cat "$SCRATCH/qemu.log")"
  sleep 0.1
done
before=$(driver 0000:41:00.6)
plan=$(fake attach 41:00.6 --vm "$SCRATCH/qmp" --dry-run)
contains "a plan is commands" "echo vfio-pci > /sys/bus/pci/devices/0000:41:00.6/driver_override" "$plan"
contains "the port was found" '"bus":"rp1"' "$plan"
bash -n <<<"$plan"
echo "ok: the plan is a script"
refused 'All is as it was before.' fake attach 41:00.6 --vm "$SCRATCH/qmp"
equal "its driver is back" "$before" "$(driver 0000:41:00.6)"
equal "nothing is left in the journal" "There is nothing to recover." "$(fake recover)"

# Killed in the middle, it is recovered, and refused until then.
status=0; NM_DIE_AT=6 fake attach 41:00.6 --vm "$SCRATCH/qmp" >/dev/null 2>&1 || status=$?
equal "killed" 137 $status
equal "in the middle" vfio-pci "$(driver 0000:41:00.6)"
contains "status says so" interrupted "$(fake status)"
refused 'was interrupted. Run `nearmetal recover` first.' fake attach 41:00.6 --vm "$SCRATCH/qmp"
contains "recovered" "its interrupted attach has been undone." "$(fake recover)"
equal "its driver is back again" "$before" "$(driver 0000:41:00.6)"

# This very machine sees that QEMU by its name.
if [ "$("$BIN/nearmetal" gpus --local -o json | grep -c '"address"')" = 0 ]; then
  refused 'There is no GPU number 0' "$BIN/nearmetal" attach 0 --vm train9
fi
