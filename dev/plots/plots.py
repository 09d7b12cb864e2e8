# SPDX-License-Identifier: Apache-2.0
"""Draws layers of real models, bfloat16 beside JAX's, and rate against size, with the Python package.

    plots.py DIRECTORY

Needs fanin, ml_dtypes and matplotlib. Without JAX or PyTorch, the pictures that need them are left out, with a message."""
import argparse
import math
import pathlib
import statistics
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import ml_dtypes  # noqa: E402
import numpy as np  # noqa: E402

import fanin  # noqa: E402

# Layers of examples/models: model, name, shape, layout, initializer.
KAIMING_OUT = fanin.VarianceScaling(2.0, "fan_out", "untruncated_normal")
LAYERS = [("gpt2", "wte.weight", (50257, 768), "hwio", fanin.RandomNormal(stddev=0.02)),
          ("gpt2", "h.0.attn.c_attn.weight", (768, 2304), "hwio", fanin.RandomNormal(stddev=0.02)),
          ("gpt2", "h.11.mlp.c_proj.weight", (3072, 768), "hwio", fanin.RandomNormal(stddev=0.02 / math.sqrt(24))),
          ("resnet50", "conv1.weight", (64, 3, 7, 7), "oihw", KAIMING_OUT),
          ("resnet50", "layer4.2.conv2.weight", (512, 512, 3, 3), "oihw", KAIMING_OUT),
          ("resnet50", "fc.weight", (1000, 2048), "oihw", fanin.VarianceScaling(1 / 3, "fan_in", "uniform"))]
FOUND, WANTED = "#9dc3e6", "#c2410c"


def density(d, x):
    """The density of a Description's distribution at x."""
    low, high = d.bounds
    if d.distribution == "uniform":
        return np.where((x >= low) & (x < high), 1 / (high - low), 0)
    sigma = d.untruncated_stddev
    mass = (math.erf(high / sigma / math.sqrt(2)) - math.erf(low / sigma / math.sqrt(2))) / 2
    return np.where((x >= low) & (x <= high), np.exp(-(x / sigma) ** 2 / 2) / (sigma * math.sqrt(2 * math.pi) * mass), 0)


def draw_layers(out):
    figure, panels = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for axes, (model, name, shape, layout, initializer) in zip(panels.flat, LAYERS):
        w = fanin.draw(initializer, shape, seed=42, name=name, layout=layout)
        wanted = fanin.describe(initializer, shape, layout=layout)
        reach = min(wanted.bounds[1] * 1.1, 5 * wanted.stddev)
        x = np.linspace(-reach, reach, 801)
        axes.hist(w.ravel(), bins=120, range=(-reach, reach), density=True, color=FOUND)
        axes.plot(x, density(wanted, x), color=WANTED, linewidth=1.5)
        axes.set_title(f"{model}: {name}\n{wanted.initializer}, {w.size:,} elements\n"
                       f"σ wanted {wanted.stddev:.5f}, found {w.std(dtype=np.float64):.5f}", fontsize=10, loc="left")
        axes.set_yticks([])
    figure.suptitle("Layers of GPT-2 and ResNet-50, seed 42: what fanin made, and the density that was wanted (line)")
    figure.savefig(out, dpi=110)


def truncated_distribution(x):
    """The distribution function of he_normal, x in standard deviations."""
    phi = np.vectorize(lambda z: math.erf(z / math.sqrt(2)) / 2)
    z = np.clip(x * 0.87962566103423978, -2, 2)
    return 0.5 + phi(z) / (2 * phi(2.0))


def draw_bfloat16(out):
    shape = (2048, 2048)
    sigma = fanin.describe("he_normal", shape).stddev
    made = {"fanin": fanin.draw("he_normal", shape, "bfloat16", seed=42)}
    try:
        import jax
        made["JAX"] = np.asarray(jax.nn.initializers.he_normal()(jax.random.key(42), shape, "bfloat16"))
    except ImportError as error:
        print(f"bfloat16: without JAX's, which is not installed ({error})")
    figure, panels = plt.subplots(1, 2, figsize=(14, 6), layout="constrained")
    for axes, reach in zip(panels, (2.5, 0.15)):
        x = np.linspace(-reach, reach, 2001)
        for (name, w), color in zip(made.items(), ("#2563eb", "#c2410c")):
            assert w.dtype == ml_dtypes.bfloat16
            wide = np.sort(w.astype(np.float32).ravel())
            below = np.searchsorted(wide, x * sigma) / wide.size
            label = (f"{name}: {np.unique(wide).size:,} distinct values, standard deviation "
                     f"{wide.std(dtype=np.float64) / sigma:.4f}, mean {wide.mean(dtype=np.float64) / sigma:+.4f}")
            axes.plot(x, below, color=color, linewidth=1.2, label=label)
        axes.plot(x, truncated_distribution(x), color="black", linewidth=0.8, linestyle=":", label="wanted: 1, 0")
        axes.set_xlabel("standard deviations")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("share of the weights that are smaller")
    panels[0].legend(loc="upper left", fontsize=9)
    panels[1].set_title("the same around 0", loc="left")
    panels[0].set_title(f"he_normal, bfloat16, {math.prod(shape):,} weights", loc="left")
    figure.savefig(out, dpi=110)


def rate(call, count):
    """10^9 elements a second: the median of the calls of a fifth of a second, at least five."""
    call()
    times, end = [], time.perf_counter() + 0.2
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return count / statistics.median(times) / 1e9


def draw_rates(out):
    sizes = [1 << k for k in range(4, 27, 2)]
    init, generator = fanin.HeNormal(42), np.random.default_rng(42)
    kinds = {
        "fanin, float32": ("float32", lambda w: fanin.fill(w, init)),
        "fanin, float32, 1 thread": ("float32", lambda w: fanin.fill(w, init, threads=1)),
        "fanin, bfloat16": ("bfloat16", lambda w: fanin.fill(w, init)),
        "fanin, float64": ("float64", lambda w: fanin.fill(w, init)),
        "NumPy's standard_normal, float32 (not truncated)": ("float32", lambda w: generator.standard_normal(out=w, dtype="f4")),
    }
    try:
        import torch
        kinds["PyTorch's trunc_normal_, float32"] = ("float32", lambda w: torch.nn.init.trunc_normal_(torch.from_numpy(w)))
    except ImportError as error:
        print(f"rates: without PyTorch's, which is not installed ({error})")
    figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
    for name, (dtype, fill) in kinds.items():
        dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
        rates = [rate(lambda w=np.zeros(size, dtype): fill(w), size) for size in sizes]
        axes.loglog(sizes, rates, marker="o", markersize=4, label=name, base=2)
        axes.set_yscale("log", base=10)
    axes.set_xlabel("elements")
    axes.set_ylabel("10⁹ elements a second")
    axes.set_title("Truncated normals from Python, host memory", loc="left")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in {"layers": draw_layers, "bfloat16": draw_bfloat16, "rates": draw_rates}.items():
        draw(directory / f"{name}.png")
        print(directory / f"{name}.png")


if __name__ == "__main__":
    main()
