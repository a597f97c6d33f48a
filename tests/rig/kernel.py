"""The kernel that the rig's machines boot: a distribution's own, taken apart and never installed.

A distribution's kernel comes as packages: the image, and its modules in the same package (Debian) or in two more (Ubuntu).
`kernel.py fetch DIR` downloads those with apt and unpacks them below DIR, once; `./dev test` does so where it installs the
other things that tests need, since a test itself uses no network. find() then takes what lies there, or a kernel that this
machine has installed with all its modules, or says why there is none.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

METAPACKAGES = ("linux-image-amd64", "linux-image-generic")  # Debian's, Ubuntu's
PART = re.compile(r"linux-(?:image|modules|modules-extra)-\d[\w.+-]*$")
# Without these the rig's machines make no sense; a cloud or container kernel lacks them.
NEEDED = ("vfio-pci", "bochs", "virtio_blk")


@dataclasses.dataclass(frozen=True)
class Kernel:
    version: str
    image: pathlib.Path
    root: pathlib.Path  # has lib/modules/VERSION

    @property
    def modules(self):
        return self.root / "lib/modules" / self.version


class NoKernel(Exception):
    """A sentence for who runs the test."""


def _output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _dependencies(package):
    """Names that `package` depends on, the first of alternatives only."""
    names, alternative = [], False
    for line in _output("apt-cache", "depends", "--important", package).splitlines():
        match = re.match(r"\s+(\|?)Depends: (\S+)", line)
        if match:
            if not alternative:
                names.append(match[2])
            alternative = bool(match[1])
    return names


def _packages():
    """The packages that together are this distribution's newest kernel."""
    for meta in METAPACKAGES:
        try:
            wanted = [name for name in _dependencies(meta) if PART.match(name)]
        except (OSError, subprocess.CalledProcessError):
            continue
        found = []
        while wanted:
            name = wanted.pop()
            if name not in found:
                found.append(name)
                wanted += [other for other in _dependencies(name) if PART.match(other)]
        if found:
            return sorted(found)
    raise NoKernel("apt knows no kernel package (neither " + " nor ".join(METAPACKAGES) + "): run `apt-get update`, or "
                   "install a kernel with its modules.")


def fetch(directory):
    """Downloads and unpacks a kernel below `directory`, unless one is there already."""
    directory.mkdir(parents=True, exist_ok=True)
    if _in(directory / "root"):
        return
    packages = _packages()
    print("Fetching " + " ".join(packages), file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        root = pathlib.Path(scratch) / "root"
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=scratch, check=True,
                       stdout=sys.stderr)
        for package in sorted(pathlib.Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, root], check=True)
        # Where /lib is a link into /usr, a package may have its modules there.
        if not (root / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        for version in _versions(root):
            subprocess.run(["depmod", "-b", root, version], check=True)
        if not _in(root):
            raise NoKernel(f"{' '.join(packages)} have no kernel with the modules {', '.join(NEEDED)}.")
        shutil.rmtree(directory / "root", ignore_errors=True)
        root.rename(directory / "root")


def _versions(root):
    modules = root / "lib/modules"
    return sorted((path.name for path in modules.iterdir()), reverse=True) if modules.is_dir() else []


def _in(root):
    for version in _versions(root):
        image = root / "boot" / f"vmlinuz-{version}"
        try:
            index = (root / "lib/modules" / version / "modules.dep").read_text()
            with image.open("rb"):
                pass
        except OSError:
            continue
        if all(re.search(rf"/{name}\.ko", index) for name in NEEDED):
            return Kernel(version, image, root)
    return None


def find(directory):
    found = _in(directory / "root") or _in(pathlib.Path("/"))
    if not found:
        raise NoKernel(f"no kernel to boot: none was fetched into {directory} (`./dev test` does, or "
                       f"`python3 tests/rig/kernel.py fetch {directory}`), and none is installed with the modules "
                       f"{', '.join(NEEDED)}.")
    return found


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "fetch":
        sys.exit(__doc__)
    try:
        fetch(pathlib.Path(sys.argv[2]))
    except NoKernel as error:
        sys.exit(f"kernel.py: {error}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"kernel.py: the kernel could not be fetched: {error}. The rig's tests will be skipped.")


if __name__ == "__main__":
    main()
