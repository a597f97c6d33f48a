"""Runs tests on a real kernel with a real IOMMU and real VFIO, on simulated GPUs: boots L1 (machine.py) and has it run files
of t/, which are shell scripts beside the nearmetal that was built. README.md has the drawing.

    rig.py BUILD TEST...      boot once and run these files of t/ (names without .sh)
    rig.py BUILD --boot NAME  the tests that share this boot
    rig.py BUILD --shell      a shell in L1 instead; --machine chooses which L1
    rig.py --list             the boots: name, seconds until it is given up, and whether only --rig-all runs it

A test says in comment lines of its own what it needs:

    # boot: NAME     tests of one name share a machine; else it has its own, with its own name
    # machine: NAME  of machine.py; full where nothing is said
    # cuts: COUNT    of the power that it asks for at most (0)
    # limit: SECONDS of wall time (600) for each time that it is started; generous, since machines are loaded
    # all            only with `./dev test --rig-all`

What lies in t/open/ is in no list and runs only by name (open/NAME): it has not passed yet.

A test that prints "@rig powercut" has the machine killed as it is, booted again with the same disk, and is started again
with RIG_CUTS one higher.

Status 0: all passed. 1: not. 77: this machine has no kernel or no QEMU for it, and the sentence says what to install. What a
test prints is shown as it comes; if anything fails, the end of L1's console follows. Nothing is waited for without a limit,
and L1 dies with this process.
"""

import argparse
import ctypes
import dataclasses
import pathlib
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time

import image
import kernel
import machine

TESTS = image.HERE / "t"
BOOT_LIMIT = 600
SLACK = 60  # L1 keeps a test's limit itself; this much later it is taken to be stuck


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    boot: str
    machine: str
    limit: int
    cuts: int
    all: bool


def read_test(path):
    said = dict(re.findall(r"^# (boot|machine|limit|cuts): *(\S+)$", path.read_text(), re.MULTILINE))
    test = Test(str(path.relative_to(TESTS).with_suffix("")), said.get("boot", path.stem),
                said.get("machine", "full"), int(said.get("limit", 600)),
                int(said.get("cuts", 0)),
                bool(re.search(r"^# all$", path.read_text(), re.MULTILINE)))
    if test.machine not in machine.MACHINES:
        sys.exit(f"{path}: there is no machine {test.machine}; there are {', '.join(machine.MACHINES)}.")
    return test


def boots():
    """{name: its tests}"""
    found = {}
    for path in sorted(TESTS.glob("*.sh")):
        test = read_test(path)
        found.setdefault(test.boot, []).append(test)
    for name, tests in found.items():
        if len({(test.machine, test.all) for test in tests}) > 1:
            sys.exit(f"The tests of boot {name} want different machines, or are only in part for --rig-all: "
                     f"{', '.join(test.name for test in tests)}.")
    return found


class Stuck(Exception):
    pass


class L1:
    """One machine, running. Lines of its report come out of line()."""

    def __init__(self, argv, words):
        def die_with_parent():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

        self.words = words  # a file for what QEMU itself says
        with words.open("wb") as errors:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                            preexec_fn=die_with_parent)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.pending = b""

    def line(self, deadline):
        """The next line, or None when the machine has ended."""
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise Stuck
            data = self.process.stdout.read1()
            if not data:
                return None
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def cut_power(self):
        self.process.kill()
        self.process.communicate()
        return self.words.read_text(errors="replace")


