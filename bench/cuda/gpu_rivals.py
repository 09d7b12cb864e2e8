#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's and JAX's own initializers on the GPU; gpu_report.py puts them beside fanin's fills.

Each framework runs in its own process. One that is missing or fails is reported with the reason. Nothing is
installed. PyTorch writes to existing memory and is timed by CUDA events, with a flushed L2. JAX is jitted,
allocates its result, and is timed by the clock, over as many calls as take a few milliseconds."""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

FAN_IN = 64  # as in gpu_benchmark.cu
DTYPES = {"float32": 4, "bfloat16": 2}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="writes every sample")
    parser.add_argument("--max-bytes", type=int, default=1 << 32, help="largest fill, a power of two; default: 2^32")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="3 repetitions, fewer sizes: a rehearsal, no result")
    parser.add_argument("--seconds", type=float, default=120, help="of each framework; begins no size after so many")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="cpu: a rehearsal of this program")
    parser.add_argument("--framework", choices=FRAMEWORKS, help="this one alone, in this process")
    given = parser.parse_args()
    if given.quick:
        given.repetitions = min(given.repetitions, 3)
    return given


class NotHere(Exception):
    pass


def torch_workloads(given):
    """The version, and a function that returns the workloads of a size: (name, dtype, elements, run). `run(k)` returns a call's seconds."""
    import torch
    gpu = given.device == "gpu"
    if gpu and not torch.cuda.is_available():
        raise NotHere("this PyTorch sees no GPU")
    device = "cuda" if gpu else "cpu"
    torch.manual_seed(42)
    flush = torch.empty(0, device=device)
    if gpu:
        l2 = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20)
        flush = torch.empty(2 * max(l2, 1 << 20), dtype=torch.uint8, device=device)
    init = torch.nn.init
    calls = {
        "normal_": lambda t: t.normal_(0.0, 0.02),
        "uniform_": lambda t: t.uniform_(-0.05, 0.05),
        "trunc_normal_": lambda t: init.trunc_normal_(t, 0.0, 0.02, -0.04, 0.04),
        "kaiming_normal_": init.kaiming_normal_,
    }

    def timed(call, tensor):
        if not gpu:
            begin = time.perf_counter()
            call(tensor)
            return time.perf_counter() - begin
        flush.fill_(1)
        flush.fill_(2)  # takes long enough for the host to put the call on the stream
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        call(tensor)
        after.record()
        after.synchronize()
        return before.elapsed_time(after) * 1e-3

    def of_size(size):
        for dtype, width in DTYPES.items():
            elements = size // width
            tensor = torch.empty((elements // FAN_IN, FAN_IN), dtype=getattr(torch, dtype), device=device)
            for name, call in calls.items():
                yield "PyTorch " + name, dtype, elements, lambda call=call, tensor=tensor: timed(call, tensor)

    return torch.__version__, of_size


def jax_workloads(given):
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leaves memory for the others
    if given.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    if given.device == "gpu" and jax.default_backend() != "gpu":
        raise NotHere(f"this JAX sees no GPU, but {jax.default_backend()}")
    makers = {
        "he_normal": lambda key, shape, dtype: jax.nn.initializers.he_normal()(key, shape, dtype),
        "normal": lambda key, shape, dtype: 0.02 * jax.random.normal(key, shape, dtype),
        "uniform": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.05, 0.05),
    }
    keys = {"": jax.random.key(42), ", rbg keys": jax.random.key(42, impl="rbg")}

    def timed(function, key):
        result = function(key).block_until_ready()  # the first call compiles
        begin = time.perf_counter()
        result = function(key).block_until_ready()
        once = time.perf_counter() - begin
        calls = 1 if given.quick else max(1, min(16, int(4e-3 / once)))
        begin = time.perf_counter()
        for _ in range(calls):
            result = function(key)
        result.block_until_ready()
        return (time.perf_counter() - begin) / calls

    def of_size(size):
        for dtype, width in DTYPES.items():
            elements = size // width
            for name, make in makers.items():
                for label, key in keys.items():
                    if label and dtype != "float32":
                        continue  # compiling takes most of the time
                    function = jax.jit(lambda k, make=make, dtype=dtype, elements=elements: make(k, (FAN_IN, elements // FAN_IN), dtype))
                    yield f"JAX {name}, jitted{label}", dtype, elements, lambda function=function, key=key: timed(function, key)

    return jax.__version__, of_size


FRAMEWORKS = {"PyTorch": torch_workloads, "JAX": jax_workloads}


def measure(given):
    """Measures one framework in this process."""
    begin = time.perf_counter()
    try:
        version, of_size = FRAMEWORKS[given.framework](given)
    except (ImportError, NotHere, RuntimeError) as error:
        return {"versions": {}, "rows": [], "left_out": {given.framework: str(error).splitlines()[0]}}
    rows, left_out = [], {}
    size = given.max_bytes
    while size >= 1024:
        if time.perf_counter() - begin > given.seconds:
            left_out[f"{given.framework}, {size} bytes and fewer"] = "no time left"
            break
        runs = []
        for name, dtype, elements, run in of_size(size):
            try:
                run()
            except Exception as error:  # mostly out of memory
                left_out[f"{name}, {dtype}, {size} bytes"] = (str(error).splitlines() or [type(error).__name__])[0]
                continue
            rows.append({"group": "rivals", "name": name, "dtype": dtype, "bytes": size, "elements": elements,
                         "l2": "cold" if given.framework == "PyTorch" else "as it is", "how": "stream", "seconds": []})
            runs.append((rows[-1], run))
        for _ in range(given.repetitions):
            random.shuffle(runs)
            for row, run in runs:
                row["seconds"].append(run())
        runs.clear()
        size //= 64 if given.quick else 16
    return {"versions": {given.framework: version}, "rows": rows, "left_out": left_out}


def main():
    given = arguments()
    if given.framework:
        print(json.dumps(measure(given)))
        return
    merged = {"versions": {}, "rows": [], "left_out": {}, "quick": given.quick, "device": given.device}
    for name in FRAMEWORKS:
        command = [sys.executable, os.path.abspath(__file__), "--framework", name, "--max-bytes", str(given.max_bytes),
                   "--repetitions", str(given.repetitions), "--seconds", str(given.seconds), "--device", given.device]
        try:
            done = subprocess.run(command + ["--quick"] * given.quick, capture_output=True, text=True,
                                  timeout=given.seconds + 60)
            part = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            part = {"left_out": {name: f"did not end within {given.seconds + 60:.0f} s"}}
        except (IndexError, ValueError):
            part = {"left_out": {name: f"exit status {done.returncode}: " + (done.stderr.strip().splitlines() or ["no message"])[-1]}}
        for key in ("versions", "left_out"):
            merged[key].update(part.get(key, {}))
        merged["rows"] += part.get("rows", [])
        if given.json:  # now, so that a failure of the next framework does not lose it
            with open(given.json, "w") as file:
                json.dump(merged, file)
    for row in merged["rows"]:
        median = statistics.median(row["seconds"])
        print(f"{row['name']:34} {row['dtype']:9} {row['bytes']:12} bytes {median * 1e6:12.1f} us {row['elements'] / median / 1e9:9.2f} G elem/s")
    for what, why in merged["left_out"].items():
        print(f"left out: {what}: {why}")


if __name__ == "__main__":
    main()
