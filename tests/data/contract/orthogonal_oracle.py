#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Independent oracle of docs/VALUES.md, section 8: orthogonal matrices.

It shares no code with the library: one column and one row after the other, as the section states it. Words, normals, fused
multiply-adds and formats are oracle.py's.

    python3 orthogonal_oracle.py golden OUT.json    write the golden vectors
"""
import json
import math
import sys

import numpy as np
import oracle
from oracle import F32, F64, U64

PANEL, CHUNK = 48, 256
LARGEST = {"float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308, "float16": 65504.0,
           "bfloat16": 3.3895313892515355e38, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def fma(a, b, c):
    """One rounding in the type of the operands; arrays of columns or numbers."""
    double = np.asarray(c).dtype == F64
    result = (oracle.fma64 if double else oracle.fma32)(np.atleast_1d(a), np.atleast_1d(b), np.atleast_1d(c))
    return result.reshape(np.broadcast(a, b, c).shape)


def sum_over_rows(a, b):
    """The sum of a[i] * b[i] over the first axis, in chunks; b may have columns."""
    total = np.zeros(np.broadcast(a[0], b[0]).shape, b.dtype)
    for first in range(0, len(a), CHUNK):
        s = np.zeros_like(total)
        for i in range(first, min(first + CHUNK, len(a))):
            s = fma(a[i], b[i], s)
        total = total + s
    return total


def normals(m, n, seed, subsequence, double):
    index = np.arange(m * n, dtype=U64)
    z32, z64 = oracle.normal_trials(index, seed, subsequence, -math.inf, math.inf, oracle.load_tables(), double)
    return (z64 if double else z32).reshape(m, n)


def tall_matrix(m, n, seed, subsequence, double):
    """Q and the diagonal of D."""
    real = F64 if double else F32
    x = normals(m, n, seed, subsequence, double)
    v, signs = np.zeros((m, n), real), np.empty(n, real)
    for j in range(n):
        column = x[j:, j].astype(F64)
        from_panel = np.concatenate([np.zeros(j % PANEL), column])
        s = sum_over_rows(from_panel, from_panel)
        if s == 0:
            column[0], s = 1.0, F64(1)
        alpha = np.sqrt(s)
        t = alpha + abs(column[0])
        c = F64(1) / np.sqrt(alpha * t)
        v[j:, j] = (column * c).astype(real)
        v[j, j] = np.copysign(t * c, column[0]).astype(real)
        signs[j] = 1 if np.signbit(column[0]) else -1
    q = np.eye(m, n, dtype=real)
    for k in range((n - 1) // PANEL * PANEL, -1, -PANEL):
        e = min(k + PANEL, n)
        u = np.array([sum_over_rows(v[k:, a], v[k:, k:e]) for a in range(k, e)])
        w = np.array([sum_over_rows(v[k:, a], q[k:, k:]) for a in range(k, e)])
        for a in range(e - k - 1, -1, -1):
            for b in range(e - k - 1, a, -1):
                w[a] = fma(-u[a, b], w[b], w[a])
        for i in range(k, m):
            for b in range(e - k - 1, -1, -1):
                q[i, k:] = fma(-v[i, k + b], w[b], q[i, k:])
    return q, signs


def matrix_of(shape, layout):
    """(rows, cols) of a tensor."""
    size = math.prod(shape)
    return (size // shape[-1], shape[-1]) if layout == "hwio" else (shape[0], size // shape[0])


def fill(spec):
    """The patterns of a tensor: spec has shape, layout, gain, seed, subsequence and dtype."""
    rows, cols = matrix_of(spec["shape"], spec["layout"])
    dtype = spec["dtype"]
    real = F64 if dtype == "float64" else F32
    q, signs = tall_matrix(max(rows, cols), min(rows, cols), spec["seed"], spec["subsequence"], dtype == "float64")
    with np.errstate(over="ignore"):
        values = q * (real(spec["gain"]) * signs)
    values = np.clip(values, -real(LARGEST[dtype]), real(LARGEST[dtype]))
    if rows < cols:
        values = values.T
    values = np.ascontiguousarray(values).ravel()
    if dtype in ("float32", "float64"):
        return values.view(U64 if dtype == "float64" else np.uint32)
    return oracle.encode(values, dtype)


def cases():
    every = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
    yield "one element", every, {"shape": [1, 1], "gain": 1.0, "seed": 1, "subsequence": 0}
    yield "square of 3", every, {"shape": [3, 3], "gain": 1.0, "seed": 2, "subsequence": 5}
    yield "one column", ("float32", "float64"), {"shape": [300, 1], "gain": -2.5, "seed": 2 ** 64 - 1, "subsequence": 2 ** 63 + 5}
    yield "one row", ("float32",), {"shape": [1, 37], "gain": 0.1, "seed": 9, "subsequence": 1}
    yield "tall", every, {"shape": [70, 40], "gain": 1.0, "seed": 42, "subsequence": 7}
    yield "wide", every, {"shape": [40, 70], "gain": math.sqrt(2), "seed": 42, "subsequence": 7}
    yield "panels and chunks", ("float32", "float64"), {"shape": [530, 101], "gain": 1.0, "seed": 3, "subsequence": 4}
    yield "square of panels", ("float32",), {"shape": [96, 96], "gain": 1.0, "seed": 3, "subsequence": 4}
    yield "kernel", ("float32", "bfloat16"), {"shape": [3, 3, 8, 16], "gain": 1.0, "seed": 0, "subsequence": 12}
    yield "wide kernel", ("float32",), {"shape": [3, 8, 100], "gain": 1.0, "seed": 0, "subsequence": 12}
    yield "PyTorch's kernel", ("float32", "float16"), {"shape": [16, 8, 3, 3], "layout": "oihw", "gain": 1.0, "seed": 0,
                                                       "subsequence": 12}
    yield "large gain", every, {"shape": [5, 4], "gain": 3e38, "seed": 8, "subsequence": 0}
    yield "no gain", ("float32", "float8_e5m2"), {"shape": [3, 2], "gain": 0.0, "seed": 8, "subsequence": 0}


def digest(patterns, bits):
    """FNV-1a of the little-endian bytes: large tensors are compared by it."""
    h = 0xCBF29CE484222325
    for byte in patterns.astype("<u%d" % (bits // 8)).tobytes():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


BITS = {"float32": 32, "float64": 64, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8}


def main(argv):
    if len(argv) != 3 or argv[1] != "golden":
        print(__doc__, file=sys.stderr)
        return 2
    golden = []
    for name, dtypes, spec in cases():
        spec.setdefault("layout", "hwio")
        patterns = {}
        for dtype in dtypes:
            p = fill(dict(spec, dtype=dtype))
            first = " ".join("%x" % int(one) for one in p[:64])
            patterns[dtype] = {"first": first, "fnv1a": str(digest(p, BITS[dtype]))}
        golden.append(dict(spec, name=name, patterns=patterns))
        print(name, file=sys.stderr)
    with open(argv[2], "w", encoding="utf-8") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
