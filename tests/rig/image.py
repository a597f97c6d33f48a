"""What L1, the machine with the simulated GPUs, boots: a small Linux with a real QEMU, kmod and busybox in it.

Made of what this machine has installed: each program with the libraries that ldd names, the kernel's modules that the tests
want, and QEMU's firmware. The result is one uncompressed cpio archive (a kernel unpacks that fastest), named after a hash of
all that it is made of: it is made once, and anew when a part changes. nearmetal itself and the tests are not in it; they
change all the time and travel on a disk of their own: payload().
"""

import fcntl
import hashlib
import io
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

# Host drivers of the simulated devices, what passthrough needs, disks, and nested virtualisation for a Linux L2.
L1_MODULES = ("vfio-pci", "vfio_iommu_type1", "bochs", "qxl", "virtio-gpu", "snd-hda-intel", "e1000e", "virtio_pci",
              "virtio_blk", "ext4", "crc32c_generic", "kvm-amd")
L2_MODULES = ("bochs", "virtio_pci", "virtio-gpu")
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin")
DIRECTORIES = ("bin", "dev", "etc", "l2", "lib64", "mnt", "proc", "rig", "root", "run", "sbin", "sys", "tmp", "usr/bin",
               "usr/lib", "usr/sbin", "usr/share/qemu", "var/lib", "var/log")


class Missing(Exception):
    """A sentence that names what this machine lacks: the tests are skipped."""


class NotBuilt(Exception):
    """A sentence that names what is not there and should be: the tests fail."""


def program(name):
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if not found:
        raise Missing(f"{name} is not installed (packaging/debian-test-packages.txt).")
    return pathlib.Path(found)


def libraries(binary):
    """The shared libraries that `binary` needs, under the names by which it asks for them."""
    text = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    return [pathlib.Path(match) for match in re.findall(r"(/\S+) \(0x", text)]


class Tree:
    """Files of an archive: path without leading slash -> (mode, bytes or link's target)."""

    def __init__(self):
        self.entries = {}

    def directory(self, path):
        parts = pathlib.PurePosixPath(path).parts
        for depth in range(1, len(parts) + 1):
            self.entries.setdefault("/".join(parts[:depth]), (0o040755, b""))

    def data(self, path, data, mode=0o644):
        self.directory(str(pathlib.PurePosixPath(path).parent))
        self.entries[path] = (0o100000 | mode, data)

    def link(self, path, target):
        self.directory(str(pathlib.PurePosixPath(path).parent))
        self.entries[path] = (0o120777, target.encode())

    def file(self, path, source, mode=None):
        source = pathlib.Path(source)
        self.data(path, source.read_bytes(), (source.stat().st_mode & 0o777) if mode is None else mode)

    def binary(self, source, path=None):
        """A program with its libraries."""
        self.file(path or f"usr/bin/{pathlib.Path(source).name}", source, 0o755)
        for library in libraries(source):
            self.file(str(library).lstrip("/"), library, 0o755)

    def cpio(self):
        """The archive in the kernel's "newc" form."""
        out = io.BytesIO()
        for number, (path, (mode, data)) in enumerate([*sorted(self.entries.items()), ("TRAILER!!!", (0, b""))], 1):
            name = path.encode() + b"\0"
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
            out.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
            out.write(b"\0" * (-out.tell() % 4))
            out.write(data)
            out.write(b"\0" * (-out.tell() % 4))
        return out.getvalue()


def modules(kernel, names):
    """{path below lib/modules: bytes} of the modules and all that they need, uncompressed and in order of loading."""
    found = {}
    for name in names:
        shown = subprocess.run([program("modprobe"), "-d", kernel.root, "-S", kernel.version, "--show-depends", name],
                               capture_output=True, text=True)
        if shown.returncode:
            raise Missing(f"the kernel {kernel.version} has no module {name}: {shown.stderr.strip()}")
        for line in shown.stdout.splitlines():
            if not line.startswith("insmod "):
                continue  # "builtin NAME"
            path = pathlib.Path(line.split()[1])
            inner = str(path).split("/lib/modules/", 1)[1]
            unpack = {".zst": "zstd", ".xz": "xz", ".gz": "gzip"}.get(path.suffix)
            if unpack:
                inner = inner.removesuffix(path.suffix)
            if inner not in found:
                found[inner] = subprocess.run([program(unpack), "-dc", path], check=True,
                                              capture_output=True).stdout if unpack else path.read_bytes()
    return found


def firmware(name):
    places = [folder / name for folder in map(pathlib.Path, ("/usr/share/qemu", "/usr/share/seabios"))]
    found = next((path for path in places if path.exists()), None)
    if not found:
        raise Missing(f"QEMU's {name} is not installed (package seabios or qemu-system-data).")
    return found


