"""The tables in api/: what must hold for them whatever is in them, and that what is made from them is up to date."""

import re
import subprocess
import sys
import tempfile
import unittest
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "api" / "gen"))

import docs  # noqa: E402
import exports  # noqa: E402
import lock  # noqa: E402
import nvml  # noqa: E402
from model import TableError, read_rows, read_types  # noqa: E402

API = ROOT / "api"
TYPES = read_types(API / "types.toml")
CUDA = read_rows(API / "cuda.toml", TYPES, exported=True)
SESSION = read_rows(API / "session.toml", TYPES, exported=False)
BY_NAME = {r.name: r for r in CUDA}
VERSION = re.compile(r"(?P<base>.+?)(?:_v(?P<number>\d+))?$")


def rows_of(text: str):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as f:
        f.write(text)
        f.flush()
        return read_rows(Path(f.name), TYPES, exported=True)


class Functions(unittest.TestCase):
    def test_are_the_682_of_driver_580(self):
        names = exports.exported_names(CUDA)
        self.assertEqual(682, len(names))
        self.assertEqual(682, len(set(names)))
        for name in names:
            self.assertRegex(name, r"^(cu[A-Z]|cudbg[A-Z])\w+$")

    def test_numbers_are_unique_and_ours_start_at_1000(self):
        self.assertEqual([], [i for i, n in Counter(r.id for r in CUDA + SESSION).items() if n > 1])
        self.assertLess(max(r.id for r in CUDA), 1000)
        self.assertGreaterEqual(min(r.id for r in SESSION), 1000)
        self.assertLess(max(r.id for r in SESSION), 1 << 16)

    def test_twins_are_named_after_what_they_take(self):
        for r in CUDA:
            self.assertIn(r.twin, ("", "ptsz", "ptds"), r.name)
            if r.twin == "ptsz" and r.mode != "none":
                # Stream-ordered, or about a stream that stands in a struct (graph instantiation).
                takes = [a.type for a in r.args]
                self.assertTrue("stream" in takes or any("CUlaunchConfig" in t or "INSTANTIATE" in t for t in takes), r.name)
            if r.twin == "ptds" and r.mode != "none":
                self.assertFalse(any(a.type == "stream" for a in r.args), f"{r.name} takes a stream, so its twin is ptsz")

    def test_versions_of_a_function_follow_each_other(self):
        by_base = defaultdict(list)
        for r in CUDA:
            m = VERSION.match(r.name)
            by_base[m["base"]].append((int(m["number"] or 1), r.since))
        for base, versions in by_base.items():
            versions.sort()
            numbers = [n for n, _ in versions]
            self.assertEqual(len(numbers), len(set(numbers)), base)
            known = [since for _, since in versions if since]
            self.assertEqual(sorted(known), known, f"{base}: a later version came earlier")
            self.assertEqual(len(known), len(set(known)), f"{base}: two versions came with one release")

    def test_releases_look_like_releases(self):
        for r in CUDA:
            if r.since:
                self.assertTrue(2000 <= r.since <= 13000 and r.since % 10 == 0, f"{r.name}: {r.since}")
        without = {r.name for r in CUDA if not r.since}
        self.assertTrue(all(n.startswith("cudbg") or r.mode == "none" for n in without for r in [BY_NAME[n]]), without)


class ProcAddress(unittest.TestCase):
    """What cuGetProcAddress answers for a name and a release: the newest version that is not newer."""

    def answer(self, name: str, release: int) -> str:
        found = ""
        for line in exports.proc_table(CUDA).splitlines():
            m = re.match(r'\{"(\w+)", (\d+), NM_FN\((\w+)\), (?:NM_FN\((\w+)\)|nullptr)\},', line)
            self.assertTrue(m, line)
            if m[1] == name and int(m[2]) <= release:
                found = m[3]
        return found

    def test_names_and_releases(self):
        for name, release, expected in [
            ("cuGetProcAddress", 11030, "cuGetProcAddress"),  # five arguments here crash the 11.8 runtime
            ("cuGetProcAddress", 11080, "cuGetProcAddress"),
            ("cuGetProcAddress", 12000, "cuGetProcAddress_v2"),
            ("cuMemAlloc", 2000, "cuMemAlloc"),
            ("cuMemAlloc", 13000, "cuMemAlloc_v2"),
            ("cuCtxGetDevice", 12090, "cuCtxGetDevice"),
            ("cuCtxGetDevice", 13000, "cuCtxGetDevice_v2"),
            ("cuCtxSynchronize", 12090, "cuCtxSynchronize"),
            ("cuCtxSynchronize", 13000, "cuCtxSynchronize_v2"),
            ("cuStreamGetCaptureInfo", 10000, ""),
            ("cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2"),
            ("cuStreamGetCaptureInfo", 12030, "cuStreamGetCaptureInfo_v3"),
            ("cuMemAlloc_v2", 13000, ""),
        ]:
            self.assertEqual(expected, self.answer(name, release), f"{name} at {release}")

    def test_a_request_for_the_per_thread_stream_gets_the_twin(self):
        table = exports.proc_table(CUDA)
        self.assertIn('{"cuLaunchKernel", 4000, NM_FN(cuLaunchKernel), NM_FN(cuLaunchKernel_ptsz)},', table)
        self.assertIn('{"cuMemcpy", 4000, NM_FN(cuMemcpy), NM_FN(cuMemcpy_ptds)},', table)


