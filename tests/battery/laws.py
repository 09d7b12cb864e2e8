# SPDX-License-Identifier: Apache-2.0
"""The distributions that docs/VALUES.md defines, with the rounding of values to binary32 and to narrow types.

A law has one function, below(x): the probability that a value is less than x, for an array of x. Values are discrete, and
10^10 draws show that, so the laws count what the contract can draw:

- Points has a list of values. A uniform draws one of 2^24 fractions; a narrow window or a tail proposes one of 2^24 points,
  and keeps it with a probability that depends on the point.
- Normal is the mathematical distribution, rounded to binary32, plus the difference that the 2^24 fractions of each of the
  table's rectangles make. The edge boxes, which have 1/64 of the area, count as continuous.

What is left out: the 2^24 levels that decide whether a point is kept, and the rounding of that comparison. Both change the
probability of a cell by less than 1e-6 of it, and 10^10 draws in 10^4 cells cannot show less than 1e-4.
"""
import functools
import json
import math
from pathlib import Path

import numpy as np
from scipy.special import ndtr

FRACTIONS = 2 ** 24
TABLES = Path(__file__).resolve().parents[2] / "src/core/ziggurat.json"


def half_ulp_below(x):
    """Half of the distance from x to the binary32 number before it: values from there on are rounded to x."""
    number = x.astype(np.float32)
    assert (number == x).all()
    return (x - np.nextafter(number, np.float32(-np.inf)).astype(np.float64)) / 2


class Points:
    """Values with weights. Values that are equal may be listed several times."""

    def __init__(self, values, weights=None):
        if values[0] > values[-1]:
            values, weights = values[::-1], None if weights is None else weights[::-1]
        self.values = values
        self.share = None if weights is None else np.concatenate(([0.0], np.cumsum(weights))) / np.sum(weights)

    def below(self, x):
        count = np.searchsorted(self.values, x.astype(np.float32), side="left")
        return count / len(self.values) if self.share is None else self.share[count]


@functools.lru_cache(maxsize=2)
def centred_uniform():
    """Uniform on [-1, 1): the odd multiples of 2^-24."""
    return Points((np.arange(1 - FRACTIONS, FRACTIONS, 2, dtype=np.int64) / FRACTIONS).astype(np.float32))


@functools.lru_cache(maxsize=2)
def shifted_uniform(low, high):
    """Uniform on [low, high): 2^24 fractions, scaled and shifted with one rounding, and kept below `high`."""
    values = (low + (high - low) * np.arange(FRACTIONS) / FRACTIONS).astype(np.float32)
    return Points(np.minimum(values, np.nextafter(np.float32(high), np.float32(-np.inf))))


class ContinuousUniform:
    """Uniform on [low, high), for binary64."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def below(self, x):
        return np.clip((x - self.low) / (self.high - self.low), 0, 1)


def edge_fractions():
    return (2 * np.arange(FRACTIONS) + 1).astype(np.float32).astype(np.float64) / 2 ** 25


def fma(a, b, c):
    """In binary32, of binary32 numbers held as binary64: the product is exact, and the sum almost always is."""
    return (a * b + c).astype(np.float32).astype(np.float64)


def neglog(u):
    """-log(u) as the contract computes it, in binary32. Far out in the tail, points are further apart than cells, so that an
    error in the last place would put all draws of a point into the wrong cell."""
    coefficients = ["-0x1.fffff8p-2", "0x1.55555p-2", "-0x1.000426p-2", "0x1.99a3f6p-3", "-0x1.54275cp-3", "0x1.22716cp-3",
                    "-0x1.0f37a2p-3", "0x1.08496ap-3", "-0x1.38319p-4"]
    root_half = 0x3f3504f3  # the bits of sqrt(1/2)
    bits = u.astype(np.float32).view(np.int32) - root_half
    exponent = (bits >> 23).astype(np.float64)
    f = ((bits & 0x7fffff) + root_half).view(np.float32).astype(np.float64) - 1
    p = np.full(f.shape, float.fromhex(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        p = fma(p, f, float.fromhex(coefficient))
    square = (f * f).astype(np.float32).astype(np.float64)
    return -fma(exponent, float.fromhex("0x1.62e430p-1"), fma(square, p, f))


@functools.lru_cache(maxsize=2)
def narrow_normal(low, high):
    """A normal in a window that has no table: a uniform proposal, or an exponential one (docs/VALUES.md, section 3)."""
    if high < 0:
        mirrored = narrow_normal(-high, -low)
        return Points(-mirrored.values[::-1], np.diff(mirrored.share)[::-1])
    a, u = max(low, 0.0), edge_fractions()
    if low <= 0 or (high - a) * (a + high) <= 3:
        x = (low + u * (high - low)).astype(np.float32)
        weights = np.exp(-(x.astype(np.float64) ** 2 - a * a) / 2)
    else:
        rate = (a + math.sqrt(a * a + 4)) / 2
        step = (neglog(u) * np.float64(np.float32(1 / rate))).astype(np.float32).astype(np.float64)
        x = (a + step).astype(np.float32)
        weights = np.exp(-((step - (rate - a)) ** 2) / 2)
    return Points(x, np.where((x >= low) & (x <= high), weights, 0.0))


class Normal:
    """A standard normal in a window that has a table; binary64 has 2^53 fractions, which count as continuous."""

    def __init__(self, low=-math.inf, high=math.inf, dtype="float32"):
        self.low, self.high, self.is_rounded = low, high, dtype != "float64"
        table = json.loads(TABLES.read_text())["cut_at_2" if (low, high) == (-2, 2) else "normal"]
        self.ends = np.array([float.fromhex(x) for x in table["x"]], np.float32).astype(np.float64)
        covered = math.sqrt(math.pi / 2) * (math.erf(math.sqrt(2)) if (low, high) == (-2, 2) else 1)
        self.area = float.fromhex(table["area"]) / covered  # of a rectangle, as a probability before the window
        self.bounds = self.unbounded(np.array([low, np.nextafter(np.float32(high), np.float32(np.inf))]))

    def unbounded(self, x):
        finite = np.clip(x.astype(np.float64), -20, 20)
        if not self.is_rounded:
            return ndtr(finite)
        inside = finite - half_ulp_below(finite.astype(np.float32).astype(np.float64))
        total = ndtr(2.0) - ndtr(-2.0) if (self.low, self.high) == (-2, 2) else 1.0
        return ndtr(inside) + total * self.steps(inside)

    def steps(self, x):
        """What the rectangles' fractions add to the probability below x."""
        order = np.argsort(np.abs(x))
        magnitude, added = np.abs(x)[order], np.zeros(x.shape)
        for end in self.ends:
            inside = slice(0, np.searchsorted(magnitude, end))
            fraction = magnitude[inside] / end
            counted = np.floor((fraction * FRACTIONS + 1) / 2) / (FRACTIONS / 2)  # odd numbers below fraction * 2^24
            added[inside] += counted - fraction
        sums = np.empty(x.shape)
        sums[order] = added
        return np.sign(x) * sums * self.area / 2

    def below(self, x):
        low, high = self.bounds
        return (np.clip(self.unbounded(x), low, high) - low) / (high - low)


