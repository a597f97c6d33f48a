# A guest that never answers the request to let go: the command says so in time, and nothing is torn.
# boot: attach
# limit: 1200
. /rig/l1/lib.sh
load_host_drivers
start_guest deaf deaf
remember_host
at=$(gpu flr)
nearmetal attach "$at" --vm deaf
says deaf command
refused "a guest that does not answer" "deaf" nearmetal detach "$at" --timeout 3
says deaf "L2 asked"
equal "it is still on vfio-pci" vfio-pci "$(driver "$at")"
contains "and still the guest's" '"attached_to": "VM deaf (' "$(about "$at" attached_to)"
contains "status says so, too" deaf "$(nearmetal status)"
refused "it is not given to the host under the guest's hands" "deaf" nearmetal release "$at"

# What the sentence says one can do: end the guest.
stop_guest deaf
nearmetal recover
nearmetal release "$at"
host_is_as_before "after the guest's end"

# One that overhears the first request and hears a later one.
start_guest slow hesitant
nearmetal attach "$at" --vm slow
says slow command
nearmetal detach "$at" --timeout 3 && says slow "L2 gone" || nearmetal detach "$at" --timeout 120
says slow "L2 gone"
nearmetal release "$at"
host_is_as_before "after the slow one"
