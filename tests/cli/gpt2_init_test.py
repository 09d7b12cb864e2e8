#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the C program examples/gpt2_init.c with `fanin model examples/models/gpt2.json`: the same weights, on the host and
on a CUDA device if there is one.

    gpt2_init_test.py PROGRAM GPT2_INIT [--small]

--small leaves out the model of 124M parameters.
"""
import copy
import json
import math
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

SPEC = json.loads((pathlib.Path(__file__).resolve().parent.parent.parent / "examples/models/gpt2.json").read_text())
SMALL = (2, 16, 52, 12)  # layers, channels, vocabulary, positions


def of_size(layers, channels, vocabulary, positions):
    """The specification for another size."""
    extents = {768 * factor: channels * factor for factor in (1, 3, 4)} | {50257: vocabulary, 1024: positions}
    spec = copy.deepcopy(SPEC)
    spec["tensors"] = {name: [extents[extent] for extent in shape] for name, shape in SPEC["tensors"].items()
                       if not name.startswith("h.") or int(name.split(".")[1]) < layers}
    for rule in spec["rules"]:
        if rule["match"] == "*.c_proj.weight":
            rule["initializer"]["config"]["stddev"] = 0.02 / math.sqrt(2 * layers)
    return spec


def expected(program, folder, spec):
    """What gpt2_init prints, from the file that the program writes."""
    model, out = os.path.join(folder, "model.json"), os.path.join(folder, "model.safetensors")
    pathlib.Path(model).write_text(json.dumps(spec))
    subprocess.run([program, "model", model, "--seed", "42", "--out", out], check=True, capture_output=True)
    with open(out, "rb") as file:
        header = struct.unpack("<Q", file.read(8))[0]
    words = np.memmap(out, "<u4", "r", 8 + header)
    total = 0
    for first in range(0, len(words), 1 << 22):
        part = words[first:first + (1 << 22)].astype(np.uint64)
        weights = np.arange(first, first + len(part), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        total += int((weights * part).sum(dtype=np.uint64))
    return f"{len(words)} parameters, checksum {total % 2 ** 64:016x}\n"


def main():
    program, gpt2_init, *options = sys.argv[1:]
    assert of_size(12, 768, 50257, 1024) == SPEC
    small = [str(n) for n in SMALL]
    with tempfile.TemporaryDirectory() as folder:
        wanted = expected(program, folder, of_size(*SMALL))
        got = subprocess.run([gpt2_init, "-1", *small], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert got == wanted, (got, wanted)
        if options != ["--small"]:
            wanted_124m = expected(program, folder, SPEC)
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
