# A host whose IOMMU nobody turned on: the doctor says so, and with which parameter.
# machine: iommu-off
. /rig/l1/lib.sh
load_host_drivers
status=0
said=$(nearmetal doctor) || status=$?
equal "not ready" 1 $status
contains "the IOMMU is named" "IOMMU" "$(echo "$said" | grep fail)"
contains "who turned it off is said" "Take intel_iommu=off off the kernel's command line." "$said"
case "$said" in *"from the host below"*) fail "this machine has an IOMMU; it needs none from elsewhere: $said" ;; esac
contains "the kernel's parameter is given" "intel_iommu=on" "$said"
contains "no GPU can go" '"verdict": "not ready"' "$(about "$(gpu alone)" readiness)"