# ---------------------------------------------------------------- narrow types

# Exponent bits, mantissa bits, bias; whether the largest exponent has numbers ("fn": all but one, "fnuz": all, "ieee": none).
FORMATS = {
    "float16": (5, 10, 15, "ieee"), "bfloat16": (8, 7, 127, "ieee"),
    "float8_e4m3fn": (4, 3, 7, "fn"), "float8_e5m2": (5, 2, 15, "ieee"),
    "float8_e4m3fnuz": (4, 3, 8, "fnuz"), "float8_e5m2fnuz": (5, 2, 16, "fnuz"),
    "float6_e2m3fn": (2, 3, 1, "all"), "float6_e3m2fn": (3, 2, 3, "all"), "float4_e2m1fn": (2, 1, 1, "all"),
}


def narrow_values(dtype):
    """The value of each pattern of bits; NaN for those that are no finite number."""
    exponent_bits, mantissa_bits, bias, kind = FORMATS[dtype]
    patterns = np.arange(2 ** (1 + exponent_bits + mantissa_bits))
    mantissa = patterns & (2 ** mantissa_bits - 1)
    exponent = (patterns >> mantissa_bits) & (2 ** exponent_bits - 1)
    is_negative = patterns >> (exponent_bits + mantissa_bits) == 1
    significand = np.where(exponent == 0, mantissa, mantissa + 2 ** mantissa_bits).astype(np.float64)
    values = np.ldexp(significand, np.maximum(exponent, 1) - bias - mantissa_bits) * np.where(is_negative, -1, 1)
    if kind == "ieee":
        values[exponent == 2 ** exponent_bits - 1] = np.nan
    elif kind == "fn":
        values[(exponent == 2 ** exponent_bits - 1) & (mantissa == 2 ** mantissa_bits - 1)] = np.nan
    elif kind == "fnuz":
        values[is_negative & (exponent == 0) & (mantissa == 0)] = np.nan
    return values


def up_to_nearest(law, values, is_even):
    """The probability that a value of the law is rounded to values[j] or less, to nearest even, for each j but the last."""
    middle = (values[:-1] + values[1:]) / 2
    past = np.nextafter(middle.astype(np.float32), np.float32(np.inf)).astype(np.float64)  # a tie goes to the even neighbour
    return law.below(np.where(is_even[:-1], past, middle))


def up_to_stochastic(values):
    """The same for stochastic rounding of a standard normal: the mean of its distribution function between neighbours."""
    low, high = values[:-1], values[1:]
    density = np.exp(-values ** 2 / 2) / math.sqrt(2 * math.pi)
    integral = values * ndtr(values) + density
    wide = high - low > 2 ** -20  # else the difference cancels, and the function is as good as linear
    gap = np.where(wide, high - low, 1)
    return np.where(wide, np.diff(integral) / gap, ndtr((low + high) / 2))
