# The guest's QEMU is killed while the GPU is on its way into it, at every fifth moment of the way.
# limit: 1200
. /rig/l1/lib.sh
load_host_drivers
remember_host
at=$(gpu flr)
start_guest count
total=$(moments_of nearmetal attach "$at" --vm count)
[ "$total" -gt 10 ] || fail "only $total moments: the journal is not made durable"
nearmetal detach "$at" --release
stop_guest count
moment=3
while [ "$moment" -lt "$total" ]; do
  start_guest victim
  # Not at_moment: the process that $! names must be the one that stops.
  RIG_DIE_AT=$moment RIG_DIE_BY=stop LD_PRELOAD=/rig/die.so nearmetal attach "$at" --vm victim >$SCRATCH/said 2>&1 &
  command=$!
  until_true "the stop at moment $moment" grep -q '^State:.T' /proc/$command/status
  stop_guest victim
  kill -CONT $command
  wait $command && ended=0 || ended=$?
  cat $SCRATCH/said
  # It may have seen the end of the guest, or have been done before.
  nearmetal recover || fail "recover after moment $moment"
  case "$(driver "$at")" in
    vfio-pci) nearmetal release "$at" ;;
  esac
  host_is_as_before "the guest died at moment $moment of $total (status $ended)"
  moment=$((moment + 5))
done
