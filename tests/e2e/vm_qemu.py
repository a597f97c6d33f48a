"""A QEMU's monitor, for the tests of `nearmetal vm run`, and what it is asked.

usage: vm_qemu.py live SOCKET NEARMETAL_PID CPUS MEMORY_MIB      the running guest is as `vm run` was told
       vm_qemu.py shape DRY_RUN_FILE SCRATCH              the command of --dry-run is run, and is what it says
       vm_qemu.py firmware DRY_RUN_FILE SCRATCH           the firmware gives root ports the windows that were reserved
       vm_qemu.py quit SOCKET
"""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import time

LIMIT = 300  # seconds; for events, on a machine that does other things as well


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        assert "QMP" in json.loads(self.file.readline())
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            line = self.file.readline()
            assert line, f"{command}: QEMU has ended"
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(f"{command} {arguments}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def get(self, path, name):
        return self("qom-get", path=path, property=name)


def connect(path, process=None):
    end = time.monotonic() + LIMIT
    while True:
        try:
            return Qmp(path)
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):  # not there yet, or busy with another client
            assert process is None or process.poll() is None, f"QEMU has ended with {process.returncode}"
            assert time.monotonic() < end, "no monitor"
            time.sleep(0.1)


def devices(qmp):
    """All that query-pci tells, by the name that we gave it."""
    found = {}

    def walk(list_):
        for device in list_:
            found[device["qdev_id"]] = device
            walk(device.get("pci_bridge", {}).get("devices", []))

    for bus in qmp("query-pci"):
        walk(bus["devices"])
    return found


def size(text):
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = re.fullmatch(r"(\d+)([KMG]?)", text).groups()
    return int(number) * units[unit]


def keys(value):
    """Of "driver,key=value,..." with doubled commas."""
    parts = [part.replace("\0", ",") for part in value.replace(",,", "\0").split(",")]
    return dict(part.split("=", 1) for part in parts if "=" in part)


def live(path, nearmetal, cpus, memory):
    qmp = connect(path)
    vcpus = qmp("query-cpus-fast")
    assert len(vcpus) == cpus, vcpus
    assert sum(m["size"] for m in qmp("query-memdev")) == memory << 20
    end = time.monotonic() + LIMIT
    qmp.socket.close()  # one client at a time: `vm run` pins by the same monitor
    while True:  # then each virtual CPU is on one CPU of its own
        allowed = []
        for vcpu in vcpus:
            status = pathlib.Path(f"/proc/{vcpu['thread-id']}/status").read_text()
            allowed.append(re.search(r"Cpus_allowed_list:\s*(\S+)", status)[1])
        if all(a.isdigit() for a in allowed) and len(set(allowed)) == cpus:
            break
        assert time.monotonic() < end, f"not pinned: {allowed}"
        time.sleep(0.1)
    parent = pathlib.Path(f"/proc/{vcpus[0]['thread-id']}/status").read_text()
    parent = re.search(r"Tgid:\s*(\d+)", parent)[1]
    ppid = re.search(r"PPid:\s*(\d+)", pathlib.Path(f"/proc/{parent}/status").read_text())[1]
    assert int(ppid) == nearmetal, "QEMU is the child of nearmetal"
    print("pinned to", ",".join(allowed))


def start(dry_run, scratch, paused):
    """The command of --dry-run, without what this machine does not have: GPUs, huge pages, KVM, NUMA."""
    text = pathlib.Path(dry_run).read_text()
    words = shlex.split(text[text.index("taskset -c"):].split("\n#")[0].replace("\\\n", " "))
    words = words[3:]
    out, dropped = [], 0
    i = 0
    while i < len(words):
        if words[i] == "-device" and words[i + 1].startswith("vfio-pci,"):
            dropped += 1
            i += 2
            continue
        out.append(words[i])
        i += 1
    out = [re.sub(r",host-nodes=\d+,policy=bind|,prealloc=on|,hugetlb=on,hugetlbsize=\w+", "", w) for w in out]
    qmp = pathlib.Path(scratch) / "shape.qmp"
    qmp.unlink(missing_ok=True)
    out[out.index("-qmp") + 1] = f"unix:{qmp},server=on,wait=off"
    out[out.index("-chardev") + 1] = "null,id=console"
    del out[out.index("-mon"):out.index("-mon") + 2]
    if paused:
        out.append("-S")
    environment = dict(os.environ, LC_ALL="C")
    return subprocess.Popen(out, stdin=subprocess.DEVNULL, env=environment), qmp, out, dropped


