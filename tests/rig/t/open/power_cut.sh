# The power goes in the middle of an attach. power_cuts.sh has more moments.
# cuts: 1
# limit: 1200
. /rig/l1/lib.sh
. /rig/l1/power.sh
cut_power_at alone 20
