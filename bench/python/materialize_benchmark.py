#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures fanin.torch.materialize_, which runs the model's own code, beside init_model_, which fills by rules.

    build/python/venv/bin/python bench/python/materialize_benchmark.py [--processes 64] [--layers 32] [--rounds 3]

The model has Llama-3-8B's shapes in bfloat16. It is built on the meta device and sharded by FSDP2 over this many processes,
of which this is the first; the others do not exist. Both fill the same memory: this process's share of every parameter. The
calls alternate; figures are medians. transformers must be installed, and PyTorch with its tests' package, for processes that
do not exist."""
import argparse
import time
import warnings

import torch
import transformers
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import fanin.torch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--processes", type=int, default=64)
parser.add_argument("--layers", type=int, default=32)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=3)
ARGUMENTS = parser.parse_args()

NORMAL = fanin.RandomNormal(0, 0.02)


def model():
    config = transformers.LlamaConfig(vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_attention_heads=32,
                                      num_key_value_heads=8, num_hidden_layers=ARGUMENTS.layers)
    with torch.device("meta"):
        whole = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    mesh = torch.distributed.init_device_mesh("cpu", (ARGUMENTS.processes,))
    for layer in whole.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(whole, mesh=mesh)
    return whole


def seconds(fill):
    sharded = model()
    start = time.perf_counter()
    fill(sharded)
    return time.perf_counter() - start, sharded


def by_rules(sharded):
    local = sharded.to_empty(device="cpu")  # rotary tables are buffers, for which rules have no values
    fanin.torch.init_model_(local, 42, [("*norm*", "ones"), ("*", NORMAL)])


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(ARGUMENTS.threads)
    torch.distributed.init_process_group("fake", rank=0, world_size=ARGUMENTS.processes, store=FakeStore())
    times = {"materialize_": [], "init_model_": []}
    for number in range(1 + ARGUMENTS.rounds):
        for name, fill in (("materialize_", lambda model: fanin.torch.materialize_(model, 42)), ("init_model_", by_rules)):
            taken, sharded = seconds(fill)
            if number > 0:  # the first calls import and compile
                times[name].append(taken)
    count = sum(parameter.to_local().numel() for parameter in sharded.parameters())
    median = {name: sorted(all_)[len(all_) // 2] for name, all_ in times.items()}
    print(f"fanin {fanin.__version__}, {ARGUMENTS.threads} thread(s), {count:,} of this process's bfloat16 numbers\n")
    print("| call | s | ratio |\n| --- | --- | --- |")
    for name, taken in median.items():
        print(f"| {name} | {taken:.3f} | {taken / median['init_model_']:.2f} |")


if __name__ == "__main__":
    main()
