#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Independent oracle of docs/VALUES.md, section 7: computed values.

It shares no code with the library. Python's own parser reads the expressions, Python's decimal module computes the functions
with 120 digits, and exact fractions round to the dtypes. Words and normals are oracle.py's.

    python3 computed_oracle.py golden OUT.json    write the golden vectors
"""
import ast
import decimal
import json
import math
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import oracle

decimal.getcontext().prec = 120
decimal.getcontext().Emin, decimal.getcontext().Emax = -10 ** 6, 10 ** 6
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"
             "32823066470938446095505822317253594081284811174502841027019385211055596446229")

# dtype: bits of the exponent, bits of the mantissa, largest finite pattern
FORMATS = {"float64": (11, 52, 0x7FEFFFFFFFFFFFFF), "float32": (8, 23, 0x7F7FFFFF), "float16": (5, 10, 0x7BFF),
           "bfloat16": (8, 7, 0x7F7F), "float8_e4m3fn": (4, 3, 0x7E), "float8_e5m2": (5, 2, 0x7B)}


def binary64(exact):
    """The nearest binary64 number of a Decimal, which has many more digits; a zero is +0."""
    return float(exact)


def sine(x):
    """Taylor's series after a reduction by pi / 2."""
    quarter = (x / (PI / 2)).to_integral_value()
    r = x - quarter * (PI / 2)
    terms = [Decimal(1), r]  # of cos and sin
    total = list(terms)
    for n in range(2, 120):
        terms.append(terms[-2] * -r * r / (n * (n - 1)))
        total[n % 2] += terms[-1]
    cos, sin = total
    return [sin, cos, -sin, -cos][int(quarter) % 4]


def cosine(x):
    return sine(x + PI / 2)


def power(x, y):
    """x^y; Decimal computes it exactly where it is a whole power."""
    return Decimal(x) ** Decimal(y)


def exact_function(name, *numbers):
    x = Decimal(numbers[0])
    if name == "softplus_inverse":
        return numbers[0] + exact_function("log", -exact_function("expm1", -numbers[0]))
    if x == 0 and name in ("sin", "log1p", "expm1"):
        return numbers[0]  # with its sign
    return binary64({"log": lambda: x.ln(), "exp": lambda: x.exp(), "sin": lambda: sine(x), "cos": lambda: cosine(x),
                     "log1p": lambda: (1 + x).ln(), "expm1": lambda: x.exp() - 1,
                     "pow": lambda: power(*numbers)}[name]())


def whole_power(x, n):
    if n == 0:
        return 1.0
    result = x
    for bit in bin(abs(n))[3:]:  # after the leading 1
        result = result * result
        if bit == "1":
            result = result * x
    return 1 / result if n < 0 else result


COMPARE = {ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__", ast.Eq: "__eq__", ast.NotEq: "__ne__"}


def evaluate(node, names):
    def value(part):
        return evaluate(part, names)

    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Subscript):
        return float(names[node.value.id + "[]"][ast.literal_eval(node.slice)])
    if isinstance(node, ast.UnaryOp):
        return -value(node.operand) if isinstance(node.op, ast.USub) else value(node.operand)
    if isinstance(node, ast.Compare):
        return 1.0 if getattr(value(node.left), COMPARE[type(node.ops[0])])(value(node.comparators[0])) else 0.0
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow):
            return whole_power(value(node.left), int(value(node.right)))
        a, b = value(node.left), value(node.right)
        return {ast.Add: lambda: a + b, ast.Sub: lambda: a - b, ast.Mult: lambda: a * b, ast.Div: lambda: a / b}[type(node.op)]()
    name = node.func.id
    if name == "if_":
        return value(node.args[1]) if value(node.args[0]) != 0 else value(node.args[2])
    numbers = [value(part) for part in node.args]
    if name == "clamp":
        return min(max(numbers[0], numbers[1]), numbers[2])
    if name == "floor":
        return float(math.floor(numbers[0]))
    plain = {"sqrt": math.sqrt, "min": min, "max": max}
    return plain[name](*numbers) if name in plain else exact_function(name, *numbers)


