# What tests in L1 share: the GPUs by name, what the kernel says about them, guests, and checks. Sourced by busybox's sh.
set -eu

S=/sys/bus/pci/devices
SCRATCH=/tmp/rig
mkdir -p $SCRATCH

fail() { echo "FAILED: $*"; exit 1; }
ok() { echo "ok: $*"; }

# equal WHAT EXPECTED ACTUAL
equal() {
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
  ok "$1"
}

# contains WHAT PART TEXT
contains() {
  case "$3" in
    *"$2"*) ok "$1" ;;
    *) fail "$1: \"$2\" is not in: $3" ;;
  esac
}

# refused WHAT PART COMMAND...: it fails, and says PART.
refused() {
  local what=$1 part=$2 said
  shift 2
  if said=$("$@" 2>&1); then fail "$what: it succeeded and said: $said"; fi
  contains "$what" "$part" "$said"
}

# --- the machine ----------------------------------------------------------------------------------------------------

# gpu NAME [FUNCTION]: the PCI address of machine.py's GPU of that name.
gpu() {
  local port
  case "$1" in
    boot) echo 0000:00:02.0; return ;;
    alone) port=0000:00:10.0 ;;
    card) port=0000:00:11.0 ;;
    flr) port=0000:00:12.0 ;;
    dirty) port=0000:00:13.0 ;;
    nic) port=0000:00:13.1 ;;
    big) port=0000:00:14.0 ;;
    near) port=../../../devices/pci0000:40/0000:40:00.0 ;;
    far) port=../../../devices/pci0000:80/0000:80:00.0 ;;
    *) fail "there is no GPU \"$1\"" ;;
  esac
  local at
  for at in $S/$port/*:*:00."${2:-0}"; do
    [ -e "$at" ] && { echo "${at##*/}"; return; }
  done
  fail "the GPU \"$1\" is not where it should be ($S/$port)"
}

driver() { local at; at=$(readlink "$S/$1/driver" || true); echo "${at##*/}"; }
group() { local at; at=$(readlink "$S/$1/iommu_group"); echo "${at##*/}"; }

# Everything about the devices that a hand-over could change: a state before and one after are compared as texts.
host_state() {
  local device
  for device in $S/*; do
    echo "${device##*/} driver=$(driver "${device##*/}") override=$(cat "$device/driver_override") enabled=$(cat "$device/enable")"
  done
}

# The drivers that a host with these devices would have loaded, and the wait until they have bound.
load_host_drivers() {
  local module
  for module in bochs qxl virtio-gpu snd-hda-intel e1000e; do modprobe $module; done
}

# about GPU [FIELD]: what `nearmetal gpus` tells of one, as the lines of its JSON; or those of one field, on one line.
about() {
  nearmetal gpus --local -o json | awk -v at="$1" -v field="${2:-}" '
    /^      "pci": / { mine = index($0, "\"" at "\"") > 0 }
    !mine { next }
    field == "" { print; next }
    /^      "/ { wanted = index($0, "      \"" field "\":") == 1 }
    wanted { gsub(/^ +/, ""); printf "%s ", $0 }'
}

# --- waiting --------------------------------------------------------------------------------------------------------

now() { cut -d. -f1 /proc/uptime; }
readonly PATIENCE=400  # seconds for one thing to happen; the test's own limit may be the shorter one

# until_true WHAT COMMAND...: tries until it succeeds.
until_true() {
  local what=$1 end=$(($(now) + PATIENCE))
  shift
  until "$@"; do
    [ "$(now)" -lt $end ] || fail "$what did not happen within $PATIENCE s"
    usleep 200000
  done
}

# --- guests ---------------------------------------------------------------------------------------------------------

QEMU="qemu-system-x86_64 -nodefaults -display none -no-reboot -M q35"

# Three ports to plug into, with room for the BARs of everything but the big one.
ports() {
  local n
  for n in 1 2 3; do
    echo "-device pcie-root-port,id=port$n,chassis=$n,slot=$n,addr=0x1$n,pref32-reserve=160M,mem-reserve=16M"
  done
}

