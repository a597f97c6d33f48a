# `nearmetal vm run` starts a real QEMU, pins it, keeps others of its name away, and leaves nothing behind. No GPU is needed
# and the processor is emulated.
. "$(dirname "$0")/lib.sh"
command -v qemu-system-x86_64 >/dev/null || skip "there is no QEMU"
HERE=$(dirname "$0")
VM_PID=""
finish_vm() {
  [ -z "$VM_PID" ] || { kill -KILL "$VM_PID" 2>/dev/null || true; wait "$VM_PID" 2>/dev/null || true; }
  finish
}
trap finish_vm EXIT

vm() { "$BIN/nearmetal" vm run --directory "$SCRATCH/run" --accel tcg "$@"; }
# start ARGS...: in the background; its standard input stays open.
mkfifo "$SCRATCH/in"
start() {
  "$BIN/nearmetal" vm run --directory "$SCRATCH/run" --accel tcg --paused --memory 256M "$@" <"$SCRATCH/in" \
    >"$SCRATCH/out" 2>&1 &
  VM_PID=$!
  exec 9>"$SCRATCH/in"
}
# ended STATUS
ended() {
  local status=0
  wait "$VM_PID" || status=$?
  VM_PID=""
  exec 9>&-
  [ $status = "$1" ] || { cat "$SCRATCH/out"; fail "status $status instead of $1"; }
}

CPUS=$(nproc)
start --name 'a,b <c>' --cpus "$CPUS" --spare-ports 2
python3 "$HERE/vm_qemu.py" live "$SCRATCH/run/a,b <c>.qmp" "$VM_PID" "$CPUS" 256 || { cat "$SCRATCH/out"; fail "the guest is not as it was told to be"; }
echo "ok: processors pinned, memory as told, a name with a comma in it"
status=0
out=$(vm --paused --name 'a,b <c>' 2>&1 </dev/null) || status=$?
equal "a second one of its name is refused" 1 $status
contains "and told who has it" "A guest called a,b <c> runs already (nearmetal vm run, pid $VM_PID)" "$out"
python3 "$HERE/vm_qemu.py" quit "$SCRATCH/run/a,b <c>.qmp"
ended 0
[ ! -e "$SCRATCH/run/a,b <c>.qmp" ] || fail "the socket was left behind"
echo "ok: it ends with its guest, and takes its socket along"

# A guest that does not answer the power button (this one is paused) is ended by the second signal.
start --name stopped --cpus 1
python3 "$HERE/vm_qemu.py" live "$SCRATCH/run/stopped.qmp" "$VM_PID" 1 256
kill -TERM "$VM_PID"
until grep -q 'has been asked to shut down' "$SCRATCH/out"; do
  [ -e "$SCRATCH/run/stopped.qmp" ] || { cat "$SCRATCH/out"; fail "it ended before it asked"; }
  sleep 0.1
done
kill -TERM "$VM_PID"
ended 0
echo "ok: SIGTERM asks, and asks no second time"

# Killed, it takes QEMU along, and the next one of the name starts.
start --name again --cpus 1
python3 "$HERE/vm_qemu.py" live "$SCRATCH/run/again.qmp" "$VM_PID" 1 256
kill -KILL "$VM_PID"
ended 137
start --name again --cpus 1
python3 "$HERE/vm_qemu.py" live "$SCRATCH/run/again.qmp" "$VM_PID" 1 256
python3 "$HERE/vm_qemu.py" quit "$SCRATCH/run/again.qmp"
ended 0
echo "ok: after SIGKILL the name is free"

# --- what is refused
refused() {
  local part=$1 status=0 out
  shift
  out=$(vm "$@" 2>&1 </dev/null) || status=$?
  [ $status = 1 ] || [ $status = 2 ] || fail "$*: status $status: $out"
  contains "$*" "$part" "$out"
}
truncate -s 64M "$SCRATCH/disk.img"
refused 'There is no disk to start from'
refused "There is no disk $SCRATCH/none" "$SCRATCH/none"
refused 'neither a file nor a block device' "$SCRATCH"
refused 'There is no disk' ''
refused '--memory is "lots"' --memory lots "$SCRATCH/disk.img"
refused 'more than a guest can address' --memory 900T "$SCRATCH/disk.img"
refused 'Ask for less with --memory' --memory 40T "$SCRATCH/disk.img"
refused 'Ask for fewer with --cpus' --cpus 9000 "$SCRATCH/disk.img"
refused 'cannot be the name of a network interface' --net tap: "$SCRATCH/disk.img"
refused 'no slash and no control characters' --name a/b "$SCRATCH/disk.img"
refused '--hide-hypervisor hides KVM' --hide-hypervisor "$SCRATCH/disk.img"
refused '99' --gpu 99 "$SCRATCH/disk.img"
refused 'huge pages' --hugepages require --memory 200G "$SCRATCH/disk.img"
