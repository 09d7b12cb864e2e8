#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes ziggurat.h from ziggurat.json: the binary64 tables, and their binary32 roundings as exact hexadecimals.

    python3 src/core/make_ziggurat_header.py > src/core/ziggurat.h
"""
import json
import pathlib
import struct


def f32(v):
    """v rounded once to binary32, to nearest even."""
    return struct.unpack("f", struct.pack("f", v))[0]


def rows(values, per_line):
    lines = [", ".join(values[j:j + per_line]) for j in range(0, len(values), per_line)]
    return "{" + ",\n     ".join(lines) + "}"


def single(values, scale=1.0):
    return rows([(f32(v) * scale).hex() + "F" for v in values], 5)


def table(name, comment, t):
    numbers = lambda key: [float.fromhex(v) for v in t[key]]
    x = numbers("x")
    return f"""// {comment}
inline constexpr Ziggurat {name}{{
    {single(x, 2.0 ** -24)},
    {rows([(v * 2.0 ** -53).hex() for v in x], 4)},
    {rows([str(v) + "u" for v in t["threshold"]], 9)},
    {single(numbers("xlo"))},
    {single(numbers("dx"))},
    {single(numbers("ylo"))},
    {single(numbers("dy"))},
    {f32(x[0]).hex()}F, {f32(float.fromhex(t["inv_x1"])).hex()}F}};
"""


t = json.loads((pathlib.Path(__file__).parent / "ziggurat.json").read_text())
print(f"""// SPDX-License-Identifier: Apache-2.0
// Made by make_ziggurat_header.py from ziggurat.json; do not edit.
#pragma once

#include <cstdint>

namespace fanin::core {{

inline constexpr std::uint32_t rectangles = {t["rectangles"]};
inline constexpr std::uint32_t boxes = {len(t["normal"]["xlo"])};

struct Ziggurat {{
  float x_scaled[rectangles];    // binary32(X) * 2^-24: right ends of the rectangles, widest first
  double x_scaled64[rectangles];  // X * 2^-53
  std::uint32_t threshold[boxes - 1];  // cumulative areas of the edge boxes, in units of 2^-32 of their sum
  float x_low[boxes], dx[boxes], y_low[boxes], dy[boxes];  // edge boxes; box 0 is the tail
  float x0, inverse_x0;          // X[0], where the tail begins
}};

{table("normal_table", "The whole curve.", t["normal"])}
{table("cut_table", "The curve up to x = 2, for the window [-2, 2]. Boxes of no area have thresholds of 0.", t["cut_at_2"])}
}}  // namespace fanin::core""")
