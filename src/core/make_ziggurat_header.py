#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes ziggurat.h from ziggurat.json: the contract's numbers, binary32 ones rounded once, as exact hexadecimals.

    python3 src/core/make_ziggurat_header.py > include/fanin/core/ziggurat.h
"""
import json
import pathlib
import re
import struct
import textwrap


def hexadecimal(v):
    """The exact value without trailing zeros: 0x1.8p+1."""
    return re.sub(r"\.?0*p", "p", v.hex())


def single(v):
    """v rounded once to binary32, to nearest even."""
    return hexadecimal(struct.unpack("f", struct.pack("f", v))[0]) + "F"


def rows(literals):
    return textwrap.fill("{" + ", ".join(literals) + "}", 120, initial_indent="    ", subsequent_indent="     ")


def table(name, comment, t):
    numbers = {key: [float.fromhex(v) for v in t[key]] for key in ("x", "xlo", "dx", "ylo", "dy")}
    boxes = ",\n".join(rows(map(single, numbers[key])) for key in ("xlo", "dx", "ylo", "dy"))
    return f"""// {comment}
inline constexpr Ziggurat {name} = make_ziggurat(
{rows(map(hexadecimal, numbers["x"]))},
{rows(f"{v}u" for v in t["threshold"])},
{boxes},
    {single(float.fromhex(t["inv_x1"]))});
"""


t = json.loads((pathlib.Path(__file__).parent / "ziggurat.json").read_text())
print(f"""// SPDX-License-Identifier: Apache-2.0
// Made by make_ziggurat_header.py from ziggurat.json; do not edit.
#pragma once

#include "fanin/core/host_device.h"
#include "fanin/core/integers.h"

namespace fanin::core {{

inline constexpr uint32_t rectangles = {t["rectangles"]};
inline constexpr uint32_t boxes = {len(t["normal"]["xlo"])};

struct Ziggurat {{
  float x_scaled[rectangles];          // binary32(X) * 2^-24: right ends of the rectangles, widest first
  double x_scaled64[rectangles];       // X * 2^-53
  uint32_t threshold[boxes - 1];  // cumulative areas of the edge boxes, in units of 2^-32 of their sum
  float x_low[boxes], dx[boxes], y_low[boxes], dy[boxes];  // edge boxes; box 0 is the tail
  float x0, inverse_x0;                // X[0], where the tail begins
}};

constexpr FANIN_HOST_DEVICE Ziggurat make_ziggurat(const double (&x)[rectangles],
                                                   const uint32_t (&threshold)[boxes - 1], const float (&x_low)[boxes],
                                                   const float (&dx)[boxes], const float (&y_low)[boxes],
                                                   const float (&dy)[boxes], float inverse_x0) {{
  Ziggurat table{{}};
  for (uint32_t j = 0; j < rectangles; ++j) {{
    table.x_scaled[j] = static_cast<float>(x[j]) * 0x1p-24F;
    table.x_scaled64[j] = x[j] * 0x1p-53;
    table.threshold[j] = threshold[j];
  }}
  for (uint32_t j = 0; j < boxes; ++j) {{
    table.x_low[j] = x_low[j];
    table.dx[j] = dx[j];
    table.y_low[j] = y_low[j];
    table.dy[j] = dy[j];
  }}
  table.x0 = static_cast<float>(x[0]);
  table.inverse_x0 = inverse_x0;
  return table;
}}
static_assert(rectangles == boxes - 1);

{table("normal_table", "The whole curve.", t["normal"])}
{table("cut_table", "The curve up to x = 2, for the window [-2, 2]. Boxes of no area have thresholds of 0.", t["cut_at_2"])}
}}  // namespace fanin::core""")
