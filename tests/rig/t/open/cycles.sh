# Five times out and in again; cycles_50.sh does it fifty times.
# boot: attach
# limit: 1200
. /rig/l1/lib.sh
. /rig/l1/cycles.sh
cycles 5
