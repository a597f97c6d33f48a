# nearmetal itself is killed at moments of attach, detach and release; `recover` makes of each the state before or the one
# after. At every seventh moment; killed_at_every_moment.sh has all.
# limit: 1200
. /rig/l1/lib.sh
. /rig/l1/killed.sh
kill_at_moments flr 4 7
