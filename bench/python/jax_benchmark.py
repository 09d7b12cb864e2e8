#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.jax beside jax.nn.initializers: 4096 x 4096 values, and small calls. Figures are medians of alternating calls.
JAX's own initializers are measured jitted too, and zeros show the cost of new memory. Prints a table in Markdown. Run it on one
processor, after scripts/test, which installs JAX:

    taskset -c 1 build/python/venv/bin/python bench/python/jax_benchmark.py
"""
import timeit

import jax
from turns import medians

import fanin
import fanin.jax

SHAPE = (4096, 4096)
ROUNDS = 9
KEY = jax.random.key(1)


def row(name, dtype):
    ours, theirs = getattr(fanin.jax, name)(), getattr(jax.nn.initializers, name)()
    jitted = jax.jit(lambda key: theirs(key, SHAPE, dtype))
    zeros = jax.jit(lambda: jax.numpy.zeros(SHAPE, dtype))
    calls = [lambda: ours(KEY, SHAPE, dtype), lambda: theirs(KEY, SHAPE, dtype), lambda: jitted(KEY), zeros]
    a, b, c, d = medians([lambda call=call: call().block_until_ready() for call in calls], ROUNDS)
    print(f"| {name}, {dtype} | {a * 1e3:.3g} | {b * 1e3:.3g} | {b / a:.1f} | {c * 1e3:.3g} | {c / a:.1f} | {d * 1e3:.3g} |", flush=True)


if __name__ == "__main__":
    print(f"fanin {fanin.__version__}, JAX {jax.__version__}, on {jax.default_backend()}\n")
    print("| 4096 × 4096, milliseconds | fanin.jax | JAX | ratio | JAX, jitted | ratio | zeros |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in ("he_normal", "normal", "he_uniform"):
        for dtype in ("float32", "bfloat16"):
            row(name, dtype)
    a, b = (min(timeit.repeat(lambda: init(KEY, (32, 32)), number=300, repeat=5)) / 300 * 1e6
            for init in (fanin.jax.he_normal(), jax.nn.initializers.he_normal()))
    print(f"| he_normal of 32 × 32, microseconds | {a:.3g} | {b:.3g} | {b / a:.1f} | | | |")