def encode(v, dtype):
    """The pattern of a finite binary64 number in the dtype, rounded once; None if that is not finite."""
    exponent_bits, mantissa_bits, largest = FORMATS[dtype]
    bias = (1 << (exponent_bits - 1)) - 1
    magnitude = Fraction(abs(v))
    exponent = max(math.frexp(v)[1] - 1, 1 - bias) if v else 1 - bias
    steps = magnitude / Fraction(2) ** (exponent - mantissa_bits)
    whole = round(steps)  # Python rounds halves to even
    pattern = whole + ((exponent + bias - 1) << mantissa_bits)  # a carry runs into the exponent
    if pattern > largest:
        return None
    return pattern | ((1 << (exponent_bits + mantissa_bits)) if math.copysign(1, v) < 0 else 0)


def unit(word):
    """u of an element."""
    return float(Fraction(2 * (int(word) >> 8) + 1, 1 << 25))


def place(at, shape, axis, seed, subsequence):
    """place[axis] of the element with the coordinates `at`."""
    extent, stride = shape[axis], math.prod(shape[axis + 1:])
    if extent == 1:
        return 0
    index = sum(c * math.prod(shape[k + 1:]) for k, c in enumerate(at))

    def word(coordinate, turn):
        element = index + (coordinate - at[axis]) * stride
        return int(oracle.block(element, 192 + turn, seed, subsequence)[0])

    bits = ((extent - 1).bit_length() + 1) // 2
    x = at[axis]
    while True:
        left, right = divmod(x, 2 ** bits)
        for turn in range(min(24, 4 + 2 * math.ceil(20 / bits))):
            left, right = right, left ^ word(right, turn) % 2 ** bits
        x = left * 2 ** bits + right
        if x < extent:
            return x


def fill(value, shape, dtype, constants=None, seed=0, subsequence=0):
    """The patterns of the whole tensor's elements, in row-major order."""
    tree = ast.parse(value.replace("^", "**").replace("if(", "if_("), mode="eval").body
    count = math.prod(shape)
    index = np.arange(count, dtype=np.uint64)
    word = oracle.head_words(index, seed, subsequence)
    z, _ = oracle.normal_trials(index, seed, subsequence, -math.inf, math.inf, oracle.load_tables(), False)
    patterns = []
    for n in range(count):
        at, rest = [], n
        for extent in reversed(shape):
            at.insert(0, rest % extent)
            rest //= extent
        row = n - at[-1] if shape else n
        elements = range(row, row + (shape[-1] if shape else 1))
        names = {"pi": math.pi, "i[]": at, "shape[]": shape, "z": float(z[n]), "u": unit(word[n]),
                 "u[]": [unit(word[k]) for k in elements], "z[]": [float(z[k]) for k in elements]}
        if "place" in value:
            names["place[]"] = [place(at, shape, axis, seed, subsequence) for axis in range(len(shape))]
        names.update(constants or {})
        patterns.append(encode(evaluate(tree, names), dtype))
    return patterns


