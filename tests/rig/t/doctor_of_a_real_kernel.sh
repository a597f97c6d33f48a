# `nearmetal doctor` on a host that could hand over most of its GPUs: what is in the way is named, and what it advises works.
# boot: look
. /rig/l1/lib.sh
load_host_drivers
status=0
said=$(nearmetal doctor) || status=$?
equal "a dirty group and no /dev/kvm are failures" 1 $status
contains "the IOMMU is on" "The IOMMU is on, with $(ls /sys/kernel/iommu_groups | wc -l) groups." "$said"
contains "interrupts are remapped" "Interrupts are remapped." "$said"
contains "the clean group is told" "IOMMU group $(group "$(gpu alone)") is clean: 1 member" "$said"
contains "the stranger in a group is named" "also holds $(gpu nic) (Ethernet, e1000e)" "$said"
contains "the GPU without a reset is named" "$(gpu boot)" "$(echo "$said" | grep 'no way to be reset')"
contains "each NUMA node is told" "It is near NUMA node 1" "$said"

# Its advice, followed.
contains "KVM is missing" "There is no /dev/kvm." "$said"
contains "it says by which command" "modprobe kvm_amd" "$said"
modprobe kvm_amd
contains "it says how VFIO is loaded" "modprobe -a vfio_pci vfio_iommu_type1" "$said"
modprobe -a vfio_pci vfio_iommu_type1
said=$(nearmetal doctor) || true
[ -e /dev/kvm ] || fail "the rig's processor has no nested virtualisation"
case "$said" in
  *"There is no /dev/kvm"* | *"modprobe -a vfio_pci"*) fail "the advice was followed and is given again: $said" ;;
esac
ok "what was advised cures it"
