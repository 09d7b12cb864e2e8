#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Independent oracle of the value contract (docs/VALUES.md), which needs only NumPy.

It computes what a fill must write, bit for bit, from (seed, subsequence, element index),
distribution and dtype. It shares no code with the library and is slow on purpose:
every step is the plain formula of VALUES.md.

    python3 oracle.py golden OUT_DIR          write the golden vectors and their manifest
    python3 oracle.py emit SPEC.json OUT.npy  one case; SPEC as in the manifest's "spec"
"""
import json
import math
import os
import sys
from fractions import Fraction

import numpy as np

U32, U64, I64, F32, F64 = np.uint32, np.uint64, np.int64, np.float32, np.float64
MASK32 = U64(0xFFFFFFFF)

# ---------------------------------------------------------------- Philox4x32-10
M0, M1, W0, W1 = U64(0xD2511F53), U64(0xCD9E8D57), 0x9E3779B9, 0xBB67AE85


def philox(c0, c1, c2, c3, key0, key1):
    """Four uint64 arrays holding 32-bit words, as curand_Philox4x32_10 returns them."""
    c0, c1, c2, c3 = (np.asarray(c, U64) for c in (c0, c1, c2, c3))
    k0, k1 = int(key0), int(key1)
    for _ in range(10):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> U64(32)) ^ c1 ^ U64(k0),
            p1 & MASK32,
            (p0 >> U64(32)) ^ c3 ^ U64(k1),
            p0 & MASK32,
        )
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def block(index, tag, seed, subsequence):
    """Philox block with counter (index, tag << 24 in the second word's top byte, subsequence)."""
    index = np.asarray(index, U64)
    hi = (index >> U64(32)) | (np.asarray(tag, U64) << U64(24))
    s = np.full(index.shape, subsequence, U64)
    return philox(index & MASK32, hi, s & MASK32, s >> U64(32), seed & 0xFFFFFFFF, seed >> 32)


def head_words(i, seed, subsequence, tag=0):
    """Word i mod 4 of block i div 4; for tag 0 this is curand()'s i-th word."""
    i = np.asarray(i, U64)
    b = np.stack(block(i >> U64(2), tag, seed, subsequence))
    return b[(i & U64(3)).astype(np.int64), np.arange(i.size)]


# ------------------------------------------------- correctly rounded fused multiply-add
def _two_sum(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _two_prod(a, b):
    split = F64(134217729.0)
    p = a * b
    ah = split * a
    ah = ah - (ah - a)
    al = a - ah
    bh = split * b
    bh = bh - (bh - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _round_to_odd_sum(a, b):
    s, e = _two_sum(a, b)
    bits = s.view(I64)
    fix = (e != 0) & ((bits & 1) == 0)
    step = np.where((e > 0) == (s > 0), 1, -1)
    return np.where(fix, bits + step, bits).astype(I64).view(F64)


def fma64(a, b, c):
    a, b, c = (np.ascontiguousarray(np.broadcast_to(F64(v), np.broadcast(a, b, c).shape)) for v in (a, b, c))
    with np.errstate(all="ignore"):
        uh, ul = _two_prod(a, b)
        th, tl = _two_sum(c, ul)
        vh, vl = _two_sum(uh, th)
        out = vh + _round_to_odd_sum(tl, vl)
        far = lambda v: (v != 0) & ((np.abs(v) < 2.0 ** -900) | (np.abs(v) > 2.0 ** 900))
        for j in np.flatnonzero((far(a) | far(b) | far(c) | far(uh) | ~np.isfinite(out)).ravel()):
            out.flat[j] = _exact_fma(a.flat[j], b.flat[j], c.flat[j])
    return out


def _exact_fma(a, b, c):
    try:
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        return float(exact) if exact else float(a) * float(b) + float(c)  # keeps the sign of a zero
    except OverflowError:
        return math.copysign(math.inf, exact)


def fma32(a, b, c):
    a, b, c = (np.ascontiguousarray(np.broadcast_to(F32(v), np.broadcast(a, b, c).shape)).astype(F64) for v in (a, b, c))
    return _round_to_odd_sum(a * b, c).astype(F32)  # a * b is exact in binary64


# ---------------------------------------------------------------- tables
def load_tables():
    """The two tables of ziggurat.json beside this file: "normal", and "cut_at_2" for the window [-2, 2]."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "ziggurat.json")) as fh:
        both = json.load(fh)
    out = {}
    for name in ("normal", "cut_at_2"):
        t = both[name]
        hexes = lambda k, d: np.array([float.fromhex(v) for v in t[k]], F64).astype(d)
        out[name] = {
            "X64": hexes("x", F64),
            "X32": hexes("x", F32),
            "threshold": np.array(t["threshold"], U64),
            "xlo": hexes("xlo", F32), "dx": hexes("dx", F32),
            "ylo": hexes("ylo", F32), "dy": hexes("dy", F32),
            "x1": F32(float.fromhex(t["x"][0])), "inv_x1": F32(float.fromhex(t["inv_x1"])),
        }
    return out


LN_C = [F32(float.fromhex(h)) for h in (
    "-0x1.fffff8p-2", "0x1.55555p-2", "-0x1.000426p-2", "0x1.99a3f6p-3", "-0x1.54275cp-3",
    "0x1.22716cp-3", "-0x1.0f37a2p-3", "0x1.08496ap-3", "-0x1.38319p-4")]
LN2 = F32(float.fromhex("0x1.62e430p-1"))


def neg_log(u):
    """-ln(u) for binary32 u in (0, 1], every operation correctly rounded, in this order."""
    u = np.asarray(u, F32)
    ix = u.view(np.int32).astype(I64) - 0x3F3504F3
    e = (ix >> 23).astype(F32)
    m = ((ix & 0x7FFFFF) + 0x3F3504F3).astype(np.int32).view(F32)
    f = (m - F32(1)).astype(F32)
    p = np.full_like(f, LN_C[8])
    for c in reversed(LN_C[:8]):
        p = fma32(p, f, c)
    return -fma32(e, LN2, fma32((f * f).astype(F32), p, f))


# ---------------------------------------------------------------- standard samples
def centred(word):
    """The 24 high bits of a word as an odd integer k, |k| < 2^24 (sample = k * 2^-24)."""
    top = (np.asarray(word, U64) >> U64(8)).astype(I64)
    top = np.where(top >= 1 << 23, top - (1 << 24), top)
    return 2 * top + 1


def refine(k, word):
    """k and 29 more bits as an odd integer K, |K| < 2^53 (sample = K * 2^-53)."""
    return (k << 29) + (2 * (np.asarray(word, U64) >> U64(3)).astype(I64) + 1 - (1 << 29))


def unit(word):
    """A fraction in (0, 1] from a word's high 24 bits, rounded once to binary32."""
    return ((2 * (word >> U64(8)).astype(I64) + 1).astype(F64) * 2.0 ** -25).astype(F32)


def one_trial(head, extra, tables):
    """One trial from its head word and the four words of the next retry block: (z, kept, is_edge, cell, k)."""
    head = np.asarray(head, U64)
    cell = (head & U64(0xFF)).astype(np.int64)
    k = centred(head)
    is_edge = cell >= 252
    x = tables["X32"][np.minimum(cell, 251)]
    z = (k.astype(F32) * (x * F32(2.0 ** -24)).astype(F32)).astype(F32)
    box = np.searchsorted(tables["threshold"], extra[1], side="right")
    ux, uy = unit(extra[2]), unit(extra[3])
    ex = fma32(ux, tables["dx"][box], tables["xlo"][box])
    ey = fma32(uy, tables["dy"][box], tables["ylo"][box])
    l = neg_log(np.maximum(ey, F32(1e-30)))  # ey = 0 occurs only in box 0, which does not use it
    box_kept = (ex * ex).astype(F32) < (l + l).astype(F32)
    a = (neg_log(ux) * tables["inv_x1"]).astype(F32)
    b = neg_log(uy)
    tail_kept = (a * a).astype(F32) < (b + b).astype(F32)
    mag = np.where(box == 0, (tables["x1"] + a).astype(F32), ex).astype(F32)
    z = np.where(is_edge, np.where(k < 0, -mag, mag), z).astype(F32)
    return z, ~is_edge | np.where(box == 0, tail_kept, box_kept), is_edge, cell, k


TRIALS = 63  # retries use tags 1..63, refinements 128..190; the other tags are reserved


def clamp(v, lo, hi):
    """v, or the bound that it passes; a zero keeps its sign."""
    return np.where(v < lo, lo, np.where(v > hi, hi, v)).astype(np.asarray(v).dtype)


def sampler_of(lo, hi):
    """The sampler of a window (VALUES.md, section 3), from comparisons of the binary64 bounds alone."""
    if lo == -2 and hi == 2:
        return "cut_at_2"
    if lo <= 0 <= hi:
        return "normal" if hi - lo >= 2.5 else "box"
    a, b = min(abs(lo), abs(hi)), max(abs(lo), abs(hi))
    return "box" if (b - a) * (a + b) <= 3 else "tail"


def normal_trials(i, seed, subsequence, lo, hi, all_tables, want64):
    """First accepted standard normal of each element within the window: (z32, z64)."""
    sampler = sampler_of(lo, hi)
    if sampler in ("box", "tail"):
        return narrow_trials(i, seed, subsequence, lo, hi, sampler, want64)
    tables = all_tables[sampler]
    i = np.asarray(i, U64)
    n = i.size
    z32, z64 = np.zeros(n, F32), np.zeros(n, F64)
    pending = np.arange(n)
    head = head_words(i, seed, subsequence)
    refinement = head_words(i, seed, subsequence, tag=128) if want64 else np.zeros(n, U64)
    lo32, hi32 = F32(lo), F32(hi)
    for trial in range(TRIALS):
        nxt = block(i[pending], trial + 1, seed, subsequence)
        z, kept, is_edge, cell, k = one_trial(head, nxt, tables)
        zz = refine(k, refinement).astype(F64) * (tables["X64"][np.minimum(cell, 251)] * 2.0 ** -53)
        zz = np.where(is_edge, fma64(z.astype(F64), more_digits(refinement), z.astype(F64)), zz)
        ok = kept & (z >= lo32) & (z <= hi32)
        done = pending[ok]
        z32[done], z64[done] = z[ok], clamp(zz[ok], F64(lo), F64(hi))
        pending, head = pending[~ok], nxt[0][~ok]
        if pending.size == 0:
            return z32, z64
        refinement = block(i[pending], 128 + trial + 1, seed, subsequence)[0] if want64 else refinement[~ok]
    z32[pending], z64[pending] = 0, 0  # every trial failed; all windows of these samplers contain 0
    return z32, z64


def more_digits(refinement):
    """(2r + 1 - 2^29) 2^-53, which refines a point that has no fraction of its own."""
    return (2 * (np.asarray(refinement, U64) >> U64(3)).astype(I64) + 1 - (1 << 29)).astype(F64) * 2.0 ** -53


def narrow_trials(i, seed, subsequence, lo, hi, sampler, want64):
    """The box and tail samplers: trial t of element i draws from block retry(i, t + 1)."""
    i = np.asarray(i, U64)
    n = i.size
    sign = -1 if hi < 0 else 1
    low, high = (-hi, -lo) if sign < 0 else (lo, hi)  # binary64; now high > 0
    a = max(low, 0.0)  # the point of the window that is nearest to 0
    with np.errstate(over="ignore"):  # an infinite window, which does not use the box
        low32, high32, a32, dx32 = F32(low), F32(high), F32(a), F32(high - low)
    rate = (a + math.sqrt(a * a + 4)) / 2
    inv_rate, delta = F32(1 / rate), F32(rate - a)
    z32, z64 = np.full(n, a32 * F32(sign), F32), np.full(n, a * sign, F64)
    pending = np.arange(n)
    for trial in range(TRIALS):
        words = block(i[pending], trial + 1, seed, subsequence)
        np.seterr(over="ignore", invalid="ignore")  # far in the tail; a comparison with NaN keeps nothing
        ux, l = unit(words[2]), neg_log(unit(words[3]))
        if sampler == "box":
            x = fma32(ux, dx32, low32)
            kept = ((x - a32).astype(F32) * (x + a32).astype(F32)).astype(F32) < (l + l).astype(F32)
        else:
            t = (neg_log(ux) * inv_rate).astype(F32)
            x = (a32 + t).astype(F32)
            q = (t - delta).astype(F32)
            kept = (q * q).astype(F32) < (l + l).astype(F32)
        ok = kept & (x >= low32) & (x <= high32)
        done = pending[ok]
        z32[done] = x[ok] * F32(sign)
        if want64:
            refinement = head_words(i[pending], seed, subsequence, tag=128) if trial == 0 else block(i[pending], 128 + trial, seed, subsequence)[0]
            if sampler == "box":
                u = ((words[2] >> U64(8)).astype(I64) << 29) + (np.asarray(refinement, U64) >> U64(3)).astype(I64)
                xx = fma64((2 * u + 1).astype(F64) * 2.0 ** -54, F64(high - low), F64(low))
            else:
                xx = fma64(x.astype(F64), more_digits(refinement), x.astype(F64))
            z64[done] = clamp(xx[ok], F64(low), F64(high)) * sign
        pending = pending[~ok]
        if pending.size == 0:
            break
    return z32, z64


# ---------------------------------------------------------------- dtypes
# name: (exponent bits, mantissa bits, largest finite pattern); sign-magnitude patterns in the low bits
NARROW = {"float16": (5, 10, 0x7BFF), "bfloat16": (8, 7, 0x7F7F),
          "float8_e4m3fn": (4, 3, 0x7E), "float8_e5m2": (5, 2, 0x7B)}
F32_MAX = np.finfo(F32).max


def decode(pattern, dtype):
    """Narrow patterns to binary32 (every value of these formats is exact there)."""
    e_bits, m_bits, _ = NARROW[dtype]
    p = np.asarray(pattern).astype(I64)
    sign, mag = p >> (e_bits + m_bits), p & ((1 << (e_bits + m_bits)) - 1)
    e, m = mag >> m_bits, mag & ((1 << m_bits) - 1)
    bias = (1 << (e_bits - 1)) - 1
    v = np.where(e == 0, np.ldexp(m.astype(F64), 1 - bias - m_bits),
                 np.ldexp((m + (1 << m_bits)).astype(F64), (e - bias - m_bits).astype(np.int32)))
    return np.where(sign == 1, -v, v).astype(F32)


def encode(value32, dtype):
    """binary32, already within the largest finite value, to the nearest pattern, ties to even."""
    e_bits, m_bits, _ = NARROW[dtype]
    bias = (1 << (e_bits - 1)) - 1
    v = np.abs(np.asarray(value32, F32).astype(F64))
    e = np.maximum(np.where(v > 0, np.frexp(v)[1] - 1, 1 - bias), 1 - bias).astype(np.int32)
    m = np.rint(np.ldexp(v, m_bits - e)).astype(I64)  # rint: half to even; m may reach 2^(m_bits+1)
    mag = ((e.astype(I64) + bias - 1) << m_bits) + m  # a carry runs into the exponent; e = 1 - bias, m < 2^m_bits: subnormal
    return np.where(np.signbit(np.asarray(value32, F32)), mag | (1 << (e_bits + m_bits)), mag)


def inside(bound32, dtype, side, strict=False):
    """The outermost finite value of dtype, as binary32, that is not past (strict: not at) the binary32 bound."""
    b = F32(bound32)
    if dtype == "float32":
        if np.isinf(b):
            return F32(side) * F32_MAX
        return np.nextafter(b, F32(-side * np.inf)) if strict else b
    sign_bit = 1 << sum(NARROW[dtype][:2])
    top = NARROW[dtype][2]
    grid = decode(np.concatenate([np.arange(top, -1, -1) | sign_bit, np.arange(top + 1)]), dtype)
    ok = (grid < b if strict else grid <= b) if side > 0 else (grid > b if strict else grid >= b)
    if not ok.any():
        raise Refused("no value of %s lies inside the bounds" % dtype)
    return grid[ok][-1] if side > 0 else grid[ok][0]


def finish(value32, dtype, lo32, hi32, hi_strict=False):
    """Clamp to the outermost values of dtype inside [lo32, hi32] (hi excluded when strict), then round once."""
    lo, hi = inside(lo32, dtype, -1), inside(hi32, dtype, +1, hi_strict)
    if lo > hi:
        raise Refused("no value of %s lies inside the bounds" % dtype)
    v = clamp(value32, lo, hi)
    if dtype == "float32":
        return v
    p = encode(v, dtype)
    return p.astype(np.uint16).view(np.float16) if dtype == "float16" else p.astype(np.uint16 if dtype == "bfloat16" else np.uint8)


class Refused(ValueError):
    """The contract refuses these parameters."""


def constant(value, spec):
    """The constant fill: rounded to the compute type, clamped to the output's finite range, rounded once."""
    if spec["dtype"] == "float64":
        return np.full(spec["count"], F64(value))
    return finish(np.full(spec["count"], F32(value)), spec["dtype"], F32(-np.inf), F32(np.inf))


def check(spec):
    """Raise Refused for parameters that the contract refuses; return True for a constant fill."""
    compute = F64 if spec["dtype"] == "float64" else F32
    if spec["start"] + spec["count"] > 1 << 56:
        raise Refused("indices end at 2^56")
    with np.errstate(over="ignore"):
        finite = lambda v: bool(np.isfinite(compute(v)))
    if spec["kind"] == "uniform":
        a, b = spec["low"], spec["high"]
        if math.isnan(a) or math.isnan(b) or not finite(a) or not finite(b) or a > b:
            raise Refused("uniform needs finite low <= high")
        if a == b:
            return True
        if compute(a) == compute(b) or not finite(b - a):
            raise Refused("the interval is empty or too wide in the compute type")
        return False
    mean, sd = spec["mean"], spec["stddev"]
    if not finite(mean) or not finite(sd) or sd < 0 or (sd > 0 and compute(sd) == 0):
        raise Refused("mean and stddev must be finite, stddev >= 0 and not vanish in the compute type")
    if spec["kind"] == "truncated_normal":
        lo = -math.inf if spec.get("lower") is None else spec["lower"]
        hi = math.inf if spec.get("upper") is None else spec["upper"]
        if not lo < hi:
            raise Refused("a window needs lower < upper")
        with np.errstate(over="ignore"):
            if any(math.isfinite(q) and not np.isfinite(F32(q)) for q in (lo, hi)):
                raise Refused("a window is decided in binary32, where a bound overflows")
        for q in (lo, hi):
            with np.errstate(over="ignore"):
                if math.isfinite(q) and not (finite(q) and finite(compute(mean) + compute(sd) * compute(q))):
                    raise Refused("a bound overflows in the compute type")
    return sd == 0


def fill(spec):
    """spec: kind normal|truncated_normal|uniform, seed, subsequence, start, count, dtype and its parameters."""
    if check(spec):
        return constant(spec["low"] if spec["kind"] == "uniform" else spec["mean"], spec)
    t = load_tables()
    i = np.arange(spec["count"], dtype=U64) + U64(spec["start"])
    seed, subsequence, dtype = spec["seed"], spec["subsequence"], spec["dtype"]
    want64 = dtype == "float64"
    if spec["kind"] == "uniform":
        a, b = spec["low"], spec["high"]
        head = head_words(i, seed, subsequence)
        more = head_words(i, seed, subsequence, tag=128) if want64 else None
        k = centred(head)
        u = (head >> U64(8)).astype(I64)
        if want64:
            u = ((u << 29) + (more >> U64(3)).astype(I64)).astype(F64) * 2.0 ** -53
            c = refine(k, more).astype(F64) * 2.0 ** -53
            v = c * F64(b) if a == -b else fma64(u, F64(b - a), F64(a))
            return clamp(v, F64(a), np.nextafter(F64(b), F64(-np.inf)))
        u = u.astype(F32) * F32(2.0 ** -24)
        c = k.astype(F32) * F32(2.0 ** -24)
        v = (c * F32(b)).astype(F32) if a == -b else fma32(u, F32(b - a), F32(a))
        return finish(v, dtype, F32(a), F32(b), hi_strict=True)
    mean, sd = spec["mean"], spec["stddev"]
    lo, hi = (spec.get("lower"), spec.get("upper")) if spec["kind"] == "truncated_normal" else (None, None)
    lo, hi = -math.inf if lo is None else lo, math.inf if hi is None else hi
    z32, z64 = normal_trials(i, seed, subsequence, lo, hi, t, want64)
    if want64:
        v = fma64(z64, F64(sd), F64(mean)) if mean else z64 * F64(sd)
        return clamp(v, -np.finfo(F64).max, np.finfo(F64).max)
    with np.errstate(over="ignore"):
        scale = lambda z: fma32(z, F32(sd), F32(mean)) if mean else (z * F32(sd)).astype(F32)
        at = lambda q: F32(q) if math.isinf(q) else scale(np.array([q], F32))[0]
        return finish(scale(z32), dtype, at(lo), at(hi))


# ---------------------------------------------------------------- golden vectors
def golden_cases():
    he = math.sqrt(2.0 / 512) / 0.87962566103423978
    lecun = math.sqrt(1.0 / 27) / 0.87962566103423978
    trunc = lambda sd, mean=0.0: {"kind": "truncated_normal", "mean": mean, "stddev": sd, "lower": -2.0, "upper": 2.0}
    shapes = [("he_normal", trunc(he)), ("lecun_normal", trunc(lecun)),
              ("truncated_mean", trunc(0.05, 0.25)),
              ("normal", {"kind": "normal", "mean": 0.0, "stddev": 0.02}),
              ("normal_wide", {"kind": "normal", "mean": 0.0, "stddev": 40000.0}),
              ("normal_mean", {"kind": "normal", "mean": -1.5, "stddev": 3.0}),
              ("he_uniform", {"kind": "uniform", "low": -math.sqrt(6 / 512), "high": math.sqrt(6 / 512)}),
              ("uniform01", {"kind": "uniform", "low": 0.0, "high": 1.0})]
    shapes += [("half_window", {"kind": "truncated_normal", "mean": 0.0, "stddev": 1.0, "lower": 0.0, "upper": None}),
               ("lopsided_window", {"kind": "truncated_normal", "mean": 0.5, "stddev": 0.1, "lower": -0.5, "upper": 4.0}),
               ("tiny_stddev", trunc(1e-7)), ("narrow_uniform", {"kind": "uniform", "low": 0.75, "high": 1.0}),
               ("awkward_uniform", {"kind": "uniform", "low": -0.1, "high": 0.30000001})]
    window = lambda lo, hi: {"kind": "truncated_normal", "mean": 0.0, "stddev": 1.0, "lower": lo, "upper": hi}
    shapes += [("box_at_0", window(-0.5, 0.75)), ("box", window(1.0, 2.0)), ("box_below", window(-1.25, -0.5)),
               ("tail", window(3.0, None)), ("tail_below", window(-5.0, -2.0)), ("three_sigma", window(-3.0, 3.0))]
    places = [(0, 0, 0, 4096), (42, 7, 1, 1003), (2 ** 64 - 1, 2 ** 63 + 5, 2 ** 34 - 501, 1001),
              (0x123456789ABCDEF0, 3, 2 ** 56 - 640, 640)]
    for name, d in shapes:
        for dtype in ("float32", "float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2"):
            for j, (seed, subsequence, start, count) in enumerate(places):
                yield f"{name}-{dtype}-{j}", dict(d, dtype=dtype, seed=seed, subsequence=subsequence, start=start, count=count)


def edge_cases():
    """Parameters at the edge of the legal range, and beyond it."""
    at = {"seed": 11, "subsequence": 2, "start": 5, "count": 64}
    t = lambda sd, mean=0.0, lo=-2.0, hi=2.0, dt="float32": dict(at, kind="truncated_normal", mean=mean, stddev=sd, lower=lo, upper=hi, dtype=dt)
    n = lambda sd, mean=0.0, dt="float32": dict(at, kind="normal", mean=mean, stddev=sd, dtype=dt)
    u = lambda a, b, dt="float32": dict(at, kind="uniform", low=a, high=b, dtype=dt)
    specs = [n(0.0, 1.5), n(0.0, -0.0), n(0.0, 1e6, "float16"), u(0.3, 0.3), u(0.0, 0.0, "float64"), u(0.1, 0.1, "float8_e5m2"),
             t(1e-46), t(1e-40), t(1e-30), t(1e30), t(3e38), n(3e38), n(1e300, dt="float64"), n(1e300), n(-1.0), n(1.0, 1e39),
             t(5.55e-5, -1.34322, dt="float16"), t(1e-30, 0.3, dt="bfloat16"), t(1.0, 65000.0, dt="float16"), t(0.1, lo=5.0, hi=6.0), t(0.1, lo=2.0, hi=-2.0),
             t(1.0, lo=0.0, hi=None), t(1.0, lo=None, hi=0.0), t(1.0, lo=-0.6, hi=0.6), t(1.0, lo=-1.25, hi=1.25), t(1.0, lo=None, hi=None),
             u(1.0, 0.5), u(60.4, 61.4, "float8_e4m3fn"), u(-1.9e-18, 0.0, "float16"), u(-3e38, 3e38), u(-2.9997e38, 3e38), u(-1e308, 1.1e308, "float64"),
             t(1.0, lo=8.0, hi=9.0), t(1.0, lo=-9.0, hi=-8.0, dt="float64"), t(1.0, lo=0.0, hi=2.5), t(1.0, lo=0.0, hi=2.4999999999999996), t(1.0, lo=-2.0, hi=2.0000000000000004),
             t(1.0, lo=100.0, hi=100.015), t(1.0, lo=100.0, hi=100.014), t(1.0, lo=1.0, hi=1.0 + 1e-12), t(1.0, lo=1.0, hi=1.0 + 1e-12, dt="float64"), t(1.0, lo=1e30, hi=None),
             t(1.0, lo=None, hi=-1e200, dt="float64"), t(1.0, lo=2.0, hi=None), t(1.0, lo=1.0, hi=2.0), t(1.0, lo=1.0, hi=2.0000000000000004), t(1.0, lo=-0.5, hi=0.0), t(1.0, lo=-0.5, hi=-0.0),
             t(1.0, lo=5.0, hi=6.0, dt="float8_e4m3fn"), t(1.0, lo=5.1, hi=5.4, dt="float8_e4m3fn"), t(1.0, lo=2.0, hi=2.0), t(1.0, lo=float("nan")),
             dict(u(-1.601, -1.138), count=512), dict(t(0.5, 0.8, -2.1, 1.2, "float8_e5m2"), count=4096), t(0.0, lo=2.0, hi=-2.0), t(0.0, lo=-2.0, hi=1e200), t(1e-3, lo=-3e38, hi=3e38),
             t(1.0, 1e-60, -1e-50, -1e-60), t(1.0, lo=-(2.0 ** -52), hi=2.5 - 2.0 ** -51), dict(t(1.0, lo=-1.376, hi=-0.302), count=512), dict(t(1.0, lo=2.33, hi=None), count=512),
             dict(t(1.0, lo=2.33, hi=None, dt="float64"), count=512), dict(t(1.0, lo=1.00000002, hi=1.000001), count=512), dict(t(1.0, lo=-3.0, hi=2.885841368628906), count=4096), u(-1e-40, 1e-40),
             u(-1e-310, 1e-310, "float64"), dict(u(0.0, 1.000000000001, "float16"), count=4096), dict(t(1.0, lo=1.0, hi=1.000000000001, dt="float64"), start=2525625, count=4), u(-1e-46, 1e-46),
             dict(t(0.1), start=2 ** 56 - 3, count=4),
             u(0.3, 0.3 + 1e-12), u(-0.1, 0.1 + 1e-12), u(-1e6, -1e5, "float16"), u(-1e6, 1e5, "float16"), u(1.0, 1.0 + 2 ** -23), u(1e-320, 3e-320, "float64"),
             n(1e-310, dt="float64"), t(1e-8, dt="float16"), t(448.0, dt="float8_e4m3fn"), n(1e5, dt="float8_e5m2")]
    for j, spec in enumerate(specs):
        yield "edge-%02d-%s" % (j, spec["dtype"]), spec


def write_parts(folder):
    """Golden vectors of the parts: neglog, one trial with scripted words, names, Philox."""
    rng = np.random.default_rng(1)
    u = np.concatenate([rng.random(4000).astype(F32), 2.0 ** -np.arange(0, 26, dtype=F64), 1 - 2.0 ** -np.arange(1, 25, dtype=F64),
                        [0.5 ** 0.5, np.nextafter(F32(0.5 ** 0.5), F32(0)), np.nextafter(F32(0.5 ** 0.5), F32(1)), 2.0 ** -126]]).astype(F32)
    u = u[u > 0]
    np.save(os.path.join(folder, "neglog.npy"), np.stack([u, neg_log(u)]))
    for name, t in load_tables().items():
        head = rng.integers(0, 2 ** 32, 6000, dtype=U64)
        head[:2000] = (head[:2000] & ~U64(0xFF)) | rng.integers(252, 256, 2000, dtype=U64)
        extra = rng.integers(0, 2 ** 32, (4, 6000), dtype=U64)
        extra[1, :252], extra[1, 252:504] = t["threshold"], np.maximum(t["threshold"], U64(1)) - U64(1)  # ties choose the next box
        extra[1, 504:700] = 0  # the first box that is not empty: the normal's tail
        extra[2, 504:520], extra[3, 520:536] = 2 ** 32 - 1, 2 ** 32 - 1
        extra[2, 536:552], extra[3, 552:568] = 0, 0
        head[2000:2256] = np.arange(256, dtype=U64)
        head[2256:2512] = np.arange(256, dtype=U64) | U64(0xFFFFFF00)
        head[2512:2768] = np.arange(256, dtype=U64) | U64(0x7FFFFF00)
        head[2768:3024] = np.arange(256, dtype=U64) | U64(0x80000000)
        z, kept, _, _, _ = one_trial(head, extra, t)
        np.save(os.path.join(folder, "trial_words-%s.npy" % name), np.concatenate([head[None], extra]).astype(U32))
        np.save(os.path.join(folder, "trial_z-%s.npy" % name), z)
        np.save(os.path.join(folder, "trial_kept-%s.npy" % name), kept)
    names = ["", "a", "foobar", "h.0.attn.c_attn.weight", "wte.weight", "größe"]
    with open(os.path.join(folder, "names.json"), "w") as fh:
        json.dump({n: str(fnv1a(n)) for n in names}, fh, indent=1)


def fnv1a(name):
    """64-bit FNV-1a of the UTF-8 bytes."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def main(argv):
    if len(argv) == 3 and argv[1] == "golden":
        os.makedirs(argv[2], exist_ok=True)
        manifest = []
        for name, spec in golden_cases():
            np.save(os.path.join(argv[2], name + ".npy"), fill(spec))
            manifest.append({"file": name + ".npy", "spec": spec})
        for name, spec in edge_cases():
            try:
                np.save(os.path.join(argv[2], name + ".npy"), fill(spec))
                manifest.append({"file": name + ".npy", "spec": spec})
            except Refused as why:
                manifest.append({"refused": str(why), "spec": spec})
        write_parts(argv[2])
        with open(os.path.join(argv[2], "manifest.json"), "w") as fh:
            json.dump(manifest, fh, indent=1)
        return 0
    if len(argv) == 4 and argv[1] == "emit":
        with open(argv[2]) as fh:
            np.save(argv[3], fill(json.load(fh)))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
