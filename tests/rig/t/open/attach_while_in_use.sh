# A guest that never pauses to use its devices is given one more, and is asked for the first one back.
# boot: attach
# limit: 1200
. /rig/l1/lib.sh
load_host_drivers
start_guest one busy
remember_host
nearmetal attach "$(gpu card)" --vm one --with-companions
for word in framebuffer audio dma interrupt; do says one $word; done
nearmetal attach "$(gpu alone)" --vm one
says one framebuffer 2
nearmetal detach "$(gpu card)"
says one "L2 kept using"
says one "L2 gone" 3
nearmetal detach "$(gpu alone)"
says one "L2 gone" 4
! grep -e broken -e "kept using: 0" $SCRATCH/one.log || fail "the guest was disturbed"
nearmetal release "$(gpu card)"
nearmetal release "$(gpu alone)"
host_is_as_before "after both"
