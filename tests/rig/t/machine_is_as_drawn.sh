# The rig itself: the devices are where the tests look for them, VFIO works, and a guest can use each.
# boot: look
. /rig/l1/lib.sh
load_host_drivers

equal "the lone GPU has a group of its own" 1 "$(ls /sys/kernel/iommu_groups/"$(group "$(gpu alone)")"/devices | wc -l)"
equal "the card's three functions share one" "$(group "$(gpu card)") $(group "$(gpu card)")" \
  "$(group "$(gpu card 1)") $(group "$(gpu card 2)")"
equal "the GPU behind ports without ACS shares one with the network card" "$(group "$(gpu nic)")" "$(group "$(gpu dirty)")"
contains "one can reset itself" flr "$(cat "$S/$(gpu flr)/reset_method")"
equal "the far one is at node 1" 1 "$(cat "$S/$(gpu far)/numa_node")"
contains "the boot display is one" 1 "$(cat "$S/$(gpu boot)/boot_vga")"
for name in boot alone card dirty near far; do equal "$name has its driver" bochs-drm "$(driver "$(gpu $name)")"; done
equal "the network card has its driver" e1000e "$(driver "$(gpu nic)")"
equal "the audio function has its driver" snd_hda_intel "$(driver "$(gpu card 1)")"

# By hand, what nearmetal will do: the whole card goes to a guest, which uses each of its functions.
modprobe vfio-pci
modprobe vfio_iommu_type1
host_state >$SCRATCH/before
for function in 0 1 2; do
  at=$(gpu card $function)
  [ -z "$(driver "$at")" ] || echo "$at" >"$S/$at/driver/unbind"
  echo vfio-pci >"$S/$at/driver_override"
  echo "$at" >/sys/bus/pci/drivers_probe
  equal "$at is on vfio-pci" vfio-pci "$(driver "$at")"
done
start_guest hand "" -device "vfio-pci,host=$(gpu card),bus=port1,addr=0.0,multifunction=on" \
  -device "vfio-pci,host=$(gpu card 1),bus=port1,addr=0.1" -device "vfio-pci,host=$(gpu card 2),bus=port1,addr=0.2"
for what in framebuffer audio dma interrupt; do says hand "$what"; done
! grep broken $SCRATCH/hand.log || fail "the guest could not use all"
stop_guest hand
for function in 0 1 2; do
  at=$(gpu card $function)
  echo "$at" >"$S/$at/driver/unbind"
  echo >"$S/$at/driver_override"
  echo "$at" >/sys/bus/pci/drivers_probe
done
host_state >$SCRATCH/after
diff $SCRATCH/before $SCRATCH/after || fail "the host is not what it was"
ok "the host is what it was"