def _busybox(tree):
    busybox = program("busybox")
    if libraries(busybox):
        raise Missing(f"{busybox} is not the static one: install busybox-static.")
    tree.file("bin/busybox", busybox, 0o755)
    return subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()


def l2_linux(kernel):
    """The initramfs of a Linux L2."""
    tree = Tree()
    for path in ("bin", "dev", "proc", "sys", "modules"):
        tree.directory(path)
    for applet in _busybox(tree):
        if applet != "busybox":
            tree.link(f"bin/{applet}", "busybox")
    for number, (path, data) in enumerate(modules(kernel, L2_MODULES).items()):
        tree.data(f"modules/{number:02}-{pathlib.PurePosixPath(path).name}", data)
    tree.file("init", HERE / "l2/linux-init", 0o755)
    return tree.cpio()


def l1(kernel, scratch):
    tree = Tree()
    for path in DIRECTORIES:
        tree.directory(path)
    applets = _busybox(tree)
    for name in ("qemu-system-x86_64", "kmod"):
        tree.binary(program(name).resolve(), f"usr/bin/{name}")
    kmod_names = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod")
    for name in kmod_names:
        tree.link(f"usr/sbin/{name}", "../bin/kmod")
    for applet in applets:
        if applet != "busybox" and applet not in kmod_names:
            tree.link(f"bin/{applet}", "busybox")
    for plugin in pathlib.Path("/usr/lib").glob("*/qemu/accel-tcg-x86_64.so"):
        tree.file(str(plugin).lstrip("/"), plugin)
    for name in FIRMWARE:
        tree.file(f"usr/share/qemu/{name}", firmware(name))

    # depmod writes its index for exactly what is there.
    root = scratch / "root"
    for path, data in modules(kernel, L1_MODULES).items():
        target = root / "lib/modules" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (kernel.modules / name).exists():
            shutil.copy(kernel.modules / name, root / "lib/modules" / kernel.version / name)
    subprocess.run([program("depmod"), "-b", root, kernel.version], check=True)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            tree.file(str(path.relative_to(root)), path, 0o644)

    tree.file("l2/vmlinuz", kernel.image, 0o644)
    tree.data("l2/initrd", l2_linux(kernel))
    tree.file("etc/os-release", "/etc/os-release", 0o644)
    tree.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    tree.data("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    tree.file("init", HERE / "l1/init", 0o755)
    return tree


def _digest(kernel):
    """Of all that goes into L1, without reading it again each time: our own files by content, installed ones by the size and
    time that a package's update changes."""
    sha = hashlib.sha256(kernel.version.encode())
    for path in (__file__, HERE / "l1/init", HERE / "l2/linux-init", "/etc/os-release"):
        sha.update(pathlib.Path(path).read_bytes())
    programs = [program("busybox"), *(program(name).resolve() for name in ("qemu-system-x86_64", "kmod"))]
    installed = [kernel.image, kernel.modules / "modules.dep", *programs, *map(firmware, FIRMWARE)]
    for path in installed + [library for name in programs for library in libraries(name)]:
        status = path.stat()
        sha.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return sha.hexdigest()[:16]


def make(kernel, directory):
    """The path of L1's initramfs in `directory`; made if its parts are not what they were."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:  # two tests may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        image = directory / f"l1-{_digest(kernel)}.cpio"
        if not image.exists():
            for old in directory.glob("l1-*.cpio"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                partial = pathlib.Path(scratch) / "l1.cpio"
                partial.write_bytes(l1(kernel, pathlib.Path(scratch)).cpio())
                partial.rename(image)
        return image


def payload(build, path):
    """A tar archive, as a disk's contents, of what is tested and the tests: unpacked over L1's root when it has booted."""
    tree = Tree()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("nearmetal",):
            source = build / "bin" / name
            if not source.exists():
                raise NotBuilt(f"{source} is not built.")
            stripped = pathlib.Path(scratch) / name  # its symbols are ten times its code
            subprocess.run([program("strip"), "-o", stripped, source], check=True)
            tree.binary(stripped, f"usr/bin/{name}")
    for built, name in (("l2/drive.elf", "l2/drive.elf"), ("libnm_rig_die.so", "rig/die.so")):
        source = build / "tests/rig" / built
        if not source.exists():
            raise NotBuilt(f"{source} is not built.")
        tree.file(name, source)
    for source in sorted([*HERE.glob("l1/*.sh"), *HERE.glob("t/**/*.sh")]):
        tree.file(f"rig/{source.relative_to(HERE)}", source, 0o755)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (mode, data) in sorted(tree.entries.items()):
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode & 0o777, len(data)
            if mode >> 12 == 0o04:
                info.type, info.size = tarfile.DIRTYPE, 0
            archive.addfile(info, io.BytesIO(data))
