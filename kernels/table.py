"""Writes the table of kernels.h: every source with its variants, as PTX and as OpenCL C.

Usage: table.py SOURCES PTX OUT
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^#include "([a-z_0-9]+\.h)"$', re.MULTILINE)
PIECE = 8000  # characters of one string literal: compilers promise no more than 65,536, and long lines are slow to read


def whole(path, seen):
    """The text with its includes in place, each once."""

    def replaced(match):
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return whole(path.parent / match[1], seen)

    return INCLUDE.sub(replaced, path.read_text())


def literal(text):
    pieces = [text[i : i + PIECE] for i in range(0, len(text), PIECE)] or [""]
    # sv: the length is the literal's own; counting it would be more than a compiler does at compile time.
    return "\n".join(f'R"__({piece})__"' for piece in pieces) + "sv"


def main(sources, ptx, out):
    rows, texts = [], []
    for path in sorted(pathlib.Path(sources).glob("*.cl")):
        lines = path.read_text().splitlines()
        variants = lines[0].removeprefix("// variants: ").split()
        opencl = "" if "// apis: cuda" in lines[:2] else whole(path, set())
        name = path.name.removesuffix(".cl")
        texts.append(f"constexpr std::string_view k_{name}_cl =\n{literal(opencl)};\n")
        for variant in variants:
            text = (pathlib.Path(ptx) / f"{name}.{variant}.ptx").read_text()
            target = "sm_90a" if "// target: sm_90a" in lines[:3] else "sm_90" if variant == "sm90" else ""
            if target:
                # The compiler does not know this target, only the driver does.
                text = text.replace(".version 7.5", ".version 8.0", 1).replace(".target sm_80", f".target {target}", 1)
            texts.append(f"constexpr std::string_view k_{name}_{variant} =\n{literal(text)};\n")
            rows.append(f'    {{"{name}", "{variant}", k_{name}_{variant}, k_{name}_cl}},\n')
    pathlib.Path(out).write_text(
        "// Made from kernels/ by table.py; edit the sources, not this.\n"
        '#include "kernels/kernels.h"\n\nnamespace nm::kernels {\nnamespace {\nusing namespace std::string_view_literals;\n'
        + "".join(texts)
        + "constexpr Source kSources[] = {\n"
        + "".join(rows)
        + "};\n}  // namespace\n\n"
        "std::span<const Source> all() { return kSources; }\n\n"
        "const Source* find(std::string_view name, std::string_view variant) {\n"
        "  for (const Source& source : kSources) {\n"
        "    if (source.name == name && source.variant == variant) return &source;\n"
        "  }\n"
        "  return nullptr;\n}\n\n}  // namespace nm::kernels\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
