#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares many draws with theory: distributions, tails, joint distributions, spectra of matrices.

    battery.py PROGRAM [--draws N] [--threads T] [--write FILE]
    battery.py PROGRAM [--draws N] --controls       only the deliberate faults

PROGRAM is battery_count. N elements are drawn of each sampler in float32, and a tenth of N of each dtype and for each joint
distribution. Then samplers with deliberate faults are drawn, which the battery must find: a standard deviation that is wrong by
1e-4 * sqrt(1e10 / N) and, if N >= 1e10, one wrong entry of the table (fault.h). The exit status is 1 if a check fails or no
check finds a fault. Seeds are fixed, so that a run can be repeated. checks.py and spectra.py have the statistics, laws.py the
distributions. Needs NumPy and SciPy.
"""
import argparse
import functools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import checks
    import laws
    import report
    import spectra
except ImportError as error:
    print(f"skipped: {error}. The battery needs NumPy and SciPy (Debian: python3-scipy)")
    sys.exit(77)

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def between(cumulative):
    """The probabilities of what lies between values, from the probabilities of being below each."""
    return np.diff(np.concatenate(([0.0], cumulative, [1.0])))


@dataclass(eq=False)
class Sampler:
    name: str
    init: dict
    law: Callable[[], Any]
    scale: int  # cells per unit, a power of two
    low: float
    high: float

    @property
    def edges(self):
        return np.arange(self.low * self.scale, self.high * self.scale + 1) / self.scale

    @property
    def grid(self):
        return {"scale": self.scale, "first": int(self.low * self.scale), "cells": int((self.high - self.low) * self.scale)}

    @property
    def centres(self):
        """Of the cells, and of those below and above the grid."""
        return np.concatenate(([self.low], (self.edges[1:] + self.edges[:-1]) / 2, [self.high]))

    @functools.cached_property
    def probabilities(self):
        """Of the cells, and of those below and above the grid."""
        return between(self.law().below(self.edges))


def window(low, high, scale, law, first=None, last=None):
    ends = [None if math.isinf(bound) else bound for bound in (low, high)]
    name = "normal in [%s]" % ", ".join("%g" % bound for bound in (low, high))
    init = {"class_name": "TruncatedNormal", "config": {"mean": 0.0, "stddev": 1.0, "lower": ends[0], "upper": ends[1]}}
    return Sampler(name, init, lambda: law(low, high), scale, low if first is None else first, high if last is None else last)


def uniform(low, high, scale, law):
    init = {"class_name": "RandomUniform", "config": {"minval": low, "maxval": high}}
    return Sampler(f"uniform on [{low:g}, {high:g})", init, law, scale, low, high)


def normal(stddev=1.0):
    init = {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": stddev}}
    return Sampler("normal", init, laws.Normal, 4096, -8.5, 8.5)


NORMAL = normal()
CUT = window(-2, 2, 2 ** 14, laws.Normal)
CENTRED = uniform(-1.0, 1.0, 2 ** 15, laws.centred_uniform)
UNIT = uniform(0.0, 1.0, 2 ** 16, lambda: laws.shifted_uniform(0, 1))
SAMPLERS = [
    CENTRED, UNIT, uniform(2.0, 3.0, 2 ** 16, lambda: laws.shifted_uniform(2, 3)), NORMAL, CUT,
    window(-1.25, 1.25, 2 ** 14, laws.Normal),  # the table, with many rejections
    window(0, math.inf, 2 ** 13, laws.Normal, last=8.5),
    window(-0.5, 1, 2 ** 15, laws.narrow_normal),  # box
    window(1, 1.5, 2 ** 17, laws.narrow_normal),  # box that does not contain 0
    window(3, math.inf, 2 ** 13, laws.narrow_normal, last=9),  # tail
    window(-math.inf, -2, 2 ** 13, laws.narrow_normal, first=-9.5),
]


class Battery:
    def __init__(self, program, draws, threads):
        self.program, self.draws, self.threads = program, draws, threads
        self.sections: list[report.Section] = []
        self.elements = 0

    def run(self, mode, classes=(), **keys):
        command = [self.program, mode, f"threads={self.threads}"]
        command += [f"{key}={json.dumps(value) if isinstance(value, dict) else value}" for key, value in keys.items()]
        drawn = subprocess.run(command, input=b"".join(row.astype(np.uint8).tobytes() for row in classes), check=True,
                               stdout=subprocess.PIPE)
        self.elements += keys["draws"] * len(str(keys.get("list", "")).split(","))
        return drawn.stdout

    def counts(self, mode, classes=(), **keys):
        return np.frombuffer(self.run(mode, classes, **keys), np.uint64).astype(np.int64)

    def section(self, name, seed, draws, found, is_control=False):
        section = report.Section(name, seed, draws, found, is_control)
        self.sections.append(section)
        print(f"{name}: {len(found)} checks of {draws:.3g} draws; smallest p {section.worst.p:.2g} ({section.worst.name})"
              + ("" if section.is_right else " FAILED"), flush=True)

    # ---------------------------------------------------------------- one dimension

    def sampler(self, sampler, seed, fault="none", control=""):
        counts = self.counts("cells", init=sampler.init, seed=seed, draws=self.draws, fault=fault, **sampler.grid)
        cells, sixteenths = counts[:-16], counts[-16:]
        probabilities = sampler.probabilities
        possible = probabilities > 0
        found = [checks.exact_count("impossible cells", int(cells[~possible].sum()), self.draws, 0.0)]
        found += checks.distribution(cells[possible], probabilities[possible], sampler.centres[possible])
        found += [self.sixteenths(sampler, sixteenths)]
        if sampler.name == NORMAL.name:
            found += self.tails(sampler, cells)
        self.section(control or sampler.name, seed, self.draws, found, is_control=bool(control))

    def sixteenths(self, sampler, counts):
        """The position within a cell, over all cells. Elements outside of the grid are as good as impossible."""
        law = sampler.law()
        below = [np.sum(law.below(sampler.edges[:-1] + part / 16 / sampler.scale)) for part in range(16)]
        share = np.diff([*below, np.sum(law.below(sampler.edges[1:]))])
        return checks.chi_square("positions in cells, chi-square", counts, self.draws * share)

    def tails(self, sampler, cells):
        found, total = [], int(cells.sum())
        for sigmas in range(2, 7):
            for sign in (-1, 1):
                at = int((sign * sigmas - sampler.low) * sampler.scale) + 1
                count = int(cells[:at].sum() if sign < 0 else cells[at:].sum())
                below = float(sampler.law().below(np.array([sign * sigmas]))[0])
                found.append(checks.exact_count(f"tail beyond {sign * sigmas}", count, total, below if sign < 0 else 1 - below))
        return found

    # ---------------------------------------------------------------- dtypes

    def dtype(self, sampler, law, dtype, seed, rounding="nearest"):
        draws = self.draws // 10
        counts = self.counts("cells", init=sampler.init, seed=seed, draws=draws, dtype=dtype, rounding=rounding, **sampler.grid)
        name = f"{sampler.name}, {dtype}" + (", stochastic" if rounding == "stochastic" else "")
        if dtype == "float64":
            probabilities = between(law.below(sampler.edges))
            cells, centres = counts[:-16], sampler.centres
            impossible = int(cells[probabilities <= 0].sum())
            possible = probabilities > 0
            cells, probabilities, centres = cells[possible], probabilities[possible], centres[possible]
        else:
            cells, probabilities, centres, impossible = self.narrow(sampler, law, dtype, rounding, counts)
        found = [checks.exact_count("impossible values", impossible, draws, 0.0)]
        self.section(name, seed, draws, found + checks.distribution(cells, probabilities, centres))

    @staticmethod
    def narrow(sampler, law, dtype, rounding, counts):
        """Counts, probabilities and values of a narrow dtype's numbers, those nearer than 2^-12 joined."""
        patterns = laws.narrow_values(dtype)
        counts = counts[:len(patterns)]
        open_end = sampler.init["class_name"] == "RandomUniform"
        allowed = (patterns >= sampler.low) & ((patterns < sampler.high) if open_end else (patterns <= sampler.high))
        values, where = np.unique(patterns[allowed], return_inverse=True)  # -0 and 0 are one value
        of_value = np.bincount(where, counts[allowed]).astype(np.int64)
        is_even = np.zeros(len(values), bool)
        is_even[where] = np.flatnonzero(allowed) % 2 == 0
        up_to = laws.up_to_stochastic(values) if rounding == "stochastic" else laws.up_to_nearest(law, values, is_even)
        kept, last = [], -math.inf
        for j, value in enumerate(values[:-1]):
            if values[j + 1] - last >= 2 ** -12:
                kept.append(j)
                last = values[j + 1]
        kept = np.array(kept)
        probabilities = between(up_to[kept])
        cells = np.diff(np.concatenate(([0], np.cumsum(of_value)[kept], [of_value.sum()])))
        possible = probabilities > 0
        impossible = int(counts.sum() - cells[possible].sum())
        return cells[possible], probabilities[possible], values[np.append(kept, len(values) - 1)][possible], impossible

    # ---------------------------------------------------------------- joint distributions

    def classes(self, sampler, bits, probabilities=None):
        """A class for each cell, of nearly equal probability; the classes' probabilities and mean values."""
        probabilities = sampler.probabilities if probabilities is None else probabilities
        middle = np.cumsum(probabilities) - probabilities / 2
        of_cell = np.minimum((middle * 2 ** bits).astype(int), 2 ** bits - 1)
        share = np.bincount(of_cell, probabilities, 2 ** bits)
        return of_cell, share, np.bincount(of_cell, probabilities * sampler.centres, 2 ** bits) / share

    def tuples(self, name, sampler, bits, seed, **keys):
        of_cell, share, means = self.classes(sampler, bits)
        counts = self.counts("tuples", [of_cell], init=sampler.init, seed=seed, bits=bits, **sampler.grid, **keys)
        expected = share
        for _ in range(12 // bits - 1):
            expected = np.outer(expected, share).ravel()
        return checks.joint(name, counts, expected, (means, means) if bits == 6 else None)

    def neighbours(self, sampler, lags, seed):
        draws, found = self.draws // 10, []
        for lag in lags:
            found += self.tuples(f"pairs {lag} apart", sampler, 6, seed, draws=draws, lag=lag)
        for bits in (4, 3, 2, 1):
            found += self.tuples(f"{12 // bits} neighbours", sampler, bits, seed, draws=draws, lag=1)
        found += self.tuples("4 in a column of a matrix with 1000 columns", sampler, 3, seed, draws=draws, lag=1000)
        self.section(f"{sampler.name}: neighbours, rows and columns", seed, draws, found)

    def across(self, sampler, by, tensors, seed):
        size, found = max(1, self.draws // 10 // len(tensors)), []
        for bits in (6, 3, 1):
            found += self.tuples(f"{12 // bits} tensors", sampler, bits, seed, by=by, list=",".join(tensors), draws=size)
        self.section(f"{sampler.name}: {by}s", seed, size * len(tensors), found)

    def retried(self, first, second, seed):
        """Elements that `first` accepts and `second` rejects, and those that replace them."""
        outside = first.probabilities.copy()
        inside = (first.centres > max(second.low, first.low)) & (first.centres < second.high)
        outside[inside] = 0
        of_first, first_share, first_means = self.classes(first, 6, outside / outside.sum())
        # Both are counted in the cells of `first`.
        second = Sampler(second.name, second.init, second.law, first.scale, first.low, first.high)
        of_second, share, means = self.classes(second, 6)
        draws = self.draws // 10
        counts = self.counts("retried", [of_first, of_second], init=first.init, other=second.init, seed=seed, draws=draws,
                             **first.grid)
        found = checks.joint("rejected and next", counts[:4096], np.outer(first_share, share).ravel(), (first_means, means))
        found += checks.joint("replacements in order", counts[4096:], np.outer(share, share).ravel(), (means, means))
        self.section(f"trials: {first.name}, then {second.name}", seed, draws, found)

    # ---------------------------------------------------------------- matrices

    def matrices(self, sampler, seed, count, rows, columns, by_row=False):
        """Matrices that are a tensor each, of consecutive subsequences; or each of their rows is a tensor."""
        tensors, size = (count * rows, columns) if by_row else (count, rows * columns)
        numbers = ",".join(map(str, range(tensors)))
        values = np.frombuffer(self.run("values", init=sampler.init, seed=seed, by="subsequence", list=numbers, draws=size),
                               np.float32)
        spread = math.sqrt(sampler.probabilities @ (sampler.centres - sampler.probabilities @ sampler.centres) ** 2)
        return values.reshape(count, rows, columns) / spread

    def spectra(self, sampler, seed, count, rows, columns, by_row=False):
        found = spectra.tall(self.matrices(sampler, seed, count, rows, columns, by_row), sampler is NORMAL)
        rows_are = ", rows of different tensors" if by_row else ""
        name = f"{sampler.name}: {count} {'matrix' if count == 1 else 'matrices'} of {rows} x {columns}{rows_are}"
        self.section(name, seed, count * rows * columns, found)

    def smallest_singular_values(self, seed, count, size):
        found = spectra.square(self.matrices(NORMAL, seed, count, size, size))
        self.section(f"normal: {count} matrices of {size} x {size}", seed, count * size * size, found)


def main():
    parser = argparse.ArgumentParser(description="Compares many draws with theory.")
    parser.add_argument("program", help="battery_count")
    parser.add_argument("--draws", type=float, default=1e10, help="elements of each sampler (default 1e10)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--controls", action="store_true", help="only the deliberate faults")
    parser.add_argument("--write", metavar="FILE", help="write the summary there")
    arguments = parser.parse_args()
    battery, start = Battery(arguments.program, int(arguments.draws), arguments.threads), time.time()
    if not arguments.controls:
        run_checks(battery)
    run_controls(battery)
    if arguments.write:
        Path(arguments.write).write_text(report.summary(battery.sections, battery.elements), encoding="utf-8")
    wrong = [section for section in battery.sections if not section.is_right]
    for section in wrong:
        print(f"FAILED: {section.name}: " + ("no check finds the fault" if section.is_control else
              "; ".join(f"{check.name}: {check.statistic:.6g}, p {check.p:.2g}" for check in section.failed)))
    print(f"{battery.elements:.3g} elements in {time.time() - start:.0f} s: "
          + (f"{len(wrong)} parts failed" if wrong else "no part failed"))
    return bool(wrong)


def run_controls(battery):
    error = 1e-4 * math.sqrt(1e10 / battery.draws)
    battery.sampler(normal(1 + error), 1, control=f"the standard deviation is too large by {error:.2g} of it")
    if battery.draws >= 1e10:
        battery.sampler(NORMAL, 1, "entry", control="one of 252 rectangles is too wide by 1e-3 of it")
        battery.sampler(NORMAL, 1, "box", control="one of 253 edge boxes begins 2^-8 too far out")


def run_checks(battery):
    for number, sampler in enumerate(SAMPLERS):
        battery.sampler(sampler, 100 + number)
    for number, dtype in enumerate(["float64", *laws.FORMATS]):
        is_double = dtype == "float64"
        battery.dtype(NORMAL, laws.Normal(dtype=dtype), dtype, 200 + number)
        battery.dtype(CUT, laws.Normal(-2, 2, dtype), dtype, 220 + number)
        battery.dtype(UNIT, laws.ContinuousUniform(0, 1) if is_double else UNIT.law(), dtype, 240 + number)
    for number, dtype in enumerate(["bfloat16", "float8_e4m3fn", "float6_e2m3fn", "float4_e2m1fn"]):
        battery.dtype(NORMAL, NORMAL.law(), dtype, 260 + number, "stochastic")
    battery.neighbours(NORMAL, [1, 2, 3, 4, 5, 8, 64, 1000, 1024, 4096], 301)
    battery.neighbours(CUT, [1, 2, 3, 4, 1024], 302)
    battery.neighbours(CENTRED, [1, 2, 3, 4, 1024], 303)
    numbers = [str(number) for number in range(1024)]
    for number, sampler in enumerate([NORMAL, CENTRED]):
        battery.across(sampler, "subsequence", numbers, 310 + number)
        battery.across(sampler, "seed", numbers, 0)
        # Tensors that follow each other differ in one letter, 63 times of 64.
        battery.across(sampler, "name", [f"layer_{a}{b}/kernel" for a in LETTERS[:16] for b in LETTERS], 320 + number)
    battery.retried(NORMAL, window(-1.25, 1.25, 2 ** 14, laws.Normal), 331)
    battery.retried(window(-1.75, 1.75, 2 ** 14, laws.Normal), window(-1.25, 1.25, 2 ** 14, laws.Normal), 332)
    for number, sampler in enumerate([NORMAL, CUT, CENTRED]):
        battery.spectra(sampler, 400 + number, 32, 512, 256)
    battery.spectra(NORMAL, 410, 16, 512, 256, by_row=True)
    battery.smallest_singular_values(420, 256, 100)
    if battery.draws >= 1e9:
        battery.spectra(NORMAL, 430, 1, 4096, 2048)


if __name__ == "__main__":
    sys.exit(main())
