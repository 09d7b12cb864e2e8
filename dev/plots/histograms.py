#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the tensors of a file that `fanin model` wrote, with the densities that they should have.

    histograms.py FILE.safetensors REPORT.json OUT.png

REPORT.json is what `fanin model --report` wrote. Tensors of one distribution share a panel, the largest groups first.
"""

import argparse
import json
import math
import os
import pathlib
import sys
from collections import Counter

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

MOST_PANELS = 6
MOST_ELEMENTS = 20_000_000  # in one panel; of more elements every second, third... is drawn
REACH = 6  # standard deviations shown for a normal without bounds; of 20 million draws 0.04 are outside
BINS = 120

FOUND, WANTED, GREY = "#9dc3e6", "#c2410c", "#555555"
STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
NEEDED = {"constant": (), "identity": (), "uniform": ("low", "high"), "normal": ("mean", "stddev"),
          "truncated_normal": ("mean", "stddev")}
PARAMETERS = ("mean", "stddev", "lower", "upper", "low", "high")


class BadInput(Exception):
    """An error that a user can correct; printed as one line."""


# ---------------------------------------------------------------- input


class Safetensors:
    """A safetensors file: eight bytes of header length, the header as JSON, the data."""

    def __init__(self, path):
        self.path = path
        if os.path.getsize(path) < 8:
            raise BadInput(f"{path}: not a safetensors file, shorter than 8 bytes")
        data = np.memmap(path, np.uint8, "r")
        length = int.from_bytes(data[:8].tobytes(), "little")
        if length > data.size - 8:
            raise BadInput(f"{path}: not a safetensors file, its header would be {length} bytes long")
        try:
            self.header = json.loads(data[8 : 8 + length].tobytes())
        except ValueError as error:
            raise BadInput(f"{path}: the header is not JSON: {error}") from None
        if not isinstance(self.header, dict):
            raise BadInput(f"{path}: the header is not a JSON object")
        self.data = data[8 + length :]

    def dtype(self, name):
        try:
            return self.header[name]["dtype"]
        except (KeyError, TypeError):
            raise BadInput(f'{self.path}: the header has no tensor "{name}", which the report names') from None

    def values(self, name, step):
        """Every step-th element, as float32 or wider."""
        stored = np.dtype(STORED[self.dtype(name)])
        try:
            begin, end = self.header[name]["data_offsets"]
            count = math.prod(self.header[name]["shape"])
            whole = 0 <= begin <= end <= self.data.size and end - begin == count * stored.itemsize
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise BadInput(f'{self.path}: malformed header, or the file is cut off: tensor "{name}" has no place in it')
        x = self.data[begin:end].view(stored)[::step]
        if self.dtype(name) == "BF16":  # the upper half of a float32
            return (x.astype(np.uint32) << 16).view(np.float32)
        return x.astype(np.float32) if stored.itemsize < 4 else x


def read_report(path):
    try:
        report = json.loads(pathlib.Path(path).read_bytes())
        for tensor in report["tensors"]:
            for key in ("name", "initializer", "count", *NEEDED[tensor["kind"]]):
                tensor[key]
        return report
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from None
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a report of fanin model ({error})") from None


# ---------------------------------------------------------------- groups


class Group:
    """The tensors of one distribution."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.wanted = tensors[0]
        self.count = sum(t["count"] for t in tensors)
        self.step = max(1, math.ceil(self.count / MOST_ELEMENTS))

    def window(self):
        """The window in which the density is drawn: its support, or REACH standard deviations."""
        w = self.wanted
        if w["kind"] == "uniform":
            return w["low"], w["high"]
        lower = -math.inf if w.get("lower") is None else w["lower"]
        upper = math.inf if w.get("upper") is None else w["upper"]
        left = max(lower, min(-REACH, upper - 1))
        right = min(upper, max(REACH, lower + 1))
        return w["mean"] + w["stddev"] * left, w["mean"] + w["stddev"] * right

    def density(self):
        """The expected density as a curve of mass 1 over the window, and its standard deviation."""
        x = np.linspace(*self.window(), 4001)
        if self.wanted["kind"] == "uniform":
            y = np.ones_like(x)
        else:
            z = (x - self.wanted["mean"]) / self.wanted["stddev"]
            y = np.exp((np.min(z * z) - z * z) / 2)
        y /= np.trapz(y, x)
        mean = np.trapz(x * y, x)
        return x, y, math.sqrt(np.trapz((x - mean) ** 2 * y, x))

    def edges(self, dtypes):
        """BINS bins over the window, whose ends are edges, and a few bins on either side."""
        low, high = self.window()
        margin = 0 if self.wanted["kind"] == "normal" else BINS // 12
        edges = low + (high - low) / BINS * np.arange(-margin, BINS + margin + 1)
        # For a coarse dtype, edges lie where rounding separates two of its numbers. Otherwise one bin would hold more
        # of these numbers than the next, and the histogram would look like a comb.
        if "BF16" in dtypes:
            snapped = (edges.astype(np.float32).view(np.uint32) & 0xFFFF0000 | 0x8000).view(np.float32)
        elif "F16" in dtypes:
            half = edges.astype(np.float16)
            snapped = (half.astype(np.float32) + np.nextafter(half, np.float16(np.inf)).astype(np.float32)) / 2
        else:
            return edges
        snapped = np.unique(snapped.astype(np.float64))
        return snapped if len(snapped) > 1 else edges


