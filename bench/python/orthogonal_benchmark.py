#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.Orthogonal beside LAPACK's geqrf and orgqr (SciPy's OpenBLAS), PyTorch's orthogonal_ and Keras's Orthogonal,
in one process. LAPACK's input is drawn beforehand; the others draw their own. The calls alternate; figures are medians.

    build/python/venv/bin/python bench/python/orthogonal_benchmark.py [--threads 1] [--sizes 1024 4096] [--rounds 5]

The virtual environment is that of scripts/test; SciPy, PyTorch and Keras are each left out if they are not installed there."""
import argparse
import os

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
parser.add_argument("--rounds", type=int, default=5)
ARGUMENTS = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(ARGUMENTS.threads)  # before NumPy reads it
os.environ.setdefault("KERAS_BACKEND", "numpy")

# ruff: noqa: E402
import numpy as np
from turns import medians

import fanin


def lapack(size):
    from scipy.linalg import lapack as routines

    normals = np.asfortranarray(np.random.default_rng(1).standard_normal((size, size), dtype=np.float32))
    work = 64 * size  # room for LAPACK's blocks

    def call():
        qr, tau, _, _ = routines.sgeqrf(normals, lwork=work)
        routines.sorgqr(qr, tau, lwork=work, overwrite_a=1)

    return call


def torch(size):
    import torch as framework

    framework.set_num_threads(ARGUMENTS.threads)
    tensor = framework.empty(size, size)
    return lambda: framework.nn.init.orthogonal_(tensor)


def keras(size):
    import keras as framework

    initializer = framework.initializers.Orthogonal(seed=1)
    return lambda: np.asarray(initializer((size, size)))


def own(size):
    memory = np.empty((size, size), np.float32)
    initializer = fanin.Orthogonal(seed=1)
    return lambda: fanin.fill(memory, initializer, threads=ARGUMENTS.threads)


def available(size):
    calls = {"fanin": own(size)}
    for name, make in (("geqrf + orgqr", lapack), ("PyTorch", torch), ("Keras", keras)):
        try:
            calls[name] = make(size)
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return calls


def main():
    print(f"fanin {fanin.__version__}, {ARGUMENTS.threads} thread(s); seconds, and times fanin's\n")
    print("| float32 | rival | s | ratio |\n| --- | --- | --- | --- |")
    for size in ARGUMENTS.sizes:
        calls = available(size)
        taken = medians(list(calls.values()), ARGUMENTS.rounds)
        for name, seconds in zip(calls, taken):
            print(f"| {size} x {size} | {name} | {seconds:.4g} | {seconds / taken[0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