# start_guest NAME [WORDS [QEMU OPTIONS...]]: our own guest (l2/main.c has the words), which runs until the test ends. Its
# lines are in $SCRATCH/NAME.log, its monitor is $SCRATCH/NAME.qmp.
start_guest() {
  local name=$1 words=${2:-}
  shift
  [ $# = 0 ] || shift
  rm -f "$SCRATCH/$name.log" "$SCRATCH/$name.qmp" "$SCRATCH/$name.pid" "$SCRATCH/$name.mark"
  # shellcheck disable=SC2046,SC2086
  $QEMU -accel tcg -m 64 -name "$name" $(ports) -serial "file:$SCRATCH/$name.log" -pidfile "$SCRATCH/$name.pid" \
    -qmp "unix:$SCRATCH/$name.qmp,server=on,wait=off" -kernel /l2/drive.elf -append "$words" "$@" \
    >"$SCRATCH/$name.err" 2>&1 &
  says "$name" "L2 ready"
}

# A Linux guest, under the nested virtualisation that L1's emulated processor has.
start_linux() {
  local name=$1
  shift
  modprobe kvm-amd
  rm -f "$SCRATCH/$name.log" "$SCRATCH/$name.qmp" "$SCRATCH/$name.pid" "$SCRATCH/$name.mark"
  # shellcheck disable=SC2046,SC2086
  $QEMU -accel kvm -cpu host -m 256 -name "$name" $(ports) -serial "file:$SCRATCH/$name.log" -pidfile "$SCRATCH/$name.pid" \
    -qmp "unix:$SCRATCH/$name.qmp,server=on,wait=off" -kernel /l2/vmlinuz -initrd /l2/initrd \
    -append "console=ttyS0 quiet panic=-1" "$@" >"$SCRATCH/$name.err" 2>&1 &
  says "$name" "L2 ready"
}

# says NAME PART [TIMES]: waits until a line of the guest has PART in it (in so many lines).
says() {
  local name=$1 part=$2 times=${3:-1} count end=$(($(now) + PATIENCE))
  until count=$(heard "$name" | grep -cF "$part") && [ "$count" -ge "$times" ]; do
    if [ "$(now)" -ge $end ] || ended "$name"; then
      echo "--- the last lines of $name:"
      tail -30 "$SCRATCH/$name.log" 2>/dev/null || true
      cat "$SCRATCH/$name.err"
      fail "the guest $name did not say \"$part\"${3:+ $3 times}"
    fi
    usleep 200000
  done
  ok "$name says \"$part\"${3:+ $3 times}"
}

# What the guest has said since forget NAME.
heard() { tail -n "+$(cat "$SCRATCH/$1.mark" 2>/dev/null || echo 1)" "$SCRATCH/$1.log" 2>/dev/null; }
forget() { echo $(($(wc -l <"$SCRATCH/$1.log") + 1)) >"$SCRATCH/$1.mark"; }

# Whether the guest's process is gone, which it is not before it was there.
ended() { [ -e "$SCRATCH/$1.pid" ] && ! kill -0 "$(cat "$SCRATCH/$1.pid")" 2>/dev/null; }

stop_guest() {
  local pid
  pid=$(cat "$SCRATCH/$1.pid")
  kill -KILL "$pid"
  until_true "the end of $1" gone "$pid"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# --- handing over ---------------------------------------------------------------------------------------------------

# remember_host / host_is_as_before WHAT: the host's state then and now.
remember_host() { host_state >$SCRATCH/host; }
host_is_as_before() {
  host_state >$SCRATCH/now
  diff $SCRATCH/host $SCRATCH/now || fail "$1: the host is not what it was (above: - before, + now)"
  ok "$1: the host is what it was"
}

# at_moment NUMBER HOW COMMAND...: nearmetal, ended (l1/die.c) when it has made its NUMBER-th write durable. HOW is kill
# or power.
at_moment() {
  local number=$1 how=$2
  shift 2
  RIG_DIE_AT=$number RIG_DIE_BY=$how LD_PRELOAD=/rig/die.so "$@"
}

# moments_of COMMAND...: runs it to its end and prints how many such moments it had.
moments_of() {
  rm -f $SCRATCH/count
  RIG_DIE_COUNT=$SCRATCH/count LD_PRELOAD=/rig/die.so "$@" >&2
  cat $SCRATCH/count
}
