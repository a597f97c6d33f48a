# A GPU with a BAR of 4 GiB: the guest's port needs a window for it.
# all
# limit: 900
. /rig/l1/lib.sh
load_host_drivers
start_guest large "" -device pcie-root-port,id=port9,chassis=9,slot=9,addr=0x19,pref64-reserve=8G,mem-reserve=256M
remember_host
nearmetal attach "$(gpu big)" --vm large --timeout 300
says large "BAR 4 of 1 << 20"
nearmetal detach "$(gpu big)" --timeout 300
nearmetal release "$(gpu big)"
host_is_as_before "after a large BAR"
