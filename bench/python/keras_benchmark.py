#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.keras beside keras.initializers on one back end: 4096 x 4096 values, and small calls. The calls of a
pair alternate; figures are medians. Prints a table in Markdown. Run it on one processor, after scripts/test --all, which installs
the back ends:

    for b in tensorflow jax torch numpy; do
      KERAS_BACKEND=$b taskset -c 1 build/python/venv/bin/python bench/python/keras_benchmark.py
    done
"""
import functools
import timeit

import keras
from turns import medians

import fanin
import fanin.keras

BACKEND = keras.backend.backend()
SHAPE = (4096, 4096)


def finished(tensor):
    """Waits for the array."""
    return tensor.block_until_ready() if BACKEND == "jax" else tensor


def pair(name, shape, dtype="float32"):
    return [lambda init=getattr(module, name)(seed=1): finished(init(shape, dtype))
            for module in (fanin.keras, keras.initializers)]


def jitted():
    """Keras's initializer as jax.jit compiles it."""
    import jax
    compiled = jax.jit(functools.partial(keras.initializers.HeNormal(1), SHAPE))
    return lambda: finished(compiled())


if __name__ == "__main__":
    print(f"fanin {fanin.__version__}, Keras {keras.__version__} on {BACKEND}\n")
    print("| 4096 × 4096, milliseconds | fanin.keras | Keras | ratio |\n| --- | --- | --- | --- |")
    for name, dtype in (("HeNormal", "float32"), ("HeNormal", "bfloat16"), ("RandomNormal", "float32"), ("HeUniform", "float32")):
        ours, theirs = medians(pair(name, SHAPE, dtype), 5)
        print(f"| {name}, {dtype} | {ours * 1e3:.3g} | {theirs * 1e3:.3g} | {theirs / ours:.1f} |", flush=True)
    if BACKEND == "jax":
        ours, theirs = medians([pair("HeNormal", SHAPE)[0], jitted()], 5)
        print(f"| HeNormal, float32, Keras's jitted | {ours * 1e3:.3g} | {theirs * 1e3:.3g} | {theirs / ours:.1f} |")
    ours, theirs = [min(timeit.repeat(call, number=200, repeat=5)) / 200 * 1e6 for call in pair("HeNormal", (32, 32))]
    print(f"| HeNormal of 32 × 32, float32, microseconds | {ours:.3g} | {theirs:.3g} | {theirs / ours:.1f} |")
