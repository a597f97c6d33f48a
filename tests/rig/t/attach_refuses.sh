# What cannot be handed over is refused by name, with the next step, and nothing has changed.
# boot: attach
. /rig/l1/lib.sh
load_host_drivers
start_guest one
remember_host

refused "a dirty group" "$(gpu nic)" nearmetal attach "$(gpu dirty)" --vm one
refused "its stranger by driver" "e1000e" nearmetal attach "$(gpu dirty)" --vm one --with-companions
refused "companions not asked for" "--with-companions" nearmetal attach "$(gpu card)" --vm one
refused "the boot display" "display" nearmetal attach "$(gpu boot)" --vm one
refused "an unknown guest" "nobody" nearmetal attach "$(gpu alone)" --vm nobody
refused "no GPU" "no GPU" nearmetal attach "$(gpu nic)" --vm one
refused "no device" "0000:77:00.0" nearmetal attach 77:00.0 --vm one
refused "no address" "PCI address" nearmetal attach "zz:00.0" --vm one
refused "a detach of what is in no guest" "in no guest" nearmetal detach "$(gpu alone)"
refused "a release of what the host has" "$(gpu alone)" nearmetal release "$(gpu alone)"

sleep 1000 <"/dev/dri/$(ls "$S/$(gpu alone)/drm" | grep '^card')" &
holder=$!
refused "a GPU that a program holds" "sleep (pid $holder" nearmetal attach "$(gpu alone)" --vm one
kill $holder
host_is_as_before "after all refusals"

plan=$(nearmetal attach "$(gpu card)" --vm one --with-companions --dry-run) || fail "the dry run: $plan"
contains "a dry run is what one would type" "/driver_override" "$plan"
contains "for each function" "$(gpu card 2)" "$plan"
contains "in the guest, too" "device_add" "$plan"
host_is_as_before "after a dry run"
[ -z "$(grep found $SCRATCH/one.log)" ] || fail "the guest was given something"
