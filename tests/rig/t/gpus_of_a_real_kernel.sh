# `nearmetal gpus` tells what a real kernel says of groups, BARs, resets and NUMA nodes.
# boot: look
. /rig/l1/lib.sh
load_host_drivers
nearmetal gpus --local

equal "all eight are found" 8 "$(nearmetal gpus --local -o json | grep -c '^      "pci": ')"
contains "the lone one is in the kernel's group" "\"number\": $(group "$(gpu alone)")," "$(about "$(gpu alone)" iommu_group)"
equal "it resets by its bus" '"reset_methods": [ "bus" ], ' "$(about "$(gpu alone)" reset_methods)"
contains "it could go" "ready with steps" "$(about "$(gpu alone)" readiness)"

card=$(about "$(gpu card)" readiness)
contains "the card's audio function is named" "$(gpu card 1) (audio, snd_hda_intel)" "$card"
contains "and its third one" "$(gpu card 2)" "$card"

dirty=$(about "$(gpu dirty)" readiness)
contains "the dirty group is not ready" '"verdict": "not ready"' "$dirty"
contains "because of the network card, by name" "IOMMU group $(group "$(gpu dirty)") also holds $(gpu nic) (Ethernet, e1000e)" "$dirty"

contains "FLR is seen" '"flr"' "$(about "$(gpu flr)" reset_methods)"
contains "a BAR of 4 GiB is seen" '"index": 4, "bytes": 4294967296, "space": "memory", "wide": true' "$(about "$(gpu big)" bars)"
equal "the near one is at node 0" '"numa_node": 0, ' "$(about "$(gpu near)" numa_node)"
equal "the far one is at node 1" '"numa_node": 1, ' "$(about "$(gpu far)" numa_node)"
contains "the boot display is known" '"boot_display": true' "$(about "$(gpu boot)" boot_display)"

# Who holds one, by name: a program that has its node open.
node=$(ls "$S/$(gpu alone)/drm" | grep '^card')
sleep 1000 <"/dev/dri/$node" &
holder=$!
contains "a program that holds it is named" "\"pid\": $holder, \"name\": \"sleep\"" "$(about "$(gpu alone)" holders)"
kill $holder
