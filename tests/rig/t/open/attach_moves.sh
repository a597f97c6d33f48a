# A GPU goes from one guest to another in one command, and not by accident.
# boot: attach
. /rig/l1/lib.sh
load_host_drivers
start_guest one
start_guest two
remember_host
at=$(gpu flr)
nearmetal attach "$at" --vm one
says one command
refused "what another guest has" "in use by VM one" nearmetal attach "$at" --vm two
nearmetal attach "$at" --vm two --move
says one "L2 gone"
says two command
refused "a release of what a guest has" "in use by VM two" nearmetal release "$at"
nearmetal detach "$at" --release
says two "L2 gone"
host_is_as_before "after the move"
