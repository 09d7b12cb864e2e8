#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares truncated normals of many windows with SciPy's distribution: Kolmogorov-Smirnov, and chi-square over 256 cells.

Seeds are fixed, so every run gives the same answer. With a random seed, a correct generator would fail a check with
probability 1e-7. There are 96 checks, so the probability of a false alarm is below 1e-5 in total.
Controls show that each kind of check rejects slightly wrong values.

    windows_test.py PROGRAM
"""
import math
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from scipy import special, stats
except ImportError as e:
    print("skipped:", e, "for", sys.executable)
    sys.exit(77)

COUNT = 1 << 18
CELLS = 256
LEAST = 1e-7  # a p-value

WINDOWS = [
    (-2, 2),  # the table of the curve up to 2
    (-3, 3), (-1.25, 1.25), (-0.5, 4), (0, 2.5), (0, math.inf), (-math.inf, 0), (-math.inf, 2.2),  # the table of the whole curve
    (-0.01, 0.02), (-0.5, 0.5), (0, 1), (-2, 0), (-1, 1.4),  # box, around 0
    (1, 2), (-1.75, -0.5), (0.1, 1.7), (5, 5.01), (8, 8.1),  # box
    (2, math.inf), (3, 8), (8, 9), (-9, -8), (-math.inf, -0.75), (0.001, 3),  # tail
]


def cdf(x, lower, upper):
    """The distribution of a standard normal within the window, on the side of 0 where tails keep their digits."""
    if lower > 0:
        return 1 - cdf(-x, -upper, -lower)
    below = special.ndtr(lower)
    return np.clip((special.ndtr(x) - below) / (special.ndtr(upper) - below), 0, 1)


def p_values(x, lower, upper):
    u = np.sort(cdf(np.asarray(x, np.float64), lower, upper))
    n = len(u)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - u), np.max(u - steps[:-1]))
    cells = np.bincount(np.minimum((u * CELLS).astype(int), CELLS - 1), minlength=CELLS)
    return stats.kstwobign.sf(math.sqrt(n) * distance), stats.chisquare(cells).pvalue


def main():
    program = sys.argv[1]
    fewest = 1.0
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.npy")
        number = lambda bound: "null" if math.isinf(bound) else repr(bound)

        def drawn(lower, upper, dtype, name):
            subprocess.run([program, "fill", "--init", "truncated_normal", "--shape", str(COUNT), "--dtype", dtype, "--seed", "20261129",
                            "--name", name, "--set", "mean=0", "--set", "stddev=1", "--set", "lower=" + number(lower), "--set",
                            "upper=" + number(upper), "--out", out], check=True, capture_output=True)
            return np.load(out)

        for lower, upper in WINDOWS:
            # SciPy has this distribution under its own name.
            at = np.linspace(max(lower, -9), min(upper, 9), 101)
            assert np.allclose(cdf(at, lower, upper), stats.truncnorm.cdf(at, lower, upper), rtol=0, atol=1e-6), (lower, upper)
            for dtype in ("float32", "float64"):
                x = drawn(lower, upper, dtype, "%s to %s" % (lower, upper) + dtype)
                assert x.dtype == dtype and x.min() >= x.dtype.type(lower) and x.max() <= x.dtype.type(upper), (lower, upper, x.min(), x.max())
                for check, p in zip(("Kolmogorov and Smirnov", "chi-square"), p_values(x, lower, upper)):
                    assert p > LEAST, "[%s, %s], %s: %s has p = %g" % (lower, upper, dtype, check, p)
                    fewest = min(fewest, p)
        # Controls: a bound that is slightly wrong, values that avoid some cells, and the box sampler's proposals.
        x = drawn(1, 2, "float32", "control").astype(np.float64)
        assert max(p_values(x, 1, 2.05)) < LEAST and max(p_values(x, 0.99, 2)) < LEAST
        u = cdf(x, 1, 2)
        crowded = np.where((u * CELLS).astype(int) % 8 == 0, x + 0.4 / CELLS, x)
        ks, chi2 = p_values(crowded, 1, 2)
        assert ks > LEAST and chi2 < LEAST, (ks, chi2)
        assert max(p_values(np.linspace(1, 2, COUNT), 1, 2)) < LEAST
    print("%d windows, smallest p-value %.2g of %d" % (len(WINDOWS), fewest, 4 * len(WINDOWS)))


if __name__ == "__main__":
    main()
