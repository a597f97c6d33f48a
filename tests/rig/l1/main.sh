# Runs the tests that the kernel's command line names (rig.tests=a,b), each in a process of its own with its own limit, and
# tells the runner by lines that begin with @rig.
tests=$(sed -n 's/.*rig\.tests=\([^ ]*\).*/\1/p' /proc/cmdline)
cuts=$(sed -n 's/.*rig\.cuts=\([0-9]*\).*/\1/p' /proc/cmdline)
for name in $(echo "$tests" | tr , ' '); do
  limit=$(sed -n 's/^# limit: *//p' "/rig/t/$name.sh")
  echo "@rig start $name"
  RIG_CUTS=$cuts timeout -s KILL "${limit:-600}" sh "/rig/t/$name.sh"
  status=$? cuts=0
  [ $status != 137 ] || echo "FAILED: $name took longer than ${limit:-600} s"
  # What a killed test leaves would hold devices of the next one.
  for left in $(pidof qemu-system-x86_64); do kill -KILL "$left"; done
  echo "@rig end $name $status"
done
echo "@rig done"
