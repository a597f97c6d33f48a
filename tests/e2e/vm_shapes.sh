# What `nearmetal vm run --dry-run` and `--print-xml` say of machines of every shape: QEMU builds the guest that the command
# describes, firmware gives its ports the windows that it reserves, and libvirt's schema knows the definition.
. "$(dirname "$0")/lib.sh"
HERE=$(dirname "$0")
make() {
  "$BUILD/src/inventory/nm_fake_host" "$1" "$SCRATCH/$1"
  touch "$SCRATCH/$1/dev/kvm" "$SCRATCH/disk.img"
  mkdir -p "$SCRATCH/$1/usr/share/OVMF" "$SCRATCH/$1/sys/devices/system/cpu" "$SCRATCH/$1/usr/bin"
  touch "$SCRATCH/$1/usr/share/OVMF/OVMF_CODE_4M.fd" "$SCRATCH/$1/usr/share/OVMF/OVMF_VARS_4M.fd"
  printf 'MemTotal: 65536000 kB\nMemAvailable: 50000000 kB\n' >"$SCRATCH/$1/proc/meminfo"
}
truncate -s 1M "$SCRATCH/disk.img"
vm() {
  local shape=$1
  shift
  "$BIN/nearmetal" vm run --root "$SCRATCH/$shape" --directory "$SCRATCH" --hugepages off "$@" "$SCRATCH/disk.img"
}

# Two sockets, eight GPUs.
make dgx
echo 0-223 >"$SCRATCH/dgx/sys/devices/system/cpu/online"
for node in 0 1; do
  printf 'Node %d MemTotal: 1073741824 kB\nNode %d MemFree: 1000000000 kB\n' $node $node >"$SCRATCH/dgx/sys/devices/system/node/node$node/meminfo"
done
echo '10 21' >"$SCRATCH/dgx/sys/devices/system/node/node0/distance"
echo '21 10' >"$SCRATCH/dgx/sys/devices/system/node/node1/distance"
out=$(vm dgx --gpu 0 --gpu 43:00.0 --gpu 9d:00.0 --gpu 7 --cpus 8 --memory 4G --stop-holders --dry-run)
contains "each GPU is passed" 'vfio-pci,id=gpu3-f0,host=0000:df:00.0,bus=gpu3,addr=0x0.0x0' "$out"
contains "memory is bound to the host's nodes" 'host-nodes=1,policy=bind' "$out"
contains "so are virtual CPUs" 'taskset -pc 223 THREAD' "$out"
contains "the GPUs are taken first, as one would by hand" 'echo vfio-pci > /sys/bus/pci/devices/0000:1b:00.0/driver_override' "$out"
[[ "$out" != *clique* ]] || fail "nobody asked for a clique"
out=$(vm dgx --gpu 0 --gpu 1 --peer-to-peer --memory 4G --cpus 4 --stop-holders --dry-run)
contains "peer to peer where it is asked for" 'x-nv-gpudirect-clique=0' "$out"

# As it is handed to QEMU here: emulated.
if command -v qemu-system-x86_64 >/dev/null; then
  for arguments in "--cpus 8" "--cpus 4 --spare-ports 4 --net none"; do
    # shellcheck disable=SC2086
    vm dgx --gpu 0 --gpu 7 --memory 512M --accel tcg --firmware seabios --stop-holders $arguments --dry-run >"$SCRATCH/command"
    sed -i "s|$SCRATCH/dgx||g; s|/usr/bin/qemu-system-x86_64|$(command -v qemu-system-x86_64)|" "$SCRATCH/command"
    python3 "$HERE/vm_qemu.py" shape "$SCRATCH/command" "$SCRATCH" || { cat "$SCRATCH/command"; fail "QEMU's guest is another one"; }
    echo "ok: QEMU builds it ($arguments)"
  done
fi

make gh200
status=0
out=$(vm gh200 --gpu 0 --memory 1G --dry-run 2>&1) || status=$?
equal "an Arm host is refused" 1 $status
contains "and told what does work" 'nearmetal attach GPU --vm NAME' "$out"

# libvirt's definition of guests on machines of every shape, against its own schema.
command -v virt-xml-validate >/dev/null || { echo "no virt-xml-validate: definitions are not checked"; exit 0; }
for shape in dgx laptop none; do
  [ -d "$SCRATCH/$shape" ] || make $shape
  gpu=()
  [ $shape = none ] || gpu=(--gpu "$([ $shape = laptop ] && echo 1 || echo 0)" --with-companions --stop-holders)
  for more in "" "--hide-hypervisor --net bridge:br0 --firmware seabios" "--net tap:t0 --peer-to-peer --cpus 1"; do
    # shellcheck disable=SC2086
    vm $shape "${gpu[@]}" --memory 256M $more --name "<$shape> & 'co'," --print-xml >"$SCRATCH/domain.xml" 2>"$SCRATCH/err" ||
      { cat "$SCRATCH/err"; fail "$shape $more"; }
    virt-xml-validate "$SCRATCH/domain.xml" domain >"$SCRATCH/err" 2>&1 || { cat "$SCRATCH/err" "$SCRATCH/domain.xml"; fail "libvirt's schema does not know it: $shape $more"; }
  done
  echo "ok: libvirt's schema knows the definition ($shape)"
done
