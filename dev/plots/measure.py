# SPDX-License-Identifier: Apache-2.0
"""Writes dev/plots/measured.json, the numbers of the pictures that figures.py draws.

Needs fanin and ml_dtypes; without PyTorch or JAX their lines are left out, with a message. Rates are elements by the CPU time of one
thread, so that other work on the machine changes them little. What follows from seeds is the same in every run."""
import json
import math
import pathlib
import statistics
import time

import numpy as np

import fanin

FILE = pathlib.Path(__file__).with_name("measured.json")
# Layers of examples/models: model, name, shape, layout, initializer.
LAYERS = [("GPT-2", "wte.weight", (50257, 768), "hwio", fanin.RandomNormal(stddev=0.02)),
          ("GPT-2", "h.11.mlp.c_proj.weight", (3072, 768), "hwio", fanin.RandomNormal(stddev=0.02 / math.sqrt(24))),
          ("ResNet-50", "conv1.weight", (64, 3, 7, 7), "oihw", fanin.VarianceScaling(2.0, "fan_out", "untruncated_normal")),
          ("ResNet-50", "fc.weight", (1000, 2048), "oihw", fanin.VarianceScaling(1 / 3, "fan_in", "uniform")),
          ("ViT-B/16", "conv_proj.weight", (768, 3, 16, 16), "oihw", fanin.VarianceScaling(1.0, "fan_in", "truncated_normal")),
          ("Llama 3 8B", "layers.0.wq.weight", (4096, 4096), "oihw", fanin.RandomNormal(stddev=0.02))]


def rounded(numbers, digits=5):
    return [float(f"{number:.{digits}g}") for number in numbers]


def density(d, x):
    """The density of a Description's distribution at x."""
    low, high = d.bounds
    if d.distribution == "uniform":
        return np.where((x >= low) & (x < high), 1 / (high - low), 0)
    sigma = d.untruncated_stddev
    mass = (math.erf(high / sigma / math.sqrt(2)) - math.erf(low / sigma / math.sqrt(2))) / 2
    return np.where((x >= low) & (x <= high), np.exp(-(x / sigma) ** 2 / 2) / (sigma * math.sqrt(2 * math.pi) * mass), 0)


def layers():
    made = []
    for model, name, shape, layout, initializer in LAYERS:
        w = fanin.draw(initializer, shape, seed=42, name=name, layout=layout)
        wanted = fanin.describe(initializer, shape, layout=layout)
        edges = np.linspace(-1, 1, 61) * min(wanted.bounds[1] * 1.1, 4 * wanted.stddev)
        counts = np.histogram(w, edges)[0]
        made.append({"model": model, "name": name, "edges": rounded(edges), "density": rounded(counts / w.size / np.diff(edges)),
                     "wanted": rounded(density(wanted, (edges[1:] + edges[:-1]) / 2))})
    return made


def truncated_distribution(x):
    """The distribution function of he_normal, x in standard deviations."""
    phi = np.vectorize(lambda z: math.erf(z / math.sqrt(2)) / 2)
    return 0.5 + phi(np.clip(x * 0.87962566103423978, -2, 2)) / (2 * phi(2.0))


def bfloat16():
    shape = (2048, 2048)
    sigma = fanin.describe("he_normal", shape).stddev
    made = [("fanin", "a", fanin.draw("he_normal", shape, "bfloat16", seed=42))]
    try:
        import jax
        made.append(("JAX", "b", np.asarray(jax.nn.initializers.he_normal()(jax.random.key(42), shape, "bfloat16"))))
    except ImportError as error:
        print(f"bfloat16: without JAX's, which is not installed ({error})")
    x = np.linspace(-0.1, 0.1, 401)
    rows = []
    for name, style, w in made:
        wide = np.sort(w.astype(np.float32).ravel())
        below = np.searchsorted(wide, x * sigma) / wide.size
        rows.append({"name": name, "style": style, "distinct": int(np.unique(wide).size), "points": [rounded(pair) for pair in zip(x, below)]})
    wanted = {"style": "e wanted", "points": [rounded(pair) for pair in zip(x, truncated_distribution(x))]}
    return {"made": rows, "wanted": wanted}


def depth():
    """Standard deviations through 30 layers of ReLU, for three scales."""
    width = 512
    initializers = [("he_normal: stddev = √(2 / fan_in)", "c", fanin.HeNormal()),
                    ("glorot_normal: half of the variance is lost", "b", fanin.GlorotNormal()),
                    ("fan_in taken 4 times too small: doubles", "d", fanin.VarianceScaling(8.0, "fan_in", "truncated_normal"))]
    rows = []
    for name, style, initializer in initializers:
        x = fanin.draw(fanin.RandomNormal(stddev=1), (1024, width), seed=42, name="input")
        stddev = [x.std()]
        for layer in range(30):
            w = fanin.draw(initializer, (width, width), seed=42, name=f"layer.{layer}.weight")
            before = x @ w
            stddev.append(before.std(dtype=np.float64) / math.sqrt(2))
            x = np.maximum(before, 0)
        rows.append({"name": name, "style": style, "stddev": rounded(stddev)})
    return rows


def rate(call, count):
    """10^9 elements a second of the thread's time: the median of at least five calls."""
    call()
    times, end = [], time.thread_time() + 0.05
    repeats = max(1, 20000 // count)
    while len(times) < 5 or time.thread_time() < end:
        begin = time.thread_time()
        for _ in range(repeats):
            call()
        times.append((time.thread_time() - begin) / repeats)
    return count / statistics.median(times) / 1e9


def sizes():
    init, generator = fanin.HeNormal(42), np.random.default_rng(42)
    kinds = [("fanin", "c", lambda w: fanin.fill(w, init, threads=1)),
             ("NumPy standard_normal", "e", lambda w: generator.standard_normal(out=w, dtype="f4"))]
    try:
        import torch
        torch.set_num_threads(1)
        kinds.append(("PyTorch trunc_normal_", "b", lambda w: torch.nn.init.trunc_normal_(torch.from_numpy(w))))
    except ImportError as error:
        print(f"sizes: without PyTorch's, which is not installed ({error})")
    return [{"name": name, "style": style, "points": [[1 << k, rounded([rate(lambda w=np.zeros(1 << k, "f4"): fill(w), 1 << k)], 3)[0]]
                                                      for k in range(4, 25, 2)]} for name, style, fill in kinds]


def main():
    measured = {make.__name__: make() for make in (layers, bfloat16, depth, sizes)}
    FILE.write_text(json.dumps(measured, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
