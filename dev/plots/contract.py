# SPDX-License-Identifier: Apache-2.0
"""Draws the value contract: the counter's bits, the cut table and one trial. docs/contract.md shows them."""
import json
import math
import pathlib

from svg import WIDTH, Axes, arrow, box, path, picture, text

PROJECT = pathlib.Path(__file__).resolve().parents[2]


def counter():
    """The bits of Philox's counter and key."""
    parts = [text(0, 16, "128 bits of counter, 64 bits of key", "title")]
    left, width = 1, WIDTH - 2
    y = 30
    for title, fields in (
            ("counter x, y", ((56, "a", "index of the element, or of four"), (8, "b", "tag"))),
            ("counter z, w", ((64, "c", "subsequence: which tensor"),)),
            ("key", ((64, "d", "seed"),))):
        parts.append(text(0, y + 12, title, "small"))
        x = left
        for bits, style, name in fields:
            share = width * bits / 64
            parts += [box(x, y + 18, share - 2, 34, f"{style} soft"), text(x + share / 2, y + 40, name, "middle")]
            parts.append(text(x + share / 2, y + 67, f"{bits} bits", "small middle"))
            x += share
        y += 76
    parts.append(text(0, y + 14, "Tags keep the words of an element's trials apart", "title"))
    y += 26
    rows = (("0", "a", "heads: one block serves four elements"), ("1 – 63", "b", "retries: a block of the element's own"),
            ("128 – 190", "c", "29 more bits for float64"), ("191", "d", "bits for stochastic rounding"))
    for tag, style, name in rows:
        parts += [box(left, y, 84, 26, f"{style} soft"), text(left + 42, y + 18, tag, "middle"), text(96, y + 18, name)]
        y += 32
    return picture(y + 4, "The counter has 56 bits of index, 8 bits of tag and 64 bits of subsequence; the key is the seed.", parts)


def cells():
    """Rectangles under the cut curve: every 12th of the table's 252, and the cut."""
    table = json.loads((PROJECT / "src" / "core" / "ziggurat.json").read_text())["cut_at_2"]
    ends = [float.fromhex(x) for x in table["x"]]
    area = float.fromhex(table["area"])
    bottoms, y = [], 0.0
    for end in ends:
        bottoms.append(y)
        y += area / end
    axes = Axes(34, 30, WIDTH - 48, 230, (0, 2.3), (0, 1.02))
    parts = [text(0, 16, "The cut table: exp(-x²/2), ended at 2", "title")]
    parts += axes.frame([(k / 2, f"{k / 2:g}") for k in range(5)], [(0, "0"), (0.5, "0.5"), (1, "1")])
    step = 12
    for k in range(0, len(ends), step):  # twelve rectangles as one step, inside of the narrowest
        group = ends[k:k + step]
        top = bottoms[k + step] if k + step < len(ends) else y
        x = min(group)
        parts.append(path([(axes.x(0), axes.y(bottoms[k])), (axes.x(x), axes.y(bottoms[k])), (axes.x(x), axes.y(top)),
                           (axes.x(0), axes.y(top))], "a soft", closed=True))
    curve = [(x / 100, math.exp(-(x / 100) ** 2 / 2)) for x in range(0, 201)]
    parts += [axes.line(curve, "b"), axes.line([(2, 0), (2, math.exp(-2))], "b"),
              axes.line([(x / 100, math.exp(-(x / 100) ** 2 / 2)) for x in range(200, 230)], "e wanted")]
    parts += [text(34, 302, "Blue: rectangles, of equal area, wholly under the curve. 252 of 256", "small"),
              text(34, 318, "cells end there: one look-up, one product. The other 4 cells are the", "small"),
              text(34, 334, "strips beside the curve, where a point is tested. Drawn: one step for", "small"),
              text(34, 350, "12 rectangles. Nothing beyond 2 is drawn, so nothing there is lost.", "small")]
    return picture(358, "The area under the normal density up to 2, covered by rectangles of equal area.", parts)


def trial():
    """The way of one trial."""
    parts = [text(0, 16, "One trial of element i", "title")]
    parts += [box(1, 28, WIDTH - 2, 46), text(12, 47, "head word of i, 32 bits"),
              text(12, 66, "low 8 bits: the cell.  High 24 bits: the fraction k·2⁻²⁴, in (-1, 1)", "small")]
    parts += [arrow(110, 74, 110, 106), text(118, 94, "cell < 252 (98.4 %)", "small"),
              arrow(330, 74, 330, 106), text(322, 94, "cell ≥ 252 (1.6 %)", "small end")]
    parts += [box(1, 108, 212, 64), text(12, 128, "z = k·2⁻²⁴ · X[cell]"), text(12, 147, "one look-up, one product:", "small"),
              text(12, 163, "under the curve for certain", "small")]
    parts += [box(227, 108, 212, 64), text(238, 128, "a retry block of i"), text(238, 147, "chooses an edge box and a", "small"),
              text(238, 163, "point in it", "small")]
    parts += [arrow(330, 172, 330, 204), text(322, 192, "x² < -2·ln(y)?", "small end"), box(227, 206, 212, 46),
              text(238, 225, "under the curve: keep x"), text(238, 244, "else: the next trial, t + 1", "small")]
    parts += [arrow(110, 172, 110, 272), arrow(268, 252, 200, 272), box(1, 274, WIDTH - 2, 46), text(12, 293, "v = stddev · z, clamped to the bounds"),
              text(12, 312, "rounded once to float32, float16, bfloat16 or float8", "small")]
    return picture(326, "A trial: one look-up for 98.4 % of the words, else a point in an edge box that is kept under the curve.", parts)


PICTURES = {"counter": counter, "cells": cells, "trial": trial}
