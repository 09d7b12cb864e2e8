#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Independent oracle of docs/VALUES.md, section 9: low precision.

It shares no code with the library: it looks every value up in the list of all values of the dtype. Words, normals and
fused multiply-adds are oracle.py's.

    python3 low_precision_oracle.py golden OUT.json    write the golden vectors
"""
import json
import math
import sys

import numpy as np
import oracle
from oracle import F32, F64, U64

# dtype: bits, exponent bits, mantissa bits, bias, largest finite pattern, whether it has -0
FORMATS = {"float16": (16, 5, 10, 15, 0x7BFF, True), "bfloat16": (16, 8, 7, 127, 0x7F7F, True),
           "float8_e4m3fn": (8, 4, 3, 7, 0x7E, True), "float8_e5m2": (8, 5, 2, 15, 0x7B, True),
           "float8_e4m3fnuz": (8, 4, 3, 8, 0x7F, False), "float8_e5m2fnuz": (8, 5, 2, 16, 0x7F, False),
           "float6_e2m3fn": (6, 2, 3, 1, 0x1F, True), "float6_e3m2fn": (6, 3, 2, 3, 0x1F, True),
           "float4_e2m1fn": (4, 2, 1, 1, 0x7, True)}


def magnitudes(dtype):
    """The finite values that are not negative, in the order of their patterns."""
    _, _, m_bits, bias, largest, _ = FORMATS[dtype]
    p = np.arange(largest + 1)
    e, m = p >> m_bits, p & ((1 << m_bits) - 1)
    exact = np.where(e == 0, m, m + (1 << m_bits)).astype(F64)
    return np.ldexp(exact, (np.maximum(e, 1) - bias - m_bits).astype(np.int32))


def rounding_words(index, seed, subsequence):
    return oracle.head_words(index, seed, subsequence, tag=191)


def limits(low, high, strict, dtype):
    """The outermost values inside the bounds; the upper bound is excluded when strict."""
    grid = magnitudes(dtype)
    values = np.concatenate([-grid[::-1], grid])  # -0 before +0
    above = values[values >= low]
    below = values[values < high if strict else values <= high]
    if not len(above) or not len(below) or above[0] > below[-1]:
        raise oracle.Refused("no value of %s lies inside the bounds" % dtype)
    return above[0], below[-1]


def patterns(w, dtype, words=None):
    """binary64 values in the finite range, rounded to nearest even, or stochastically by the words."""
    bits, _, _, _, _, negative_zero = FORMATS[dtype]
    grid = magnitudes(dtype)
    magnitude = np.abs(w)
    near = np.searchsorted(grid, magnitude, side="right") - 1  # the neighbour nearer to zero
    far = np.minimum(near + 1, len(grid) - 1)
    spacing = np.where(far == near, 1.0, grid[far] - grid[near])
    fraction = (magnitude - grid[near]) / spacing  # exact: spacings are powers of two
    if words is None:
        up = (fraction > 0.5) | ((fraction == 0.5) & (near % 2 == 1))
    else:
        up = words.astype(F64) < np.floor(fraction * 2.0 ** 32)
    p = np.where(up, far, near)
    negative = np.signbit(w) & (negative_zero | (p != 0))
    return np.where(negative, p | (1 << (bits - 1)), p)


def packed(p, dtype):
    """The bytes in memory."""
    bits = FORMATS[dtype][0]
    stream = (p[:, None] >> np.arange(bits)) & 1
    return np.packbits(stream.astype(np.uint8).ravel(), bitorder="little")


def values(spec, index):
    """Values in binary32 before the clamp, and their bounds."""
    seed, subsequence = spec["seed"], spec["subsequence"]
    inf = math.inf
    if spec["kind"] == "constant":
        return np.full(len(index), F32(spec["value"])), -inf, inf, False
    if spec["kind"] == "uniform":
        a, b = spec["low"], spec["high"]
        head = oracle.head_words(index, seed, subsequence)
        if a == -b:
            v = oracle.centred(head).astype(F32) * F32(2.0 ** -24) * F32(b)
        else:
            v = oracle.fma32((head >> U64(8)).astype(F32) * F32(2.0 ** -24), F32(b - a), F32(a))
        return v, F32(a), F32(b), True
    sd = F32(spec["stddev"])
    lo, hi = spec.get("lower", -inf), spec.get("upper", inf)
    z, _ = oracle.normal_trials(index, seed, subsequence, lo, hi, oracle.load_tables(), False)
    return z * sd, F32(lo) * sd, F32(hi) * sd, False


def fill(spec):
    """The bytes of a tensor. spec: kind, its parameters, shape, seed, subsequence, dtype, rounding, scale or scales."""
    index = np.arange(math.prod(spec["shape"]), dtype=U64)
    v, low, high, strict = values(spec, index)
    scales = spec.get("scales", [spec.get("scale", 1.0)])
    group = len(index) // len(scales)
    words = None
    if spec.get("rounding") == "stochastic" and spec["kind"] != "constant":
        words = rounding_words(index, spec["seed"], spec["subsequence"])
    p = np.empty(len(index), np.int64)
    for j, scale in enumerate(scales):
        part = slice(j * group, (j + 1) * group)
        s = F32(scale)
        least, most = limits(F64(F32(low) / s), F64(F32(high) / s), strict, spec["dtype"])
        w = oracle.clamp((v[part] / s).astype(F64), least, most)
        p[part] = patterns(w, spec["dtype"], None if words is None else words[part])
    return packed(p, spec["dtype"])


def cases():
    small = [name for name in FORMATS if FORMATS[name][0] < 16]
    added = ["float8_e4m3fnuz", "float8_e5m2fnuz", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
    key = {"seed": 42, "subsequence": 7}
    truncated = {"kind": "truncated_normal", "stddev": 1.5, "lower": -2.0, "upper": 2.0}
    for dtype in added:
        yield dict(key, kind="normal", stddev=2.0, shape=[24, 64], dtype=dtype)
        yield dict(key, kind="normal", stddev=1e6, shape=[16], dtype=dtype)
        yield dict(key, kind="uniform", low=-1.0, high=1.0, shape=[8, 8], dtype=dtype)
        yield dict(key, kind="constant", value=-1e-9, shape=[8], dtype=dtype)
        yield dict(key, kind="constant", value=1e9, shape=[8], dtype=dtype)
    for dtype in FORMATS:
        yield dict({**key, **truncated}, shape=[12, 64], dtype=dtype, rounding="stochastic")
        yield dict(key, kind="uniform", low=0.5, high=3.0, shape=[64], dtype=dtype, rounding="stochastic", scale=0.75)
        yield dict(key, kind="constant", value=0.3, shape=[8], dtype=dtype, rounding="stochastic", scale=0.125)
        yield dict(key, kind="normal", stddev=0.02, shape=[512], dtype=dtype, scale=0.01)
        yield dict(key, kind="normal", stddev=0.02, shape=[512], dtype=dtype, scale=2.0 ** -8)
    for dtype in small:
        scales = [2.0 ** (j % 5 - 3) for j in range(24)]
        for rounding in ("nearest", "stochastic"):
            yield dict({**key, **truncated}, shape=[12, 64], dtype=dtype, rounding=rounding, scales=scales)
            yield dict(key, kind="uniform", low=-0.75, high=0.75, shape=[4, 3, 64], dtype=dtype, rounding=rounding, scales=scales)
    yield dict(kind="normal", stddev=3.0, shape=[1000], dtype="float4_e2m1fn", rounding="stochastic", seed=2 ** 64 - 1,
               subsequence=2 ** 63 + 5)


def main(argv):
    if len(argv) != 3 or argv[1] != "golden":
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[2], "w", encoding="utf-8") as file:
        file.write("[\n")
        file.write(",\n".join(json.dumps(dict(spec, bytes=fill(spec).tobytes().hex())) for spec in cases()))
        file.write("\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
