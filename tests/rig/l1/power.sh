# cut_power_at GPU MOMENT...: at each of these moments of an attach the machine's power goes; the next start finds the host as
# a fresh one, recover says what became of it, and the GPU can be attached as if nothing had been.
cut_power_at() {
  local moments=$* rounds=0
  load_host_drivers
  at=$(gpu "$1")
  shift
  moments=$*
  remember_host
  for _ in $moments; do rounds=$((rounds + 1)); done
  if [ "$RIG_CUTS" -gt 0 ]; then
    status=0
    said=$(nearmetal recover 2>&1) || status=$?
    echo "$said"
    equal "recover after power cut $RIG_CUTS" 0 $status
    host_is_as_before "after power cut $RIG_CUTS"
    equal "nothing is left to recover" "" "$(nearmetal recover 2>&1 | grep -F "$at" || true)"
  fi
  start_guest one
  if [ "$RIG_CUTS" -lt "$rounds" ]; then
    moment=$(echo "$moments" | tr ' ' '\n' | sed -n "$((RIG_CUTS + 1))p")
    at_moment "$moment" power nearmetal attach "$at" --vm one --with-companions
    fail "the attach had ended before moment $moment"
  fi
  nearmetal attach "$at" --vm one --with-companions
  says one framebuffer
  nearmetal detach "$at" --release
  host_is_as_before "after an attach as if nothing had been"
}
