#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Derives ziggurat.json: two tables of 256 cells of equal area that cover exp(-x^2/2), x >= 0.

"normal" covers all of it, "cut_at_2" the part below x = 2. In each, 252 rectangles lie wholly under the curve, from the
bottom up, and 253 edge boxes cover what they leave, with the area of 4 rectangles: box 0 the tail, box j the overhang of
rectangle j, box 252 the cap. Where the curve is cut, the tail and the overhangs of the rectangles that reach the cut are
empty: they have no area, and their thresholds are 0."""
import json
import os

from mpmath import exp, log, mp, mpf, sqrt

mp.dps = 40
CELLS, RECTANGLES = 256, 252
EMPTY = (mpf(0), mpf(0), mpf(0), mpf(0), mpf(0))


def f(x):
    return exp(-x * x / 2)


def inverse_f(y):
    return sqrt(-2 * log(y))


def right_end(y, area, start):
    """The largest x <= start with y + area / x = f(x), where a rectangle on the height y ends, or None."""
    x = start
    while y + area / x < 1:
        new = inverse_f(y + area / x)
        if abs(new - x) < mpf(10) ** -32:
            return new
        x = new
    return None


def cover(area, cut):
    """Returns (right ends, boxes as (x_low, dx, y_low, dy, area)), or None if the rectangles pass the curve's top."""
    if cut is None:  # the lowest rectangle ends where area = x f(x), and the tail is what lies beyond it
        low, high = mpf(3), mpf(5)
        for _ in range(140):
            middle = (low + high) / 2
            low, high = (middle, high) if middle * f(middle) > area else (low, middle)
        xs, y = [low], f(low)
        boxes = [(mpf(0), mpf(0), mpf(0), mpf(0), f(low) / low)]
    else:
        xs, y, boxes = [cut], area / cut, [EMPTY]
    while len(xs) < RECTANGLES:
        if cut is not None and y + area / cut <= f(cut):
            xs.append(cut)
            boxes.append(EMPTY)
        else:
            x = right_end(y, area, xs[-1])
            if x is None:
                return None
            outer = xs[-1] if cut is None else cut if y <= f(cut) else inverse_f(y)
            xs.append(x)
            boxes.append((x, outer - x, y, area / x, (outer - x) * area / x))
        y += area / xs[-1]
    outer = inverse_f(y)
    boxes.append((mpf(0), outer, y, 1 - y, outer * (1 - y)))
    return xs, boxes


def table(cut, low, high):
    """Finds by bisection the area of a rectangle at which all boxes have the area of CELLS - RECTANGLES rectangles."""
    for _ in range(130):
        area = (low + high) / 2
        c = cover(area, cut)
        if c is None or sum(b[4] for b in c[1]) < (CELLS - RECTANGLES) * area:
            high = area
        else:
            low = area
    xs, boxes = cover(low, cut)
    total, run, threshold = sum(b[4] for b in boxes), mpf(0), []
    for b in boxes[:-1]:
        run += b[4]
        threshold.append(int(mp.nint(run / total * 2 ** 32)))
    number = lambda v: float(v).hex()
    column = lambda j: [number(b[j]) for b in boxes]
    mass = sqrt(mp.pi / 2) * (1 if cut is None else mp.erf(cut / sqrt(mpf(2))))
    print("cut", cut, "area", mp.nstr(low, 15), "kept", mp.nstr(mass / (CELLS * low), 8))
    return {"area": number(low), "x": [number(x) for x in xs], "threshold": threshold,
            "xlo": column(0), "dx": column(1), "ylo": column(2), "dy": column(3),
            "inv_x1": number(1 / xs[0])}


path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ziggurat.json")
tables = {"normal": table(None, mpf("0.0048"), mpf("0.0052")), "cut_at_2": table(mpf(2), mpf("0.0045"), mpf("0.0048"))}
with open(path, "w") as fh:
    json.dump({"cells": CELLS, "rectangles": RECTANGLES, **tables}, fh, indent=0)
