#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Derives ziggurat.json: 252 equal-area rectangles inside exp(-x^2/2), x >= 0, and the 253
boxes that cover the rest, with total box area = 4 rectangles, so that 256 cells are equal."""
import json
import os

from mpmath import exp, log, mp, mpf, sqrt

mp.dps = 40
N, L = 256, 252
f = lambda x: exp(-x * x / 2)


def rectangles(x1):
    area = x1 * f(x1)
    xs, y = [x1], f(x1)
    for _ in range(1, L):
        x = xs[-1]
        while True:
            t = y + area / x
            if t >= 1:
                return None
            new = sqrt(-2 * log(t))
            if abs(new - x) < mpf(10) ** -32:
                break
            x = new
        xs.append(new)
        y = f(new)
    return area, xs


def boxes(x1, xs):
    out = [("tail", mpf(0), mpf(0), mpf(0), mpf(0), f(x1) / x1)]
    for j in range(1, L):
        dx, dy = xs[j - 1] - xs[j], f(xs[j]) - f(xs[j - 1])
        out.append(("overhang", xs[j], dx, f(xs[j - 1]), dy, dx * dy))
    dy = 1 - f(xs[-1])
    out.append(("cap", mpf(0), xs[-1], f(xs[-1]), dy, xs[-1] * dy))
    return out


def excess(x1):
    r = rectangles(x1)
    return None if r is None else sum(b[5] for b in boxes(x1, r[1])) / r[0] - (N - L)


lo, hi = mpf("3.6"), mpf("3.7")
for _ in range(110):
    mid = (lo + hi) / 2
    g = excess(mid)
    lo, hi = (lo, mid) if g is not None and g > 0 else (mid, hi)
x1 = hi
area, xs = rectangles(x1)
bs = boxes(x1, xs)
total, run, threshold = sum(b[5] for b in bs), mpf(0), []
for b in bs[:-1]:
    run += b[5]
    threshold.append(int(mp.nint(run / total * 2 ** 32)))
h = lambda v: float(v).hex()
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ziggurat.json")
with open(path, "w") as fh:
    json.dump({"cells": N, "rectangles": L, "area": h(area),
               "x": [h(x) for x in xs], "inv_x1": h(1 / x1), "threshold": threshold,
               "xlo": [h(b[1]) for b in bs], "dx": [h(b[2]) for b in bs],
               "ylo": [h(b[3]) for b in bs], "dy": [h(b[4]) for b in bs]}, fh, indent=0)
print("x1", x1, "box area / rectangle", total / area, "efficiency", float(sqrt(mp.pi / 2) / (N * area)))
