"""The report's page in a real browser: nothing overflows, everything is drawn, words can be read in light and in dark.

Usage: page_test.py NM_REPORT_EXAMPLE   (a program that prints a page)
"""

import pathlib
import subprocess
import sys
import tempfile

import browser

# Every piece of text with its colour and what is behind it: the nearest ancestor with a ground of its own.
CONTRAST = """
const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3); };
const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
                     return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || e.closest('title,style') || !e.getClientRects().length) continue;
  const svg = e instanceof SVGElement, style = getComputedStyle(e);
  const colour = parse(svg ? style.fill : style.color);
  const a = light(colour), b = light(ground(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push(walk.currentNode.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
}
return found;
"""

# Texts of one picture that lie on each other.
OVERLAPS = """
const found = [];
for (const svg of document.querySelectorAll('svg')) {
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]).filter(b => b[1].width > 0);
  for (let i = 0; i < boxes.length; ++i) for (let j = i + 1; j < boxes.length; ++j) {
    const [a, p] = boxes[i], [b, q] = boxes[j];
    if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3) found.push(a + ' | ' + b);
  }
}
return found;
"""

OUTSIDE = """
const found = [];
for (const svg of document.querySelectorAll('svg')) {
  const frame = svg.getBoundingClientRect();
  for (const e of svg.querySelectorAll('text,circle,path')) {
    const box = e.getBoundingClientRect();
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
      found.push((e.textContent || e.tagName).slice(0, 40));
  }
}
return found;
"""


def main(program):
    reason = browser.missing()
    if reason:
        print(f"skipped: {reason}")
        return 77
    failures = []

    def expect(right, what):
        print(("ok      " if right else "NOT OK  ") + what)
        if not right:
            failures.append(what)

    with tempfile.TemporaryDirectory() as folder, browser.Browser() as page:
        path = pathlib.Path(folder) / "report.html"
        path.write_bytes(subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout)
        for dark in (False, True):
            for width in (1100, 420):
                name = f"{'dark' if dark else 'light'}, {width} wide: "
                page.open(path.as_uri(), dark, width)
                # Whatever is folded away must be good to look at as well.
                page.run("for (const d of document.querySelectorAll('details')) d.open = true")
                over = page.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                expect(over <= 0, f"{name}no sideways scrolling ({over} px)")
                weak = page.run(CONTRAST)
                expect(not weak, f"{name}every text has a contrast of 4.5 ({weak[:5]})")
                if width == 1100:
                    laid = page.run(OVERLAPS)
                    expect(not laid, f"{name}no text lies on another ({laid[:5]})")
                    outside = page.run(OUTSIDE)
                    expect(not outside, f"{name}nothing is drawn outside its picture ({outside[:5]})")
        marks = page.run("return document.querySelectorAll('.mark .dot').length")
        expect(marks == 18, f"a dot for every figure and target ({marks})")
        drawn = page.run("return [...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().height > 20)")
        expect(drawn, "every picture has a height")
        ground = []
        for dark in (False, True):
            page.open(path.as_uri(), dark)
            ground.append(page.run("return getComputedStyle(document.body).backgroundColor"))
        expect(ground[0] != ground[1], f"light and dark differ ({ground})")
        complaints = page.complaints()
        expect(not complaints, f"the console is silent ({complaints[:3]})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
