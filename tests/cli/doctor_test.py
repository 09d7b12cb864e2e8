#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the hashes that `fanin doctor` tests with the contract's oracle, and checks what it says and its exit status.

    doctor_test.py PROGRAM
"""
import json
import os
import pathlib
import subprocess
import sys

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: no NumPy for", sys.executable)
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data" / "contract"))
import oracle  # noqa: E402

SAMPLERS = {
    "truncated_normal": {"kind": "truncated_normal", "mean": 0.0, "stddev": 1.0, "lower": -2.0, "upper": 2.0},
    "normal": {"kind": "normal", "mean": 0.0, "stddev": 1.0, "lower": None, "upper": None},
    "box": {"kind": "truncated_normal", "mean": 0.0, "stddev": 1.0, "lower": 1.0, "upper": 2.0},
    "tail": {"kind": "truncated_normal", "mean": 0.0, "stddev": 1.0, "lower": 3.0, "upper": 10.0},
    "uniform": {"kind": "uniform", "low": -1.0, "high": 1.0},
}
DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return value


def doctor(program, *arguments, **environment):
    result = subprocess.run([program, "doctor", *arguments], capture_output=True, text=True, env={**os.environ, **environment})
    assert not result.stderr, result.stderr
    return result.returncode, result.stdout


def main():
    program = sys.argv[1]
    status, text = doctor(program, "--json")
    report = json.loads(text)
    assert status == 0 and report["problems"] == [], report
    assert report["hashes"].keys() == SAMPLERS.keys()
    for name, sampler in SAMPLERS.items():
        assert report["hashes"][name].keys() == set(DTYPES), name
        for dtype in DTYPES:
            values = oracle.fill(dict(sampler, dtype=dtype, seed=42, subsequence=oracle.fnv1a("doctor"), start=0, count=4099))
            assert report["hashes"][name][dtype] == fnv1a(values.tobytes()), (name, dtype)
    tests = report["self_test"]
    assert "portable" in tests and report["cpu_target"] in tests
    assert len(tests) >= 1 + report["cuda_devices"]
    assert all(test == {"fills": len(SAMPLERS) * len(DTYPES), "wrong": [], "failure": ""} for test in tests.values()), tests
    assert report["fill_bytes_per_second"] > 0 and report["memset_bytes_per_second"] > 0

    status, text = doctor(program)
    assert status == 0 and text.endswith("Nothing is wrong.\n") and report["cpu_target"] + " (used)" in text, text
    status, text = doctor(program, FANIN_CPU_TARGET="abacus")
    assert status == 1 and "wrong: The environment variable FANIN_CPU_TARGET" in text and "abacus" in text, text
    print(f"{len(SAMPLERS) * len(DTYPES)} hashes are the oracle's; tested: {', '.join(tests)}")


if __name__ == "__main__":
    main()
