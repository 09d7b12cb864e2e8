#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares examples/gpt2 on a CUDA device with `fanin model`, bit for bit: the weights and masters of 1 to 4 ranks.

    gpt2_test.py PROGRAM GPT2

PROGRAM is fanin, GPT2 the compiled example. The model has GPT-2's rules and a few narrow layers. Exit code 77: there is no CUDA
device.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from model_oracle import Model  # noqa: E402

SPECIFICATION = pathlib.Path(__file__).resolve().parent.parent.parent / "examples/models/gpt2.json"
LAYERS, WIDTH, VOCABULARY, CONTEXT = 12, 40, 211, 37
SEED = 7


def stored(path):
    """The bytes of all tensors of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    body = data[8 + length:]
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}


def main():
    program, example = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        constants = {"layers": LAYERS, "width": WIDTH, "vocab": VOCABULARY, "positions": CONTEXT}
        settings = [argument for name, value in constants.items() for argument in ("--constant", f"{name}={value}")]
        names = Model(SPECIFICATION, **constants).tensors
        expected = {}
        for dtype in ("float32", "bfloat16"):
            subprocess.run([program, "model", str(SPECIFICATION), "--seed", str(SEED), "--dtype", dtype, *settings,
                            "--out", str(folder / "model.safetensors")], stdout=subprocess.DEVNULL, check=True)
            tensors = stored(folder / "model.safetensors")
            expected[dtype] = b"".join(tensors[name] for name in names)
        count = len(expected["bfloat16"]) // 2
        for ranks in (1, 2, 3, 4):
            got = subprocess.run(
                [example, "--ranks", str(ranks), "--seed", str(SEED), "--layers", str(LAYERS), "--width", str(WIDTH),
                 "--vocabulary", str(VOCABULARY), "--context", str(CONTEXT), "--out", str(folder / "rank")],
                capture_output=True, text=True)
            if got.returncode == 77:
                print("skipped:", got.stderr.strip())
                sys.exit(77)
            if got.returncode != 0:
                sys.exit(f"{example} ended with {got.returncode}: {got.stderr.strip()}")
            launches = re.findall(r"launches: (\d+)", got.stdout)
            if launches != ["1"] * ranks:
                sys.exit(f"not one launch a rank:\n{got.stdout}")
            each = -(-count // ranks)
            for rank in range(ranks):
                if (folder / f"rank.{rank}.weights").read_bytes() != expected["bfloat16"]:
                    sys.exit(f"the weights of rank {rank} of {ranks} differ")
                master = expected["float32"][4 * rank * each:4 * (rank + 1) * each]
                if not master or (folder / f"rank.{rank}.master").read_bytes() != master:
                    sys.exit(f"the masters of rank {rank} of {ranks} differ")
    print(f"{count} weights and masters of 1 to 4 ranks have the program's bits, one launch a rank")


if __name__ == "__main__":
    main()
