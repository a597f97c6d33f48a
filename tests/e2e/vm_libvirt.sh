# The libvirt backend against a libvirtd of our own: its own directory, its own socket, no KVM. It never runs as root, so
# that it cannot reach what is the host's.
. "$(dirname "$0")/lib.sh"
for program in libvirtd virsh qemu-system-x86_64 setpriv; do
  command -v $program >/dev/null || skip "there is no $program"
done
chmod 711 "$SCRATCH"
L=$SCRATCH/l
mkdir -p "$L"/{run,config,cache,state,data}
chmod 700 "$L/run"
URI="qemu+unix:///session?socket=$L/run/libvirt/libvirt-sock"
as=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$L" XDG_RUNTIME_DIR="$L/run" XDG_CONFIG_HOME="$L/config"
  XDG_CACHE_HOME="$L/cache" XDG_STATE_HOME="$L/state" XDG_DATA_HOME="$L/data")
if [ "$(id -u)" = 0 ]; then
  chown -R 65534:65534 "$L"
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups "${as[@]}")
fi
"${as[@]}" libvirtd >"$SCRATCH/libvirtd.log" 2>&1 &
DAEMON=$!
finish_libvirt() {
  virsh -q -c "$URI" destroy nm-running >/dev/null 2>&1 || true
  kill "$DAEMON" 2>/dev/null || true
  wait "$DAEMON" 2>/dev/null || true
  finish
}
trap finish_libvirt EXIT
until [ -S "$L/run/libvirt/libvirt-sock" ]; do
  kill -0 $DAEMON 2>/dev/null || { tail "$SCRATCH/libvirtd.log"; skip "libvirtd does not run here"; }
  sleep 0.1
done

# Domains as --print-xml writes them.
define() {
  "$BIN/nearmetal" vm run --directory "$SCRATCH" --accel tcg --cpus 1 --memory 128M --name "$1" --paused --print-xml "${@:2}" \
    >"$SCRATCH/$1.xml" 2>"$SCRATCH/err" || { cat "$SCRATCH/err"; fail "no definition of $1"; }
  virsh -q -c "$URI" define "$SCRATCH/$1.xml" || { cat "$SCRATCH/$1.xml"; fail "libvirt refuses the definition of $1"; }
}
define nm-defined --firmware ovmf --spare-ports 3 --hugepages off
define nm-running --firmware seabios --spare-ports 2 --hugepages off
echo "ok: libvirt takes the definitions"
virsh -q -c "$URI" start --paused nm-running || { tail -5 "$SCRATCH/libvirtd.log"; cat "$L"/cache/libvirt/qemu/log/*.log; fail "libvirt cannot start it"; }
echo "ok: and starts one"
ask() { virsh -q -c "$URI" qemu-monitor-command nm-running "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine/peripheral/pci.$1\",\"property\":\"$2\"}}"; }
reserve=$(sed -n "s/.*name='pref64-reserve' type='unsigned' value='\([0-9]*\)'.*/\1/p" "$SCRATCH/nm-running.xml" | head -1)
contains "its root ports reserve what was computed" "\"return\":$reserve" "$(ask 1 pref64-reserve)"

NM_LIBVIRT_URI=$URI "$BUILD/src/attach/nm_libvirt_real_test"
