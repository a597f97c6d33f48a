# `nearmetal doctor` tells by its status whether a host is ready, and the cure where it is not; on machines made for the test.
. "$(dirname "$0")/lib.sh"
doctor() {
  local shape=$1
  shift
  [ -d "$SCRATCH/$shape" ] || "$BUILD/src/inventory/nm_fake_host" "$shape" "$SCRATCH/$shape"
  status=0
  out=$("$BIN/nearmetal" doctor --root "$SCRATCH/$shape" "$@" 2>&1) || status=$?
}

doctor dgx
equal "a DGX is ready" 0 $status
contains "and the last line counts" "Ready: 8 of 8 GPUs can be handed to a virtual machine" "$out"
doctor no-iommu
equal "no IOMMU: not ready" 1 $status
contains "the file and its line" 'in /etc/default/grub:  GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on iommu=pt"' "$out"
contains "the command" "run:  update-grub && reboot" "$out"
doctor desktop-dirty
equal "a dirty group: not ready" 1 $status
contains "its stranger by name" "IOMMU group 1 also holds 0000:02:00.0 (NVMe, nvme)." "$out"
doctor none
equal "no GPU: not ready" 1 $status
doctor desktop-dirty -o json
equal "JSON has the same status" 1 $status
python3 - "$out" <<'END'
import json, sys
seen = json.loads(sys.argv[1])
assert seen["ready"] is False and seen["gpus"] == 1, seen
bad = [f for f in seen["findings"] if f["level"] == "fail"]
assert [f["check"] for f in bad] == ["iommu_group"] and bad[0]["gpu"] == "0000:01:00.0" and bad[0]["fixes"], bad
END
echo "ok: JSON has the failure and its cure"

# This very machine: some answer, with one of the two statuses.
status=0
out=$("$BIN/nearmetal" doctor -o json) || status=$?
[ $status -le 1 ] || fail "this machine: status $status"
equal "this machine's status is what its JSON says" $status "$(python3 -c 'import json, sys; print(0 if json.loads(sys.argv[1])["ready"] else 1)' "$out")"
