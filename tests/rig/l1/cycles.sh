# cycles COUNT: so many times a card goes to the guest, which uses it, and back to the host.
cycles() {
  load_host_drivers
  start_guest one
  remember_host
  local n=0 at
  at=$(gpu card)
  while [ $n -lt "$1" ]; do
    n=$((n + 1))
    nearmetal attach "$at" --vm one --with-companions >$SCRATCH/said 2>&1 || { cat $SCRATCH/said; fail "attach number $n"; }
    says one interrupt $n >/dev/null
    nearmetal detach "$at" --release >$SCRATCH/said 2>&1 || { cat $SCRATCH/said; fail "detach number $n"; }
    says one "L2 gone" $((3 * n)) >/dev/null
  done
  ok "$n cycles"
  ! grep broken $SCRATCH/one.log || fail "the guest could not use it every time"
  host_is_as_before "after $n cycles"
}
