# SPDX-License-Identifier: Apache-2.0
"""The bits: those of the golden vectors, and those of the program, for every dtype."""
import json
import math

import numpy as np
import pytest
from support import CONTRACT, numpy_dtype, same_bits

import fanin

GOLDEN = CONTRACT / "golden"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
LARGEST = 2**56


def initializer_of(spec):
    if spec["kind"] == "uniform":
        return fanin.RandomUniform(spec["low"], spec["high"], spec["seed"])
    if spec["kind"] == "normal":
        return fanin.RandomNormal(spec["mean"], spec["stddev"], spec["seed"])
    lower = -math.inf if spec["lower"] is None else spec["lower"]
    upper = math.inf if spec["upper"] is None else spec["upper"]
    return fanin.TruncatedNormal(spec["mean"], spec["stddev"], spec["seed"], lower, upper)


def drawn(spec, **options):
    """Elements start, start + 1, ... of the largest vector there is."""
    return fanin.draw(initializer_of(spec), (LARGEST,), spec["dtype"], subsequence=spec["subsequence"],
                      offset=(spec["start"],), extent=(spec["count"],), **options)


def test_golden_vectors(dtype):
    numpy_dtype(dtype)  # may skip
    cases = [case for case in MANIFEST if "file" in case and case["spec"]["dtype"] == dtype]
    assert len(cases) > 40
    for case in cases:
        expected = np.load(GOLDEN / case["file"])
        for threads in (1, 2):
            got = drawn(case["spec"], threads=threads)
            assert got.dtype == numpy_dtype(dtype)
            assert got.tobytes() == expected.tobytes(), case["file"]


def test_refusals():
    refused = [case["spec"] for case in MANIFEST if "refused" in case]
    assert len(refused) == 25
    for spec in refused:
        numpy_dtype(spec["dtype"])
        with pytest.raises(ValueError):
            drawn(spec)


def test_names():
    names = json.loads((GOLDEN / "names.json").read_text())
    assert len(names) == 6
    for name, subsequence in names.items():
        assert fanin.subsequence_of(name) == int(subsequence)


@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "random_normal", "identity"])
def test_program(program, tmp_path, dtype, name):
    numpy_dtype(dtype)
    out = tmp_path / "w.npy"
    program("fill", "--init", name, "--shape", "129,515", "--dtype", dtype, "--seed", 2**64 - 2, "--name", "h.0.ä",
            "--out", out)
    assert same_bits(fanin.draw(name, (129, 515), dtype, seed=2**64 - 2, name="h.0.ä"), np.load(out))


def test_program_with_layout_and_block(program, tmp_path):
    out = tmp_path / "w.npy"
    program("fill", "--init", "glorot_normal", "--shape", "16,8,3,5", "--layout", "oihw", "--seed", 7, "--subsequence", 9,
            "--partition-shape", "3,4,2,5", "--partition-offset", "5,1,1,0", "--out", out)
    got = fanin.draw("glorot_normal", (16, 8, 3, 5), seed=7, subsequence=9, layout="oihw", offset=(5, 1, 1, 0),
                     extent=(3, 4, 2, 5))
    assert same_bits(got, np.load(out))
