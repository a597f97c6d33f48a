# A Linux guest's own driver takes a GPU that is plugged in while it runs, and makes its card; and lets it go again.
# limit: 900
. /rig/l1/lib.sh
load_host_drivers
remember_host
start_linux penguin
nearmetal attach "$(gpu alone)" --vm penguin --timeout 300
says penguin "L2 has card0"
says penguin "1234:1111 bochs-drm"
nearmetal detach "$(gpu alone)" --timeout 300
nearmetal release "$(gpu alone)"
host_is_as_before "after a Linux guest"
