"""The manual page has every option that --help lists and every variable that the sources read, and no others.

usage: manual_test.py BIN
"""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = (ROOT / "packaging/nearmetal.1").read_text().replace("\\-", "-")
READ = re.compile(r'getenv\("(NEARMETAL_[A-Z_]+)"\)')


def section(title, kind="SS"):
    return PAGE.split(f".{kind} {title}\n", 1)[1].split("\n.S", 1)[0]


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


class Manual(unittest.TestCase):
    def test_has_the_options_of_every_verb(self):
        for verb, title in (("run", "nearmetal run"), ("gpus", "nearmetal gpus"), ("doctor", "nearmetal doctor"),
                            ("attach", "nearmetal attach"), ("detach", "nearmetal detach"),
                            ("release", "nearmetal release"), ("recover", "nearmetal recover"),
                            ("status", "nearmetal status"), ("top", "nearmetal top"), ("vm run", "nearmetal vm run"),
                            ("bench list", "nearmetal bench list"), ("bench run", "nearmetal bench run"),
                            ("bench compare", "nearmetal bench compare"),
                            ("bench report", "nearmetal bench report"), ("pool init", "nearmetal pool init"),
                            ("pool invite", "nearmetal pool invite"), ("pool join", "nearmetal pool join"),
                            ("pool revoke", "nearmetal pool revoke"), ("pool members", "nearmetal pool members"),
                            ("pool simulate", "nearmetal pool simulate"), ("serve", "nearmetal serve, nearmetald")):
            shown = subprocess.run([BIN / "nearmetal", *verb.split(), "--help"], capture_output=True, text=True, check=True).stdout
            listed = options(shown.split("Options:")[1].split("Example:")[0]) - {"--help"}
            self.assertEqual(listed, options(section(title)), verb)

    def test_has_the_variables_that_the_sources_read(self):
        sources = [p for p in (ROOT / "src").rglob("*.cc") if not p.name.endswith("_test.cc")]
        read = {name for p in sources for name in READ.findall(p.read_text())}
        listed = set(re.findall(r"^\.B (NEARMETAL_[A-Z_]+)$", section("ENVIRONMENT", "SH"), re.MULTILINE))
        self.assertEqual(read, listed)

    def test_has_the_variables_that_travel_to_the_server(self):
        hello = (ROOT / "src/wire/hello.h").read_text()
        forwarded = re.findall(r'"(CUDA_[A-Z_]+)"', hello.split("kForwardedEnv = {", 1)[1].split("};", 1)[0])
        self.assertGreater(len(forwarded), 1)
        for name in forwarded:
            self.assertIn(name, section("ENVIRONMENT", "SH"))

    def test_has_the_keys_of_the_configuration(self):
        keys = set(re.findall(r'\{"([a-z_]+)", \{"', (ROOT / "src/cmd/config.cc").read_text()))
        self.assertGreater(len(keys), 5)
        for key in keys:
            self.assertRegex(PAGE, rf"\b{key}\b")


if __name__ == "__main__":
    BIN = pathlib.Path(sys.argv.pop(1))
    unittest.main()