class Wire(unittest.TestCase):
    def test_nothing_that_returns_is_posted(self):
        for r in CUDA + SESSION:
            if r.mode == "async":
                self.assertFalse([a.name for a in r.args if a.kind in ("out", "inout", "blob", "bulk_out")], r.name)

    def test_the_lock_sees_what_travels_and_nothing_else(self):
        one, two, three, four = [rows_of(f'[cuX]\nid = 1\nargs = {args}\n')[0] for args in (
            '["a: u32", "b: in byte[n]", "n: usize"]', '["x: u32", "y: in byte[z]", "z: usize"]',
            '["a: u64", "b: in byte[n]", "n: usize"]', '["b: in byte[n]", "a: u32", "n: usize"]')]
        layout = [lock.cuda_layout(r, TYPES) for r in (one, two, three, four)]
        self.assertEqual(layout[0], layout[1])  # names do not travel
        self.assertEqual(4 - 1, len(set(layout)))

    def test_the_lock_sees_a_struct_inside_a_struct(self):
        row = rows_of('[cuX]\nid = 1\nargs = ["a: in CUmemAccessDesc"]\n')[0]
        before = lock.cuda_layout(row, TYPES)
        layout = TYPES.structs["CUmemLocation"]["layout"]
        try:
            TYPES.structs["CUmemLocation"]["layout"] = layout.replace("int id", "int number")
            self.assertNotEqual(before, lock.cuda_layout(row, TYPES))
        finally:
            TYPES.structs["CUmemLocation"]["layout"] = layout


class Tables(unittest.TestCase):
    def refused(self, text: str, sentence: str):
        with self.assertRaisesRegex(TableError, sentence):
            rows_of(text)

    def test_mistakes_are_named(self):
        self.refused('[cuX]\nid = 1\n[cuY]\nid = 1\n', "id 1 belongs to cuX already")
        self.refused('[cuX]\nid = 1\nmode = "later"\n', "mode 'later'")
        self.refused('[cuX]\nid = 1\nargs = ["a: in byte[n]"]\n', "counts by 'n'")
        self.refused('[cuX]\nid = 1\nargs = ["a: wrong"]\n', "'wrong' is neither")
        self.refused('[cuX]\nid = 1\nmode = "async"\nargs = ["a: out u32"]\n', "cannot be async")
        self.refused('[cuX]\nid = 1\nargs = ["a: = void*"]\n', "raw C type")
        self.refused('[cuX]\nid = 1\nhook = 1\n', "unknown key hook")

    def test_every_function_has_its_place_on_the_coverage_page(self):
        page = docs.coverage(CUDA, nvml.read(API / "nvml.toml"))
        for r in CUDA:
            self.assertIn(f"`{r.name}`", page)
        self.assertIn("| **All** | 583 | 682 |", page)

    def test_what_is_kept_in_git_is_up_to_date(self):
        n = nvml.read(API / "nvml.toml")
        again = "run ./dev gen"
        self.assertTrue((API / "abi.lock").read_text() == lock.emit(CUDA + SESSION, TYPES, n), again)
        self.assertTrue((ROOT / "docs" / "coverage.md").read_text() == docs.coverage(CUDA, n), again)


class Generator(unittest.TestCase):
    def run_copy(self, spoil) -> subprocess.CompletedProcess:
        """The generator on a copy of the tables that `spoil` has changed."""
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            subprocess.run(["cp", "-r", str(API), str(root / "api")], check=True)
            (root / "docs").mkdir()
            subprocess.run(["cp", str(ROOT / "docs" / "coverage.md"), str(root / "docs")], check=True)
            spoil(root)
            command = [sys.executable, "-B", str(root / "api" / "gen"), str(root / "out")]
            return subprocess.run(command, capture_output=True, text=True)

    def test_makes_the_same_from_the_same(self):
        self.assertEqual(0, self.run_copy(lambda root: None).returncode)

    def test_refuses_a_changed_wire_that_nobody_has_locked(self):
        def spoil(root):
            table = root / "api" / "session.toml"
            table.write_text(table.read_text().replace('"ptr: devptr", "attribute: u32", "value: u64"',
                                                       '"ptr: devptr", "attribute: u32", "value: u32"'))
        run = self.run_copy(spoil)
        self.assertNotEqual(0, run.returncode)
        self.assertRegex(run.stderr, r"^api: api/abi.lock does not match the tables; run ./dev gen")
        self.assertEqual(1, len(run.stderr.splitlines()))

    def test_refuses_a_coverage_page_that_promises_too_much(self):
        def spoil(root):
            page = root / "docs" / "coverage.md"
            page.write_text(page.read_text().replace("Not carried", "Carried"))
        run = self.run_copy(spoil)
        self.assertNotEqual(0, run.returncode)
        self.assertRegex(run.stderr, r"^api: docs/coverage.md does not match the tables; run ./dev gen")


if __name__ == "__main__":
    unittest.main()
