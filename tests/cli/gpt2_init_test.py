#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the C program examples/gpt2_init.c with `fanin model examples/models/gpt2.json`: the same weights, on the host and
on a CUDA device if there is one.

    gpt2_init_test.py PROGRAM GPT2_INIT [--small]

--small leaves out the model of 124M parameters.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy for", sys.executable)
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from model_oracle import Model  # noqa: E402

SPEC = pathlib.Path(__file__).resolve().parent.parent.parent / "examples/models/gpt2.json"
SMALL = {"layers": 2, "width": 16, "vocab": 52, "positions": 12}


def expected(program, folder, constants):
    """What gpt2_init prints, from the file that the program writes."""
    out = os.path.join(folder, "model.safetensors")
    settings = [argument for name, value in constants.items() for argument in ("--constant", f"{name}={value}")]
    subprocess.run([program, "model", str(SPEC), "--seed", "42", *settings, "--out", out], check=True, capture_output=True)
    with open(out, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    data = np.memmap(out, np.uint8, "r", 8 + length)
    total = count = 0
    for name in Model(SPEC, **constants).tensors:
        words = data[slice(*header[name]["data_offsets"])].view("<u4")
        for first in range(0, len(words), 1 << 22):
            part = words[first:first + (1 << 22)].astype(np.uint64)
            weights = np.arange(count, count + len(part), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
            total += int((weights * part).sum(dtype=np.uint64))
            count += len(part)
    return f"{count} parameters, checksum {total % 2 ** 64:016x}\n"


def main():
    program, gpt2_init, *options = sys.argv[1:]
    small = [str(n) for n in SMALL.values()]
    with tempfile.TemporaryDirectory() as folder:
        wanted = expected(program, folder, SMALL)
        got = subprocess.run([gpt2_init, "-1", *small], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert got == wanted, (got, wanted)
        if options != ["--small"]:
            wanted_124m = expected(program, folder, {})
            got = subprocess.run([gpt2_init], check=True, stdout=subprocess.PIPE, text=True).stdout
            assert got == wanted_124m, (got, wanted_124m)
    print("on the host:", got, end="")
    device = subprocess.run([gpt2_init, "0", *small], capture_output=True, text=True)
    if device.returncode == 77 or "no CUDA back end" in device.stderr:
        print("no CUDA device")
        return
    assert device.returncode == 0 and device.stdout == wanted, (device, wanted)
    print("on the device:", device.stdout, end="")


if __name__ == "__main__":
    main()
