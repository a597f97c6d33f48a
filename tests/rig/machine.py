"""L1: a q35 machine with an IOMMU that QEMU emulates, and simulated GPUs of every shape that matters.

Root ports have fixed slots on the root bus, so that a test finds a GPU by what it is, not by a bus number that the firmware
gave out (`gpu alone` in l1/lib.sh reads the same slots). README.md has the drawing.
"""

import itertools

PORT = {"alone": 0x10, "card": 0x11, "flr": 0x12, "shared": 0x13, "big": 0x14}  # on the root bus
NODE_PORT = {"near": 0x40, "far": 0x80}  # the buses of two more host bridges: NUMA nodes 0 and 1

MEMORY_MB = 1536  # for both nodes

# On a loaded machine an emulated processor stands still for long moments. Without these the kernel takes that for broken
# hardware: it panics when its timer is late at boot, and complains of lock-ups later.
PATIENCE = "no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1"

# name: is there an IOMMU, the kernel's further parameters
MACHINES = {
    "full": (True, "intel_iommu=on"),
    "iommu-off": (True, "intel_iommu=off"),  # the machine has one; nobody turned it on
    "no-iommu": (False, ""),
}


def _ports():
    """A function that makes root ports, each with a chassis number of its own."""
    numbers = itertools.count(1)

    def port(name, bus="pcie.0", slot=0, more=""):
        number = next(numbers)
        return ["-device", f"pcie-root-port,id={name},bus={bus},chassis={number},slot={number},addr={slot:#x}{more}"]

    return port


def _devices():
    port_of = _ports()

    def on(bus, device):
        return ["-device", f"{device},bus={bus}"]

    devices = ["-device", "VGA,bus=pcie.0,addr=0x2"]  # what the firmware draws on: the boot display
    # One function and nothing else in its group.
    devices += port_of("alone", slot=PORT["alone"]) + on("alone", "bochs-display")
    # A card with companions: graphics, audio, and a third function that does DMA and interrupts when a guest asks it.
    devices += port_of("card", slot=PORT["card"])
    devices += on("card", "secondary-vga,addr=0.0,multifunction=on")
    devices += on("card", "ich9-intel-hda,addr=0.1") + on("card", "edu,addr=0.2")
    # Resets by itself (FLR), does DMA, has a driver that is no DRM driver at PCI level.
    devices += port_of("flr", slot=PORT["flr"]) + on("flr", "virtio-gpu-pci,iommu_platform=on")
    # Two ports of one slot without ACS: one group for the GPU, for a network card that the host needs, and the ports.
    devices += port_of("shared", slot=PORT["shared"], more=".0,multifunction=on,disable-acs=on") + on("shared", "bochs-display")
    devices += port_of("beside", slot=PORT["shared"], more=".1,disable-acs=on") + on("beside", "e1000e,netdev=cable")
    devices += ["-netdev", "user,id=cable,restrict=on"]
    # A 64-bit BAR of 4 GiB.
    devices += port_of("big", slot=PORT["big"]) + on("big", "qxl,vram64_size_mb=4096")
    # One GPU at each NUMA node.
    for node, (name, bus) in enumerate(NODE_PORT.items()):
        devices += ["-device", f"pxb-pcie,id={name}-bridge,bus=pcie.0,bus_nr={bus:#x},numa_node={node}"]
        devices += port_of(name, f"{name}-bridge", 0) + on(name, "bochs-display")
    return devices


def command(machine, kernel, initramfs, payload, state, console, parameters):
    """QEMU's command line. Its standard output carries what the tests print, `console` the kernel's messages."""
    iommu, kernel_parameters = MACHINES[machine]
    half = MEMORY_MB // 2
    argv = ["qemu-system-x86_64", "-machine", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", "2", "-m", str(MEMORY_MB), "-nodefaults", "-display", "none", "-no-reboot", "-nic", "none"]
    for node in range(2):
        argv += ["-object", f"memory-backend-ram,id=node{node},size={half}M",
                 "-numa", f"node,nodeid={node},memdev=node{node},cpus={node}"]
    if iommu:
        argv += ["-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"]
    argv += _devices()
    for name, path, options in (("payload", payload, "readonly=on"), ("state", state, "cache=writeback")):
        argv += ["-drive", f"if=none,id={name},file={path},format=raw,{options}",
                 "-device", f"virtio-blk-pci,bus=pcie.0,drive={name},serial={name}"]
    if console == "interactive":
        argv += ["-serial", "mon:stdio", "-serial", "null"]
    else:
        argv += ["-serial", f"file:{console}", "-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report"]
    argv += ["-kernel", str(kernel), "-initrd", str(initramfs),
             "-append", f"console=ttyS0 quiet panic=-1 {PATIENCE} {kernel_parameters} {parameters}"]
    return argv
