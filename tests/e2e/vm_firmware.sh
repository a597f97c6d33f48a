# Firmware gives the root ports of `nearmetal vm run` the windows that were computed for its GPUs: this is what decides
# whether a big GPU is there at all, now or when it is plugged in. SeaBIOS and OVMF, for real, emulated.
. "$(dirname "$0")/lib.sh"
command -v qemu-system-x86_64 >/dev/null || skip "there is no QEMU"
HERE=$(dirname "$0")
truncate -s 1M "$SCRATCH/disk.img"
firmware() {
  "$BIN/nearmetal" vm run --directory "$SCRATCH" --accel tcg --cpus 1 --memory 256M --net none --spare-ports 2 \
    --firmware "$1" --dry-run "$SCRATCH/disk.img" >"$SCRATCH/command"
  python3 "$HERE/vm_qemu.py" firmware "$SCRATCH/command" "$SCRATCH" || { cat "$SCRATCH/command"; fail "$1 does not give the windows"; }
  echo "ok: $1"
}
firmware seabios
[ -f /usr/share/OVMF/OVMF_VARS_4M.fd ] || { echo "OVMF is not installed: not tried"; exit 0; }
cp /usr/share/OVMF/OVMF_VARS_4M.fd "$SCRATCH/disk.fd"
firmware ovmf