def values(words, option):
    return [words[i + 1] for i, w in enumerate(words[:-1]) if w == option]


def shape(dry_run, scratch):
    process, path, words, gpus = start(dry_run, scratch, True)
    try:
        qmp = connect(path, process)
        there = devices(qmp)
        ports = [keys(v) for v in values(words, "-device") if v.startswith("pcie-root-port,")]
        expanders = [keys(v) for v in values(words, "-device") if v.startswith("pxb-pcie,")]
        nodes = [keys(v) for v in values(words, "-numa") if v.startswith("node,")]
        for port in ports:
            at = f"/machine/peripheral/{port['id']}"
            assert qmp.get(at, "pref64-reserve") == size(port["pref64-reserve"])
            assert qmp.get(at, "mem-reserve") == size(port["mem-reserve"])
            assert there[port["id"]]["pci_bridge"]["bus"]["number"] >= 0
        for expander in expanders:
            assert str(qmp.get(f"/machine/peripheral/{expander['id']}", "numa_node")) == expander["numa_node"]
        assert len(expanders) == len(nodes), "an expander each node"
        buses = {bus["bus"] for bus in qmp("query-pci")}
        assert {int(e["bus_nr"]) for e in expanders} < buses | {-1}, buses
        memory = {m["id"]: m["size"] for m in qmp("query-memdev")}
        wanted = [keys(v) for v in values(words, "-object") if v.startswith("memory-backend-")]
        assert memory == {m["id"]: size(m["size"]) for m in wanted}, memory
        smp = keys("x," + values(words, "-smp")[0])
        cpus = qmp("query-cpus-fast")
        assert len(cpus) == int(smp["cpus"])
        per_socket = int(smp["cores"]) * int(smp["threads"])
        for cpu in cpus:
            props = cpu["props"]
            assert props["socket-id"] == cpu["cpu-index"] // per_socket, props
            assert props["thread-id"] == cpu["cpu-index"] % int(smp["threads"]), props
            if nodes:
                assert props["node-id"] == props["socket-id"], props
        print(f"{gpus} GPUs, {len(ports)} ports, {len(expanders)} expanders, {len(cpus)} CPUs")
        qmp("quit")
        assert process.wait(LIMIT) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def firmware(dry_run, scratch):
    process, path, words, _ = start(dry_run, scratch, False)
    try:
        qmp = connect(path, process)
        ports = {p["id"]: size(p["pref64-reserve"]) for p in (keys(v) for v in values(words, "-device")) if "pref64-reserve" in p}
        bits = int(keys("x," + values(words, "-cpu")[0])["phys-bits"])
        end = time.monotonic() + LIMIT
        while True:
            there = devices(qmp)
            windows = {}
            for name in ports:
                window = there[name]["pci_bridge"]["bus"]["prefetchable_range"]
                windows[name] = (window["base"], window["limit"])
            got = {n: limit + 1 - base if base and limit > base else 0 for n, (base, limit) in windows.items()}
            if all(got[n] >= ports[n] for n in ports):
                break
            assert process.poll() is None, "QEMU has ended"
            assert time.monotonic() < end, f"wanted {ports}, got {got}"
            time.sleep(0.5)
        for name, (base, limit) in windows.items():
            assert base >= 4 << 30 or ports[name] < 1 << 30, (name, hex(base))
            assert limit < 1 << bits, (name, hex(limit))
        ordered = sorted(windows.values())
        assert all(a[1] < b[0] for a, b in zip(ordered, ordered[1:])), ordered
        print("windows", {n: f"{got[n] >> 20} MiB at {windows[n][0]:#x}" for n in ports})
        qmp("quit")
        assert process.wait(LIMIT) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "live":
        live(arguments[0], *map(int, arguments[1:]))
    elif what == "quit":
        connect(arguments[0])("quit")
    else:
        {"shape": shape, "firmware": firmware}[what](*arguments)
