# Two commands for one GPU, and for one guest: each ends, and the GPU is in one place.
# boot: attach
# limit: 1200
. /rig/l1/lib.sh
load_host_drivers
start_guest one
start_guest two
remember_host
at=$(gpu flr)
nearmetal attach "$at" --vm one >$SCRATCH/a 2>&1 & a=$!
nearmetal attach "$at" --vm two >$SCRATCH/b 2>&1 & b=$!
won=""
wait $a && won=one || true
wait $b && won=$won${won:+ and }two || true
case "$won" in one | two) ok "one of two wins: $won" ;; *) cat $SCRATCH/a $SCRATCH/b; fail "won: \"$won\"" ;; esac
contains "the other hears who has it" "VM $won" "$(cat $SCRATCH/a $SCRATCH/b | grep -v 'is attached to')"
says $won command
contains "it is where it was said to be" "\"attached_to\": \"VM $won (" "$(about "$at" attached_to)"
nearmetal detach "$at" --release

# Two GPUs for one guest at the same time.
forget one
nearmetal attach "$(gpu alone)" --vm one & a=$!
nearmetal attach "$(gpu near)" --vm one & b=$!
wait $a || fail "the first of two"
wait $b || fail "the second of two"
says one framebuffer 2
nearmetal detach "$(gpu alone)" --release & a=$!
nearmetal detach "$(gpu near)" --release & b=$!
wait $a || fail "the first of two, back"
wait $b || fail "the second of two, back"
host_is_as_before "after all four"