SINUSOID = "i[0] * exp(-(log(base) / shape[1]) * 2 * floor(i[1] / 2))"
CASES = [
    {"name": "arange", "value": "i[0]", "shape": [61]},
    {"name": "linspace", "value": "-1 + 2 * i[0] / (shape[0] - 1)", "shape": [37]},
    # Mamba, mamba_ssm/modules/mamba_simple.py
    {"name": "a_log", "value": "log(i[1] + 1)", "shape": [3, 16]},
    {"name": "dt_bias", "value": "softplus_inverse(max(exp(u * (log(dt_max) - log(dt_min)) + log(dt_min)), 1e-4))",
     "constants": {"dt_min": 0.001, "dt_max": 0.1}, "shape": [67]},
    # Vaswani et al., "Attention is all you need", 3.5, as in transformers' positional tables
    {"name": "sinusoid", "value": f"if(i[1] - 2 * floor(i[1] / 2) == 0, sin({SINUSOID}), cos({SINUSOID}))",
     "constants": {"base": 10000.0}, "shape": [9, 8]},
    # The two halves of ViT-MAE's and DiT's table: the first is of the column, the second of the row
    {"name": "sinusoid_2d",
     "value": "if(J < q, sin(X * pow(10000, -J / q)), cos(X * pow(10000, -(J - q) / q)))"
              .replace("X", "if(i[1] < 2 * q, i[0] - w * floor(i[0] / w), floor(i[0] / w))")
              .replace("J", "(i[1] - 2 * q * floor(i[1] / (2 * q)))"),
     "constants": {"w": 3.0, "q": 4.0}, "shape": [9, 16]},
    {"name": "inverse_frequencies", "value": "1 / pow(theta, 2 * i[0] / dim)", "constants": {"theta": 500000.0, "dim": 128.0},
     "shape": [64]},
    # RWKV-7's w0: RWKV-v7/train_temp/src/model.py, layer 3 of 12
    {"name": "rwkv_decay", "value": "-7 + 5 * pow(i[-1] / (shape[-1] - 1), 0.85 + pow(layer / (layers - 1), 0.5)) + 0.5",
     "constants": {"layer": 3.0, "layers": 12.0}, "shape": [1, 1, 32]},
    {"name": "rwkv_time", "value": "1 - pow(i[0] / shape[0], 0.2 * (1 - layer / layers))",
     "constants": {"layer": 3.0, "layers": 12.0}, "shape": [32]},
    {"name": "normal", "value": "0.02 * z + 1", "shape": [5, 13]},
    {"name": "open_uniform", "value": "log(u)", "shape": [66]},
    {"name": "gumbel", "value": "-log(-log(u))", "shape": [66]},
    {"name": "signs", "value": "if(u < 0.5, -1, 1) * shape[0]", "shape": [33]},
    {"name": "whole_powers", "value": "0.9^7 * i[0] + (i[0] + 1)^-3 - -2^2 + i[0]^0", "shape": [40]},
    {"name": "functions", "value": "expm1(X) + log1p(i[0]) * cos(i[0]) - sin(-X) + clamp(i[0], 2, 5)"
                                   .replace("X", "((i[0] - 16) / 7)"), "shape": [33]},
    {"name": "subnormal", "value": "exp(-700 - i[0] * 1.3)", "shape": [40]},
    {"name": "subnormal_power", "value": "pow(1.1, -7400 - i[0] * 10)", "shape": [40]},
    {"name": "negative_zero", "value": "-0 * (i[0] + 1)", "shape": [2]},
    # Close to a half of the last place: a second rounding would show
    {"name": "halves_float16", "value": "1 + 2^-11 + (i[0] - 2) * 2^-50", "shape": [5]},
    {"name": "halves_bfloat16", "value": "1 + 2^-8 + (i[0] - 2) * 2^-50", "shape": [5]},
    {"name": "halves_float8", "value": "(1 + 2^-4 + (i[0] - 2) * 2^-50) * 2^-3", "shape": [5]},
    {"name": "halves_subnormal", "value": "2^-10 * (1.5 + (i[0] - 2) * 2^-50)", "shape": [5]},
    {"name": "largest_float16", "value": "65520 - 2^-30 * (1 + i[0])", "shape": [3],
     "dtypes": ["float64", "float32", "float16", "bfloat16"]},
    {"name": "largest_float8_e4m3fn", "value": "464 - 2^-40 * i[0]", "shape": [3]},
    {"name": "places", "value": "place[0] + place[-1] / 16", "shape": [11, 13]},
    {"name": "place_of_lines", "value": "place[1]", "shape": [2, 17, 3]},
    {"name": "sparse", "value": "if(place[0] < zeros, 0, stddev * z)", "constants": {"zeros": 4.0, "stddev": 0.01},
     "shape": [9, 7]},
    # A disk: jax/_src/nn/initializers.py, _complex_uniform
    {"name": "disk", "value": "sqrt(2 * u[0]) * if(i[-1] == 0, cos(2 * pi * u[1]), sin(2 * pi * u[1]))", "shape": [20, 2]},
    {"name": "row_of_normals", "value": "z - z[2]", "shape": [9, 3]},
]


def main(argv):
    if len(argv) != 3 or argv[1] != "golden":
        sys.exit(__doc__)
    cases = []
    for number, case in enumerate(CASES):
        spec = {"seed": 1000 + number, "subsequence": 7 * number, "constants": {}} | case
        dtypes = spec.pop("dtypes", list(FORMATS))
        patterns = {dtype: fill(spec["value"], spec["shape"], dtype, spec["constants"], spec["seed"], spec["subsequence"])
                    for dtype in dtypes}
        if any(None in found for found in patterns.values()):
            sys.exit(f"{case['name']} has values that are not finite")
        digits = {dtype: (1 + FORMATS[dtype][0] + FORMATS[dtype][1]) // 4 for dtype in dtypes}
        spec["patterns"] = {dtype: " ".join(f"{one:0{digits[dtype]}x}" for one in found) for dtype, found in patterns.items()}
        cases.append(spec)
    with open(argv[2], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv)
