#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `fanin fill` with the independent oracle for random kinds, parameters, dtypes, seeds, subsequences, offsets and
thread counts: the same bits, and the same refusals.

    oracle_test.py PROGRAM [CASES]
"""
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy for", sys.executable)
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "data" / "contract"))
import oracle  # noqa: E402

# Windows of each of the contract's samplers; infinite bounds are None.
WINDOWS = {
    "cut_at_2": [(-2.0, 2.0)],
    "normal": [(None, 0.0), (0.0, None), (-0.5, 4.0), (-1.0, None), (None, None), (0.0, 2.5), (-1.25, 1.25), (-3.0, 3.0), (-4.0, 0.0)],
    "box at 0": [(-0.7, 0.7), (-0.1, 0.1), (-0.01, 0.02), (0.0, 2.49), (-2.4, 0.0), (0.0, 1e-30)],
    "box": [(1.0, 2.0), (-2.0, -1.0), (0.5, 1.75), (8.0, 8.1), (-30.05, -30.0), (1.0, 1.0 + 2.0 ** -30), (1e-3, 1.7)],
    "tail": [(3.0, 8.0), (2.0, None), (None, -2.0), (-9.0, -8.0), (1e-3, None), (0.5, 1.9), (35.0, 36.0)],
}
DTYPES = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


def random_spec(rng):
    """A case for the oracle; about one in seven is refused."""
    scale = lambda: 10.0 ** rng.uniform(-9, 5) * rng.choice([1, 1, 1, 2.0 ** -20])
    signed = lambda: rng.choice([-1, 1]) * scale()
    spec = {"seed": rng.choice([0, 1, 42, 2 ** 64 - 1, rng.getrandbits(64)]),
            "subsequence": rng.choice([0, 1, 2 ** 63 + 5, rng.getrandbits(64)]),
            "start": rng.choice([0, 1, rng.randrange(100), rng.getrandbits(34), 2 ** 32 - 7, 2 ** 40 + 3, 2 ** 56 - 3000]),
            "count": rng.choice([1, 3, 17, 255, 1000, 2500]),
            "dtype": rng.choice(DTYPES), "kind": rng.choice(["normal", "uniform"] + ["truncated_normal"] * 4)}
    if spec["kind"] == "uniform":
        low = rng.choice([0.0, signed(), -1.0])
        spec["low"] = low
        spec["high"] = rng.choice([-low if low < 0 else low + scale(), low + scale(), low + abs(low) * 1e-3, low])
    else:
        spec["mean"] = rng.choice([0.0, 0.0, signed()])
        spec["stddev"] = rng.choice([scale(), scale(), 0.0, 1e-46, 1e38])
        if spec["kind"] == "truncated_normal":
            spec["lower"], spec["upper"] = rng.choice(rng.choice(list(WINDOWS.values())))
            if rng.random() < 0.05:  # mostly refused
                spec["lower"], spec["upper"] = spec["upper"], spec["lower"]
    return spec


def arguments(spec, out, threads):
    """The same case as arguments of `fanin fill`: elements start ... start + count - 1 of the largest vector."""
    name = {"normal": "random_normal", "truncated_normal": "truncated_normal", "uniform": "random_uniform"}[spec["kind"]]
    keys = {"low": "minval", "high": "maxval", "mean": "mean", "stddev": "stddev", "lower": "lower", "upper": "upper"}
    settings = ["%s=%s" % (keys[k], "null" if spec[k] is None else repr(spec[k])) for k in keys if k in spec]
    command = ["fill", "--init", name, "--shape", str(2 ** 56), "--dtype", spec["dtype"], "--seed", str(spec["seed"]),
               "--subsequence", str(spec["subsequence"]), "--partition-offset", str(spec["start"]),
               "--partition-shape", str(spec["count"]), "--threads", str(threads), "--out", out]
    for setting in settings:
        command += ["--set", setting]
    return command


def main():
    program = sys.argv[1]
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    rng = random.Random(20261122)
    fills = refusals = 0
    samplers = dict.fromkeys(WINDOWS, 0)  # the number of fills of each
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "w.npy")
        for case in range(cases):
            spec = random_spec(rng)
            threads = rng.choice([0, 1, 2, 3, 8])
            try:
                with np.errstate(all="ignore"):
                    expected = oracle.fill(spec)
            except oracle.Refused:
                expected = None
            if os.path.exists(out):
                os.unlink(out)
            run = subprocess.run([program] + arguments(spec, out, threads), capture_output=True, text=True)
            if expected is None:
                assert run.returncode == 2 and run.stderr and not os.path.exists(out), (spec, run)
                refusals += 1
                continue
            assert run.returncode == 0, (spec, run)
            got = np.load(out)
            assert got.dtype == expected.dtype and got.tobytes() == expected.tobytes(), (spec, threads)
            fills += 1
            if spec["kind"] == "truncated_normal" and spec["stddev"] > 0:
                for sampler, windows in WINDOWS.items():
                    samplers[sampler] += (spec["lower"], spec["upper"]) in windows
        # Large enough for a share per thread.
        spec = {"kind": "truncated_normal", "mean": 0.0, "stddev": math.sqrt(2 / 512) / 0.87962566103423978, "lower": -2.0,
                "upper": 2.0, "seed": 42, "subsequence": oracle.fnv1a("größe"), "start": 0, "count": 512 * 1024}
        for dtype in DTYPES:
            expected = oracle.fill(dict(spec, dtype=dtype))
            for threads in (1, 2, 3, 5):
                subprocess.run([program, "fill", "--init", "he_normal", "--shape", "512,1024", "--dtype", dtype, "--seed", "42",
                                "--name", "größe", "--threads", str(threads), "--out", out], check=True, capture_output=True)
                assert np.load(out).tobytes() == expected.tobytes(), (dtype, threads)
        # The output of `describe --json` is a case for the oracle.
        described = json.loads(subprocess.run([program, "describe", "--init", "glorot_uniform", "--shape", "3,3,8,16", "--json"],
                                              check=True, capture_output=True).stdout)
        subprocess.run([program, "fill", "--init", "glorot_uniform", "--shape", "3,3,8,16", "--seed", "5", "--out", out],
                       check=True, capture_output=True)
        described.update(seed=5, subsequence=0, start=0, count=3 * 3 * 8 * 16)
        assert np.load(out).tobytes() == oracle.fill(described).tobytes()
    assert fills > cases / 2 and refusals > cases / 20, (fills, refusals)
    assert min(samplers.values()) >= cases / 25, samplers
    print("%d fills equal, %d refusals equal; with windows: %s" % (fills, refusals, samplers))


if __name__ == "__main__":
    main()
