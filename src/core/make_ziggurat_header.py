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


t = json.loads((pathlib.Path(__file__).parent / "ziggurat.json").read_text())
numbers = lambda key: [float.fromhex(v) for v in t[key]]
single = lambda values, scale=1.0: rows([f32(v).hex() + "F" if scale == 1.0 else (f32(v) * scale).hex() + "F" for v in values], 5)
x = numbers("x")
print(f"""// SPDX-License-Identifier: Apache-2.0
// Made by make_ziggurat_header.py from ziggurat.json; do not edit.
#pragma once

#include <cstdint>

namespace fanin::core {{

inline constexpr std::uint32_t rectangles = {len(x)};
inline constexpr std::uint32_t boxes = {len(t["xlo"])};

struct Ziggurat {{
  float x_scaled[rectangles];    // binary32(X) * 2^-24: right ends of the rectangles, widest first
  double x_scaled64[rectangles];  // X * 2^-53
  std::uint32_t threshold[boxes - 1];  // cumulative areas of the edge boxes, in units of 2^-32 of their sum
  float x_low[boxes], dx[boxes], y_low[boxes], dy[boxes];  // edge boxes; box 0 is the tail
  float x0, inverse_x0;          // X[0], where the tail begins
}};

inline constexpr Ziggurat ziggurat{{
    {single(x, 2.0 ** -24)},
    {rows([(v * 2.0 ** -53).hex() for v in x], 4)},
    {rows([str(v) + "u" for v in t["threshold"]], 9)},
    {single(numbers("xlo"))},
    {single(numbers("dx"))},
    {single(numbers("ylo"))},
    {single(numbers("dy"))},
    {f32(x[0]).hex()}F, {f32(float.fromhex(t["inv_x1"])).hex()}F}};

}}  // namespace fanin::core""")