def groups_of(tensors):
    by_key = {}
    for t in tensors:
        parameters = tuple(None if t.get(p) is None else f"{t[p]:.9g}" for p in PARAMETERS)
        by_key.setdefault((t["kind"], parameters), []).append(t)
    return sorted(map(Group, by_key.values()), key=lambda group: -group.count)  # stable, so ties keep the report's order


def is_random(t):
    """True also for a uniform or normal without width."""
    if t["kind"] == "uniform":
        return t["low"] != t["high"]
    return t["kind"] not in ("constant", "identity") and t["stddev"] != 0


# ---------------------------------------------------------------- drawing


def number(x, digits=5):
    return f"{x:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def plural(n, noun):
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def style(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(colors=GREY, labelsize=9)


def short_count(n, _=None):
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= unit:
            return f"{n / unit:g} {letter}"
    return f"{n:g}"


def draw_group(figure, place, group, file):
    dtypes = {file.dtype(t["name"]) for t in group.tensors}
    edges = group.edges(dtypes)
    counts = np.zeros(len(edges) - 1)
    n, total, squares = 0, 0.0, 0.0
    for t in group.tensors:
        x = file.values(t["name"], group.step)
        counts += np.histogram(x, edges)[0]
        n += x.size
        total += x.sum(dtype=np.float64)
        squares += np.square(x - group.wanted.get("mean", 0), dtype=np.float64).sum()
    if n == 0:
        raise BadInput(f'{file.path}: tensor "{group.wanted["name"]}" is empty, and the report counts elements')
    shifted = total / n - group.wanted.get("mean", 0)
    found = math.sqrt(max(0.0, squares / n - shifted * shifted))
    outside = n - int(counts.sum())

    low, high = group.window()
    width = (high - low) / BINS
    heights = counts / np.diff(edges) * width
    x, y, wanted = group.density()
    y = y * n * width
    # The line falls to zero where the density does.
    if group.wanted["kind"] != "normal":
        x, y = np.r_[x[0], x, x[-1]], np.r_[0, y, 0]

    bell = group.wanted["kind"] != "uniform"
    rows = place.subgridspec(2, 1, height_ratios=(2.6, 1), hspace=0.12) if bell else [place]
    top = figure.add_subplot(rows[0])
    panels = [top]
    if bell:  # a log scale shows the tails
        tails = figure.add_subplot(rows[1], sharex=top)
        panels.append(tails)
        top.tick_params(labelbottom=False)
        floor = 0.5
        tails.set_yscale("log")
        tails.stairs(np.maximum(heights, floor), edges, fill=True, baseline=floor, color=FOUND)
        tails.plot(x, np.maximum(y, floor / 10), color=WANTED, linewidth=1.6)
        tails.set_ylim(floor, 5 * max(heights.max(), y.max()))
        tails.yaxis.set_major_locator(LogLocator(10, numticks=4))
        tails.yaxis.set_minor_locator(NullLocator())
        tails.yaxis.set_major_formatter(FuncFormatter(short_count))
        tails.set_ylabel("log scale", fontsize=9, color=GREY)
    top.stairs(heights, edges, fill=True, color=FOUND)
    top.plot(x, y, color=WANTED, linewidth=1.6)
    top.set_ylim(0, 1.15 * max(heights.max(), y.max()))
    top.yaxis.set_major_locator(MaxNLocator(4))
    top.yaxis.set_major_formatter(FuncFormatter(short_count))
    top.set_ylabel("elements per bin", fontsize=9, color=GREY)
    for axes in panels:
        style(axes)
        axes.set_xlim(edges[0], edges[-1])

    w = group.wanted
    if w["kind"] == "normal":
        ticks = [(w["mean"] + k * w["stddev"], f"{k:+d}σ".replace("-", "\N{MINUS SIGN}") if k else "mean")
                 for k in (-4, 0, 4)]
        panels[-1].set_xticks([w["mean"] + k * w["stddev"] for k in (-2, 2)], minor=True)
    elif bell:
        bounds = [w["mean"] + w["stddev"] * w[key] for key in ("lower", "upper") if w.get(key) is not None]
        ticks = [(at, "cut" if at in bounds else "") for at in (low, high)]
        if low + 0.2 * (high - low) < w["mean"] < high - 0.2 * (high - low):  # otherwise the labels would touch
            ticks.append((w["mean"], "mean"))
    else:
        ticks = [(low, "low"), (low + (high - low) / 2, "middle"), (high, "high")]
    panels[-1].set_xticks([at for at, _ in ticks], [f"{number(at, 4)}\n{label}" for at, label in ticks])

    others = len(group.tensors) - 1
    largest = max(group.tensors, key=lambda t: t["count"])["name"]
    if len(largest) > 34:
        largest = "…" + largest[-33:]
    names = " / ".join(dict.fromkeys(t["initializer"] for t in group.tensors))
    drawn = f", 1 in {group.step} drawn" if group.step > 1 else ""
    top.set_title(
        f"{largest}" + (f" and {plural(others, 'more tensor')}" if others else "")
        + f"\n{plural(group.count, 'element')}{drawn}"
        + f"\nσ wanted {number(wanted)}, found {number(found)}",
        fontsize=10, color="#333333", loc="left", linespacing=1.35)
    top.annotate(names, (0, 1), (0, 51), xycoords="axes fraction", textcoords="offset points",
                 fontsize=12.5, fontweight="bold")
    if outside:
        top.text(0.98, 0.95, f"{plural(outside, 'value')} outside this picture", color="#b00020", fontsize=9,
                 ha="right", va="top", transform=top.transAxes)


def constants_line(tensors):
    """One line for the tensors without a density: "98 tensors are constant: 73 zeros, 25 ones"."""
    lines = []
    constants = [t for t in tensors if t["kind"] != "identity"]
    if constants:
        key = {"uniform": "low", "normal": "mean", "truncated_normal": "mean"}
        values = Counter(t.get(key.get(t["kind"], "value")) for t in constants)
        names = {0: "zeros", 1: "ones", None: "not finite"}  # JSON has null for a NaN or an infinity
        parts = [f"{n:,} {names[v] if v in names else f'of {v:g}'}" for v, n in values.most_common()]
        verb = "is" if len(constants) == 1 else "are"
        lines.append(f"{plural(len(constants), 'tensor')} {verb} constant: {', '.join(parts)}")
    identities = len(tensors) - len(constants)
    if identities:
        verb = "is an identity matrix" if identities == 1 else "are identity matrices"
        lines.append(f"{plural(identities, 'tensor')} {verb}")
    return "; ".join(lines)


def draw(file, report, out):
    tensors = [t for t in report["tensors"] if t["count"] > 0]
    skipped = Counter(file.dtype(t["name"]) for t in tensors if file.dtype(t["name"]) not in STORED)
    for dtype, n in skipped.items():
        print(f"histograms.py: note: {plural(n, 'tensor')} of dtype {dtype} not drawn", file=sys.stderr)
    groups = groups_of([t for t in tensors if is_random(t) and file.dtype(t["name"]) in STORED])
    shown, rest = groups[:MOST_PANELS], groups[MOST_PANELS:]

    notes = [constants_line([t for t in tensors if not is_random(t)])]
    if rest:
        n = sum(len(g.tensors) for g in rest)
        notes.append(f"not drawn: {plural(n, 'tensor')} of {plural(len(rest), 'smaller group')}, "
                     f"{plural(sum(g.count for g in rest), 'element')}")
    notes += [f"not drawn: {plural(n, 'tensor')} of dtype {dtype}" for dtype, n in skipped.items()]
    notes = [note for note in notes if note]

    # All lengths are in inches, so that text keeps its size and distance for any number of panels.
    columns = {1: 1, 2: 2, 4: 2}.get(len(shown), 3) if shown else 2
    rows = math.ceil(len(shown) / columns)
    head, panel, gap, axis, line = (1.75, 3.3, 1.6, 0.55, 0.22) if shown else (0.7, 0, 0, 0, 0.22)
    foot = axis + 0.2 + line * len(notes)
    size = (max(5.1 * columns, 7.6), head + foot + rows * panel + max(0, rows - 1) * gap)
    figure = plt.figure(figsize=size)
    left = 0.85 / size[0]
    if shown:
        grid = figure.add_gridspec(rows, columns, left=left, right=1 - 0.35 / size[0], bottom=foot / size[1],
                                   top=1 - head / size[1], wspace=0.28, hspace=gap / panel)
        for k, group in enumerate(shown):
            draw_group(figure, grid[k // columns, k % columns], group, file)
    title = f"{os.path.basename(file.path)}: {plural(len(report['tensors']), 'tensor')}"
    if "elements" in report:
        title += f", {plural(report['elements'], 'element')}"
    if "seed" in report:
        title += f", seed {report['seed']}"
    figure.text(left, 1 - 0.42 / size[1], title, fontsize=14, fontweight="bold")
    if shown:
        figure.legend(handles=[Patch(color=FOUND, label="what the file holds"),
                               Line2D([], [], color=WANTED, linewidth=1.6, label="what was wanted")],
                      loc="center left", bbox_to_anchor=(left, 1 - 0.65 / size[1]), ncols=2, frameon=False, fontsize=11,
                      borderpad=0, borderaxespad=0)
    for k, note in enumerate(notes):
        height = 0.2 + line * (len(notes) - 1 - k)
        figure.text(left, height / size[1], note[0].upper() + note[1:] + ".", fontsize=10.5, color="#333333")

    # Written under another name and then renamed, so that OUT.png is the old picture or the complete new one.
    beside = f"{out}.{os.getpid()}.tmp"
    try:
        figure.savefig(beside, dpi=110, format="png")
        os.replace(beside, out)
    finally:
        pathlib.Path(beside).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", metavar="FILE.safetensors")
    parser.add_argument("report", metavar="REPORT.json", help="what fanin model --report wrote")
    parser.add_argument("out", metavar="OUT.png")
    arguments = parser.parse_args()
    try:
        draw(Safetensors(arguments.file), read_report(arguments.report), arguments.out)
        return 0
    except BadInput as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    print(f"histograms.py: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
