# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/*.svg from the numbers in dev/plots/measured.json, which measure.py writes, and docs/speed.md.

    figures.py            writes the pictures
    figures.py --check    fails if a picture is out of date
"""
import json
import math
import sys

import contract
import overview
from svg import WIDTH, Axes, box, legend, picture, text

PROJECT = contract.PROJECT
IMAGES = PROJECT / "docs" / "images"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(base, exponent):
    return f"{base}{str(exponent).translate(SUPERSCRIPTS)}"


def rivals(_):
    """The rates of docs/speed.md, on a logarithmic scale, because they lie apart by a factor of 200."""
    rows = dict(overview.truncated_normal_rates())
    parts = [text(0, 16, "Truncated normals, float32, one core", "title"), text(0, 34, "10⁹ a second; each line is ten times the one before", "small")]
    axes = Axes(150, 46, WIDTH - 196, 28 * len(rows), (0.01, 10), (0, 1), x_base=10)
    parts += [f'<path d="M{axes.x(10 ** k):.1f} 46 V{46 + 28 * len(rows)}" class="grid"/>' for k in range(-2, 2)]
    for number, (name, rate) in enumerate(sorted(rows.items(), key=lambda row: -row[1])):
        y = 46 + 28 * number
        short = name.replace("memory written by streaming stores", "memory alone").replace("Keras on ", "Keras, ")
        parts += [text(142, y + 18, short, "end"),
                  box(axes.left, y + 4, axes.x(rate) - axes.left, 20, "ours" if name == "fanin" else "theirs", 3),
                  text(axes.x(rate) + 6, y + 18, f"{rate:g}")]
    return picture(56 + 28 * len(rows), "Rates of truncated normals beside other libraries, from docs/speed.md.", parts)


def sizes(measured):
    """Rate against size."""
    data = measured["sizes"]
    axes = Axes(48, 112, WIDTH - 60, 220, (2 ** 4, 2 ** 24), (1e-4, 3), x_base=2, y_base=10)
    parts = [text(0, 16, "Rate against size, from Python, one thread", "title"),
             text(0, 34, "10⁹ truncated normals a second (NumPy's are not truncated)", "small")]
    parts += legend(0, 56, [(row["style"], row["name"]) for row in data])
    parts += axes.frame([(2 ** k, power(2, k)) for k in range(4, 25, 4)], [(10.0 ** k, f"{10.0 ** k:g}") for k in range(-4, 1)])
    parts += [axes.line(row["points"], row["style"]) for row in data]
    parts.append(text(axes.left + axes.width / 2, 368, "elements", "small middle"))
    return picture(376, "Rates of fills from Python for 16 to 2 to the 24 elements.", parts)


def depth(measured):
    """Standard deviations of activations through layers."""
    data = measured["depth"]
    axes = Axes(52, 104, WIDTH - 64, 230, (0, 30), (1e-6, 1e9), y_base=10)
    parts = [text(0, 16, "Thirty layers of ReLU, width 512", "title"),
             text(0, 34, "standard deviation of what enters each layer", "small")]
    parts += legend(0, 54, [(row["style"], row["name"]) for row in data[:3]], 17)
    parts += axes.frame([(k, f"{k}") for k in range(0, 31, 5)], [(10.0 ** k, power(10, k)) for k in range(-6, 10, 3)])
    parts += [axes.line(list(enumerate(row["stddev"])), row["style"]) for row in data]
    parts.append(text(axes.left + axes.width / 2, 370, "layer", "small middle"))
    return picture(378, "With HeNormal the standard deviation stays at 1 through 30 layers; with other scales it vanishes or grows.", parts)


def layers(measured):
    """Histograms of layers of real models, and the densities that were wanted."""
    parts = [text(0, 16, "Layers of real models, seed 42", "title"), text(0, 34, "filled: what fanin made.  Line: the density that is wanted", "small")]
    for number, row in enumerate(measured["layers"]):
        left, top = (number % 2) * (WIDTH / 2 + 6), 44 + (number // 2) * 156
        edges, wanted = row["edges"], row["wanted"]
        axes = Axes(left, top + 38, WIDTH / 2 - 12, 84, (edges[0], edges[-1]), (0, 1.1 * max(*row["density"], *wanted)))
        parts += [text(left, top + 16, row["model"], "small"), text(left, top + 31, row["name"], "code")]
        parts += [axes.bars(edges, row["density"], "a")]
        middles = [(low + high) / 2 for low, high in zip(edges, edges[1:])]
        parts += [axes.line(list(zip(middles, wanted)), "b"), *axes.frame([(edges[0], ""), (0, "0"), (edges[-1], "")], [])]
        parts.append(text(left, top + 140, f"±{edges[-1]:.2g}", "small"))
    return picture(44 + 156 * math.ceil(len(measured["layers"]) / 2) + 4, "Histograms of six layers beside the densities that were wanted.", parts)


def bfloat16(measured):
    """Distribution functions around 0 of bfloat16 weights, fanin's beside JAX's."""
    data = measured["bfloat16"]
    axes = Axes(44, 112, WIDTH - 56, 230, (-0.1, 0.1), (0.46, 0.54))
    parts = [text(0, 16, "he_normal in bfloat16, around 0", "title"), text(0, 34, "share of the 4,194,304 weights that are smaller", "small")]
    entries = [(row["style"], f"{row['name']}: {row['distinct']:,} distinct values") for row in data["made"]]
    parts += legend(0, 56, [*entries, ("e wanted", "wanted")], 17)
    parts += axes.frame([(k / 100, f"{k / 100:g}") for k in (-10, -5, 0, 5, 10)], [(k / 100, f"{k / 100:g}") for k in (46, 48, 50, 52, 54)])
    for row in [*data["made"], data["wanted"]]:
        points = [(x, y) for x, y in row["points"] if -0.1 <= x <= 0.1 and 0.46 <= y <= 0.54]
        parts.append(axes.line(points, row["style"]))
    parts.append(text(axes.left + axes.width / 2, 378, "standard deviations", "small middle"))
    return picture(386, "The distribution of bfloat16 weights around 0: fanin's follows the wanted line, JAX's is a staircase.", parts)


def main():
    measured = json.loads((PROJECT / "dev" / "plots" / "measured.json").read_text())
    drawn = {name: draw() for name, draw in contract.PICTURES.items()}
    drawn |= {draw.__name__: draw(measured) for draw in (rivals, sizes, depth, layers, bfloat16)}
    IMAGES.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        place = IMAGES / f"{name}.svg"
        if sys.argv[1:] != ["--check"]:
            place.write_text(svg)
        elif not place.is_file() or place.read_text() != svg:
            sys.exit(f"docs/images/{name}.svg is out of date; run dev/plots/figures.py")


if __name__ == "__main__":
    main()
