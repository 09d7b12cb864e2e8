#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs examples/mpi_model.cpp on 1, 2, 3 and 8 processes: one SHA-256, and the weights that `fanin model` writes.

    mpi_test.py PROGRAM MPI_MODEL
"""
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

SPEC = {
    "dtype": "bfloat16",
    "layout": "OI",
    "constants": {"layers": 5, "width": 48, "experts": 3, "vocabulary": 101},
    "tensors": {
        "embed.weight": ["vocabulary", "width"],
        "layers.{layer}.qkv.weight": {
            "shape": ["width + 32", "width"], "repeat": {"layer": "layers"}, "axis": 0,
            "parts": [{"name": "layers.{layer}.q.weight", "size": "width"}, {"name": "layers.{layer}.k.weight", "size": 16},
                      {"name": "layers.{layer}.v.weight", "size": 16}]},
        "layers.{layer}.norm.weight": {"shape": ["width"], "repeat": {"layer": "layers"}},
        "layers.{layer}.experts.{expert}.w.weight": {
            "shape": ["2 * width", "width"], "repeat": {"layer": "layers", "expert": "experts"}},
        "scale": [],
        "head.weight": ["vocabulary", "width"],
    },
    "rules": [
        {"match": "*norm.weight", "initializer": "ones", "dtype": "float32"},
        {"match": "scale", "initializer": "random_normal"},
        {"match": "layers.{layer}.*", "initializer": {"class_name": "RandomNormal", "config": {"stddev": "0.02 / sqrt(2 * (layer + 1))"}}},
        {"match": "*", "initializer": "he_uniform"},
    ],
}
# Options for numbers of processes: pieces of tensors, uneven ones, stages of unequal length, and all kinds together.
MESHES = [(1, []), (2, ["--tensor", "2"]), (3, ["--pipeline", "3"]), (3, ["--tensor", "3"]), (3, []),
          (8, ["--tensor", "2", "--pipeline", "2"])]


def tensors_of(path):
    """Each tensor's dtype, shape and bytes."""
    file = path.read_bytes()
    (length,) = struct.unpack("<Q", file[:8])
    header = json.loads(file[8:8 + length])
    header.pop("__metadata__", None)
    data = file[8 + length:]
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def main():
    program, mpi_model = sys.argv[1:]
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        print("skipped: there is no mpirun")
        sys.exit(77)
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        spec = folder / "spec.json"
        spec.write_text(json.dumps(SPEC))
        whole = folder / "whole.safetensors"
        subprocess.run([program, "model", spec, "--seed", "42", "--out", whole], check=True, stdout=subprocess.DEVNULL)
        hashes = {}
        for processes, options in MESHES:
            out = folder / "out.safetensors"
            subprocess.run([mpirun, "--oversubscribe", "-n", str(processes), mpi_model, spec, "42", out, *options],
                           check=True, env=environment, stdout=subprocess.DEVNULL)
            hashes[(processes, *options)] = hashlib.sha256(out.read_bytes()).hexdigest()
            assert tensors_of(out) == tensors_of(whole), f"{processes} processes, {options}: not the weights of fanin model"
            out.unlink()
        assert len(set(hashes.values())) == 1, hashes
        wrong = subprocess.run([mpirun, "--oversubscribe", "-n", "2", mpi_model, spec, "42", folder / "wrong", "--tensor", "3"],
                               env=environment, capture_output=True, text=True, check=False)
        assert wrong.returncode != 0 and "multiple of --tensor times --pipeline" in wrong.stderr, wrong
        assert not (folder / "wrong").exists()
    print(f"{len(MESHES)} meshes, one SHA-256")


if __name__ == "__main__":
    main()
