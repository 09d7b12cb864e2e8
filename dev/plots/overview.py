#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/overview.svg: how an element's value comes about, and the rates of docs/speed.md.

    overview.py           writes the picture
    overview.py --check   fails if the picture is out of date
"""
import pathlib
import re
import sys

from svg import WIDTH, arrow, box, path, text
from svg import picture as svg_picture

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = PROJECT / "docs" / "overview.svg"
STEPS = (  # title, two lines below it
    ("what you say", "seed 42, mlp.c_fc.weight,", "element 1234, stddev 0.04"),
    ("a word", "Philox4x32-10, by counter:", "no state, any element alone"),
    ("a normal", "a table look-up for 98.4 %,", "exact rejection otherwise"),
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


def picture():
    width, height, gap = (WIDTH - 30) / 2, 78, 30
    parts = []
    for number, (title, first, second) in enumerate(STEPS):  # two rows of two
        x, y = number % 2 * (width + gap), number // 2 * (height + gap)
        parts += [box(x + 1, y + 1, width - 2, height - 2, radius=8), text(x + 10, y + 24, title, "title"),
                  text(x + 10, y + 46, first, "small"), text(x + 10, y + 64, second, "small")]
    right, below = width + gap + 20, 2 * height + gap
    parts += [arrow(width + 3, height / 2, width + gap - 4, height / 2), arrow(width + 3, below - height / 2, width + gap - 4, below - height / 2),
              path([(right, height + 2), (right, height + gap / 2), (20, height + gap / 2)], "arrow"),
              arrow(20, height + gap / 2, 20, height + gap - 3)]
    rows = truncated_normal_rates()
    ceiling = rows.pop("memory written by streaming stores")
    top = below + 34
    parts.append(text(0, top, "Truncated normals, float32, one core, 10⁹ a second", "title"))
    left, y, scale = 136, top + 14, (WIDTH - 180) / max(rows.values())
    for name, rate in sorted(rows.items(), key=lambda row: -row[1]):
        parts += [text(0, y + 15, name), box(left, y, max(rate * scale, 2), 20, "ours" if name == "fanin" else "theirs", 3),
                  text(left + rate * scale + 8, y + 15, f"{rate:g}")]
        y += 26
    parts += [text(0, y + 16, f"Streaming stores alone: {ceiling:g}. Processor, date, versions, commands:", "small"),
              text(0, y + 32, "bench/RESULTS.md", "small")]
    return svg_picture(y + 40, "From seed, name and index to a word, a normal and your dtype; and the rates of truncated normals.", parts)


def main():
    drawn = picture()
    if sys.argv[1:] == ["--check"]:
        if PICTURE.read_text() != drawn:
            sys.exit("docs/overview.svg is out of date; run dev/plots/overview.py")
    else:
        PICTURE.write_text(drawn)


if __name__ == "__main__":
    main()
