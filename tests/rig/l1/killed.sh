# Kills nearmetal at moments of its work and has `recover` clear up.

# verb_survives VERB FIRST EVERY BEFORE AFTER -- COMMAND...: kills the command at moments FIRST, FIRST + EVERY, ... Each time
# recover must leave what `place` prints as BEFORE or as AFTER, and the same as a host state; then `to_before` goes back.
verb_survives() {
  local verb=$1 moment=$2 every=$3 before=$4 after=$5 total seen
  shift 6
  equal "$verb begins where it should" "$before" "$(place)"
  host_state >$SCRATCH/state.before
  total=$(moments_of "$@")
  equal "$verb ends where it should" "$after" "$(place)"
  host_state >$SCRATCH/state.after
  to_before
  while [ "$moment" -le "$total" ]; do
    if at_moment "$moment" kill "$@" >$SCRATCH/said 2>&1; then
      cat $SCRATCH/said
      fail "$verb was to be killed at moment $moment of $total, and was not"
    fi
    nearmetal recover >$SCRATCH/said 2>&1 || { cat $SCRATCH/said; fail "recover after $verb died at moment $moment"; }
    seen=$(place)
    host_state >$SCRATCH/state
    if [ "$seen" = "$before" ] && cmp -s $SCRATCH/state $SCRATCH/state.before; then
      ok "$verb died at moment $moment of $total: as before"
    elif [ "$seen" = "$after" ] && cmp -s $SCRATCH/state $SCRATCH/state.after; then
      ok "$verb died at moment $moment of $total: as after"
    else
      cat $SCRATCH/said
      diff $SCRATCH/state.before $SCRATCH/state || true
      fail "$verb died at moment $moment of $total: recover left \"$seen\", neither \"$before\" nor \"$after\""
    fi
    contains "nothing is left to recover" "" "$(nearmetal recover)"
    to_before
    moment=$((moment + every))
  done
}

# Where the GPU is, as host, guest and nearmetal tell it.
place() {
  local drivers="" function
  for function in 0 1 2; do
    [ ! -e "$S/${at%.*}.$function" ] || drivers="$drivers $(driver "${at%.*}.$function")"
  done
  case "$(about "$at" attached_to)" in
    *'"VM one ('*) echo "guest$drivers" ;;
    *) echo "no guest$drivers" ;;
  esac
}

# kill_at_moments GPU FIRST EVERY
kill_at_moments() {
  load_host_drivers
  start_guest one
  at=$(gpu "$1")
  local drivers kept
  drivers=$(place)
  to_before() { case "$(place)" in guest*) nearmetal detach "$at" --release ;; "$drivers") ;; *) nearmetal release "$at" ;; esac >/dev/null; }
  nearmetal attach "$at" --vm one --with-companions >/dev/null
  in_guest=$(place)
  nearmetal detach "$at" >/dev/null
  kept=$(place)
  nearmetal release "$at" >/dev/null
  verb_survives attach "$2" "$3" "$drivers" "$in_guest" -- nearmetal attach "$at" --vm one --with-companions

  to_before() { case "$(place)" in guest*) ;; *) nearmetal attach "$at" --vm one --with-companions >/dev/null ;; esac; }
  to_before
  verb_survives detach "$2" "$3" "$in_guest" "$kept" -- nearmetal detach "$at"

  to_before() {
    case "$(place)" in
      guest*) nearmetal detach "$at" >/dev/null ;;
      "$drivers") nearmetal attach "$at" --vm one --with-companions >/dev/null && nearmetal detach "$at" >/dev/null ;;
    esac
  }
  to_before
  verb_survives release "$2" "$3" "$kept" "$drivers" -- nearmetal release "$at"
}
