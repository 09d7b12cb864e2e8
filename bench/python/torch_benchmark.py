#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.torch beside torch.nn.init in one process, on one thread: 2^24 elements, and small calls. The calls of
a pair alternate; figures are medians. Prints tables in Markdown. Run it with build/python/venv/bin/python, after scripts/test."""
import timeit

import torch
from turns import medians

import fanin.torch

FUNCTIONS = {
    "uniform_": {},
    "normal_": {},
    "trunc_normal_": {},
    "trunc_normal_, narrow": {"a": 1.0, "b": 2.0},
    "kaiming_normal_": {"nonlinearity": "relu"},
}


def pair(label, tensor):
    name = label.split(",")[0]
    return [lambda f=getattr(module, name): f(tensor, **FUNCTIONS[label]) for module in (fanin.torch, torch.nn.init)]


def rates(dtype):
    tensor = torch.zeros(4096, 4096, dtype=dtype)
    print(f"\n| 2^24 elements, {dtype}, 10^9 a second | fanin.torch | torch.nn.init | ratio |\n| --- | --- | --- | --- |")
    for label in FUNCTIONS:
        ours, theirs = medians(pair(label, tensor), 5, uncounted=0)
        size = tensor.numel() / 1e9
        print(f"| {label} | {size / ours:.3g} | {size / theirs:.3g} | {theirs / ours:.1f} |", flush=True)


def tiny():
    print("\n| microseconds a call, float32 | elements | fanin.torch | torch.nn.init |\n| --- | --- | --- | --- |")
    for shape in ((4, 4), (32, 32), (100, 100)):
        for label in FUNCTIONS:
            number = 200 if "narrow" in label else 2000
            taken = [min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6
                     for call in pair(label, torch.zeros(shape))]
            print(f"| {label} | {shape[0] * shape[1]} | {taken[0]:.3g} | {taken[1]:.3g} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"fanin {fanin.__version__}, PyTorch {torch.__version__}")
    rates(torch.float32)
    rates(torch.bfloat16)
    tiny()