class Run:
    """Some tests of one machine, through as many power cuts as they ask for."""

    def __init__(self, tests, argv_of, words, fresh_disk):
        self.tests = {test.name: test for test in tests}
        self.argv_of, self.words, self.fresh_disk = argv_of, words, fresh_disk
        self.remaining = list(self.tests)
        self.cuts = dict.fromkeys(self.tests, 0)
        self.failed, self.passed, self.complaint = [], [], None

    def go(self):
        while self.remaining and not self.complaint:
            # After a power cut the test that asked for it is the first of those that remain.
            parameters = f"rig.tests={','.join(self.remaining)} rig.cuts={self.cuts[self.remaining[0]]}"
            l1 = L1(self.argv_of(parameters), self.words)
            try:
                self._until_end(l1)
            finally:
                words = l1.cut_power().strip()
            if words:
                print(f"QEMU said: {words}", flush=True)
        self.failed += [name for name in self.remaining if name not in self.failed]

    def _until_end(self, l1):
        running, deadline = None, time.monotonic() + BOOT_LIMIT
        while True:
            try:
                line = l1.line(deadline)
            except Stuck:
                self.complaint = f"{running} neither ended nor was stopped in time" if running else "L1 did not come up"
                return
            if line is None:
                self.complaint = f"L1 ended during {running}" if running else "L1 ended before its tests"
                return
            if not line.startswith("@rig "):
                print(f"  {line}", flush=True)
                continue
            _, what, *words = line.split()
            if what == "up":
                print(f"L1 is up after {words[0]} s.", flush=True)
            elif what == "start":
                running, deadline = words[0], time.monotonic() + self.tests[words[0]].limit + SLACK
                print(f"--- {running}", flush=True)
            elif what == "end":
                name, status = words
                self.remaining.remove(name)
                (self.passed if status == "0" else self.failed).append(name)
                print(f"--- {name}: {'passed' if status == '0' else f'FAILED with status {status}'}", flush=True)
                running, deadline = None, time.monotonic() + BOOT_LIMIT
                if status != "0" and self.remaining:
                    self.fresh_disk()  # what it left is not to fail the others
                    return
            elif what == "powercut":
                self.cuts[running] += 1
                print("--- the power is cut", flush=True)
                if self.cuts[running] > self.tests[running].cuts:
                    self.complaint = f"{running} wants more power cuts than it said"
                return
            elif what == "broken":
                self.complaint = "L1: " + " ".join(words)
                return
            elif what == "done":
                if self.remaining:
                    self.complaint = f"L1 did not run {', '.join(self.remaining)}"
                return


def tail(console, lines=60):
    try:
        text = console.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return
    print(f"--- the last {len(text)} lines of L1's console")
    print("\n".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in text), flush=True)


def run(build, tests, machine_name, shell):
    work = build / "rig"
    image.program("qemu-system-x86_64")
    found = kernel.find(work / "kernel")
    initramfs = image.make(found, work)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        scratch = pathlib.Path(scratch)
        payload, state, console = scratch / "payload", scratch / "state", scratch / "console"
        image.payload(build, payload)

        def fresh_disk():
            with state.open("wb") as disk:
                disk.truncate(64 << 20)
            subprocess.run([image.program("mke2fs"), "-q", "-F", "-t", "ext4", state], check=True)

        def argv_of(parameters, to=console):
            return machine.command(machine_name, found.image, initramfs, payload, state, to, parameters)

        fresh_disk()
        if shell:
            return subprocess.run(argv_of("rig.shell", "interactive")).returncode
        going = Run(tests, argv_of, scratch / "words", fresh_disk)
        going.go()
        if going.complaint:
            print(f"FAILED: {going.complaint}.", flush=True)
        if going.failed or going.complaint:
            tail(console)
        print(f"{len(going.passed)} passed{', failed: ' + ', '.join(going.failed) if going.failed else ''}", flush=True)
        return 1 if going.failed or going.complaint or not going.passed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, nargs="?")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--boot", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shell", action="store_true")
    parser.add_argument("--machine", choices=list(machine.MACHINES))
    given = parser.parse_args()
    if given.list:
        for name, tests in sorted(boots().items()):
            limit = BOOT_LIMIT + sum((test.limit + SLACK) * (1 + test.cuts) + BOOT_LIMIT * test.cuts for test in tests)
            print(f"{name} {limit} {'all' if tests[0].all else 'some'}")
        return 0
    if not given.build:
        parser.error("which build directory?")
    if given.boot:
        tests = boots().get(given.boot) or parser.error(f"there is no boot {given.boot}")
    else:
        for name in given.tests:
            if not (TESTS / f"{name}.sh").exists():
                parser.error(f"there is no test {name} in {TESTS}")
        tests = [read_test(TESTS / f"{name}.sh") for name in given.tests]
    wanted = {given.machine} if given.machine else {test.machine for test in tests} or {"full"}
    if len(wanted) > 1 or not (tests or given.shell):
        parser.error("tests of one machine, or --shell")
    try:
        return run(given.build.resolve(), tests, wanted.pop(), given.shell)
    except (kernel.NoKernel, image.Missing) as lacking:
        print(f"skipped: {lacking}")
        return 77
    except image.NotBuilt as lacking:
        print(f"FAILED: {lacking}")
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
