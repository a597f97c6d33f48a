# As attach_each_kind.sh, a card with its companions: one command hands it to a running guest, which uses it; one takes it back; one gives it to the host's driver again.
# limit: 1200
. /rig/l1/lib.sh
load_host_drivers
start_guest one
remember_host

# hand_over NAME WORDS...: into the guest, where the words come true; out; back to the host.
hand_over() {
  local name=$1 at
  at=$(gpu "$name")
  shift
  said=$(nearmetal attach "$at" --vm one --with-companions) || fail "attach of $name: $said"
  contains "$name is attached" "$at is attached to VM one" "$said"
  for word in "$@"; do says one "$word"; done
  ! grep broken $SCRATCH/one.log || fail "the guest cannot use $name"
  equal "$name is on vfio-pci" vfio-pci "$(driver "$at")"
  contains "gpus tells who has it" '"attached_to": "VM one (' "$(about "$at" attached_to)"
  contains "status names it" "$at" "$(nearmetal status)"
  contains "and the guest" one "$(nearmetal status)"
  said=$(nearmetal detach "$at" 2>&1) || fail "detach of $name: $said"
  says one "L2 gone"
  equal "$name is kept for the next guest" vfio-pci "$(driver "$at")"
  said=$(nearmetal release "$at" 2>&1) || fail "release of $name: $said"
  host_is_as_before "$name given back"
  forget one
}
hand_over card framebuffer audio dma interrupt
