#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/overview.svg: how an element's value comes about, and the rates of docs/speed.md.

    overview.py           writes the picture
    overview.py --check   fails if the picture is out of date
"""
import html
import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = PROJECT / "docs" / "overview.svg"
WIDTH, HEIGHT = 960, 330
STYLE = """
text { font: 15px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 13px; fill: #57606a } .title { font-weight: 600 }
.box { fill: #f6f8fa; stroke: #8c959f } .ours { fill: #1a7f37 } .theirs { fill: #8c959f } .arrow { stroke: #57606a; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .box { fill: #161b22; stroke: #6e7681 } .ours { fill: #3fb950 }
  .theirs { fill: #6e7681 } .arrow { stroke: #9198a1 } }
"""
STEPS = (  # title, two lines below it
    ("what you say", "seed 42, h.0.mlp.c_fc.weight", "element 1234, stddev 0.04"),
    ("a word", "Philox4x32-10, by counter:", "no state, any element alone"),
    ("a normal", "one table look-up for 98.4 %,", "exact rejection otherwise"),
    ("your dtype", "scaled in binary32,", "rounded once"),
)


def truncated_normal_rates():
    """The rows of docs/speed.md's table: name, and 10^9 truncated normals a second (the best of several)."""
    rows = {}
    for line in (PROJECT / "docs" / "speed.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"[\d.; ]+", cells[1]):
            rates = [float(rate) for rate in cells[1].split(";")]
            names = cells[0].split(";")
            first, *others = names
            stem = first.rsplit(" ", 1)[0] if others else first
            for name, rate in zip([first, *(f"{stem} {other.strip()}" for other in others)], rates):
                rows[name] = rate
    return rows


def text(x, y, words, style=""):
    return f'<text x="{x}" y="{y}" class="{style}">{html.escape(words)}</text>'


def picture():
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
             f"<style>{STYLE}</style>",
             '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
             '<path d="M0 0 L8 4 L0 8" class="arrow"/></marker></defs>']
    width, gap = 216, 32
    for number, (title, first, second) in enumerate(STEPS):
        x = number * (width + gap)
        parts += [f'<rect x="{x + 1}" y="1" width="{width - 2}" height="86" rx="8" class="box"/>', text(x + 14, 28, title, "title"),
                  text(x + 14, 52, first, "small"), text(x + 14, 72, second, "small")]
        if number + 1 < len(STEPS):
            parts.append(f'<path d="M{x + width + 4} 44 H{x + width + gap - 5}" class="arrow" marker-end="url(#tip)"/>')
    rows = truncated_normal_rates()
    ceiling = rows.pop("memory written by streaming stores")
    parts.append(text(0, 124, "Truncated normals, float32, one core, 10⁹ a second", "title"))
    left, y, scale = 210, 140, 560 / max(rows.values())
    for name, rate in sorted(rows.items(), key=lambda row: -row[1]):
        parts += [text(0, y + 15, name), f'<rect x="{left}" y="{y}" width="{max(rate * scale, 2):.1f}" height="20" rx="3" '
                  f'class="{"ours" if name == "fanin" else "theirs"}"/>', text(left + rate * scale + 10, y + 15, f"{rate:g}")]
        y += 28
    parts.append(text(0, y + 18, f"Streaming stores alone: {ceiling:g}. Processor, date, versions and commands: bench/RESULTS.md", "small"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    drawn = picture()
    if sys.argv[1:] == ["--check"]:
        if PICTURE.read_text() != drawn:
            sys.exit("docs/overview.svg is out of date; run dev/plots/overview.py")
    else:
        PICTURE.write_text(drawn)


if __name__ == "__main__":
    main()
