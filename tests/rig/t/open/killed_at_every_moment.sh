# As killed_at_each_moment.sh: all moments, and of a card with companions.
# all
# limit: 5400
. /rig/l1/lib.sh
. /rig/l1/killed.sh
kill_at_moments card 1 1
