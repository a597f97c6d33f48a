# The power goes at many moments of an attach of a card with companions.
# all
# cuts: 8
# limit: 400
. /rig/l1/lib.sh
. /rig/l1/power.sh
cut_power_at card 1 4 9 15 22 30 38 45
