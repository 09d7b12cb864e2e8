#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.fill beside the C++ library in one process: a shared library's C interface, called through ctypes, fills the
same memory. Every measurement runs once in each round, in a random order; figures are medians and the middle half's spread.
Prints a table in Markdown. bench/python/run builds the library and calls this."""
import argparse
import ctypes
import datetime
import os
import platform
import random
import statistics
import time
import timeit

import numpy as np

import fanin

try:
    import torch
except ImportError:
    torch = None

SIZE = 1 << 24
NAMES = ("he_normal", "random_normal", "he_uniform")


class FillArgs(ctypes.Structure):
    """The struct fanin_fill_args of fanin/fanin.h."""

    _fields_ = [("struct_size", ctypes.c_size_t), ("address", ctypes.c_void_p), ("capacity", ctypes.c_size_t),
                ("dtype", ctypes.c_int32), ("cuda_device", ctypes.c_int32), ("rank", ctypes.c_size_t),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("block_offset", ctypes.POINTER(ctypes.c_int64)),
                ("block_extent", ctypes.POINTER(ctypes.c_int64)), ("name", ctypes.c_char_p),
                ("subsequence", ctypes.c_uint64), ("stream", ctypes.c_void_p), ("threads", ctypes.c_int32),
                ("layout", ctypes.c_int32), ("device_seed", ctypes.c_void_p)]


def library_fill(library, name, seed, array, threads):
    """A call that fills a float32 array with the C++ library, without the package."""
    initializer = ctypes.c_void_p()
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    arguments = FillArgs(struct_size=ctypes.sizeof(FillArgs), address=array.ctypes.data, capacity=array.nbytes,
                         cuda_device=-1, rank=array.ndim, shape=shape, threads=threads)
    if library.fanin_make(name.encode(), ctypes.c_uint64(seed), ctypes.byref(initializer)) != 0:
        raise RuntimeError(library.fanin_last_error())

    def call():
        if library.fanin_fill(initializer, ctypes.byref(arguments)) != 0:
            raise RuntimeError(library.fanin_last_error())

    return call


def measured(calls, rounds):
    """Seconds of each call, by its name, in each round."""
    samples = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name in random.sample(sorted(calls), len(calls)):
            begin = time.perf_counter()
            calls[name]()
            samples[name].append(time.perf_counter() - begin)
    return samples


def rates(library, rounds):
    array = np.zeros((1 << 12, 1 << 12), np.float32)
    wide = np.zeros((1 << 12, 1 << 13), np.float32)
    print(f"| 2^24 float32 elements, {rounds} rounds | C++, 10^9 elements/s | Python, NumPy | of C++'s | every other column |")
    print("| --- | --- | --- | --- | --- |")
    for threads in (1, 0):
        for name in NAMES:
            init = fanin.get(name).with_seed(1)
            native = library_fill(library, name, 1, array, threads)
            native()
            expected = array.tobytes()
            calls = {"C++": native, "Python": lambda: fanin.fill(array, init, threads=threads),
                     "strided": lambda: fanin.fill(wide[:, ::2], init, threads=threads)}
            samples = measured(calls, rounds)
            calls["Python"]()
            assert array.tobytes() == expected
            quartiles = {key: statistics.quantiles([SIZE / s / 1e9 for s in values]) for key, values in samples.items()}
            cells = [f"{q[1]:.3g} ±{(q[2] - q[0]) / 2 / q[1]:.0%}" for q in quartiles.values()]
            label = f"{name}, " + ("1 thread" if threads == 1 else f"all {len(os.sched_getaffinity(0))} threads")
            print(f"| {label} | {cells[0]} | {cells[1]} | {quartiles['Python'][1] / quartiles['C++'][1]:.3f} | {cells[2]} |")


def tiny_calls(rounds):
    init = fanin.HeNormal(1)
    w = np.zeros(4, np.float32)
    calls = {
        "fill(NumPy array, initializer)": lambda: fanin.fill(w, init),
        "fill(NumPy array, initializer, name=\"h.0.mlp.c_fc.weight\")": lambda: fanin.fill(w, init, name="h.0.mlp.c_fc.weight"),
        "fill(NumPy array, \"he_normal\", seed=1)": lambda: fanin.fill(w, "he_normal", seed=1),
        "fill(strided NumPy array, initializer)": lambda v=np.zeros(8, np.float32)[::2]: fanin.fill(v, init),
        "initializer((4,))": lambda: init((4,)),
        "w.fill(1), NumPy's own": lambda: w.fill(1),
    }
    if torch is not None:
        tensor = torch.zeros(4)
        calls["fill(PyTorch tensor, initializer)"] = lambda: fanin.fill(tensor, init)
    try:
        import ml_dtypes
        narrow = np.zeros(4, ml_dtypes.bfloat16)
        calls["fill(NumPy array of bfloat16, initializer)"] = lambda: fanin.fill(narrow, init)
    except ImportError:
        pass
    number = 10_000
    samples = {name: [] for name in calls}
    for _ in range(rounds):
        for name in random.sample(sorted(calls), len(calls)):
            samples[name].append(timeit.timeit(calls[name], number=number) / number * 1e6)
    print("\n| 4 elements, float32, a call, the lambda around it included | microseconds |\n| --- | --- |")
    for name, values in samples.items():
        print(f"| `{name}` | {statistics.median(values):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("library", help="libfanin.so")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    library = ctypes.CDLL(given.library)
    library.fanin_last_error.restype = ctypes.c_char_p
    if library.fanin_contract_version() != fanin.contract_version:
        parser.error("the library and the package have different value contracts")
    with open("/proc/cpuinfo") as info:
        model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())
    print(f"{datetime.date.today()}, {model}, Python {platform.python_version()}, NumPy {np.__version__}"
          + (f", PyTorch {torch.__version__}" if torch is not None else "") + "\n")
    rates(library, given.rounds)
    tiny_calls(given.rounds)


if __name__ == "__main__":
    main()
