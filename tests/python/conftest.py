# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess

import numpy as np
import pytest

TESTS = pathlib.Path(__file__).parent.parent
DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def pytest_addoption(parser):
    parser.addoption("--program", help="the program fanin; default: the environment variable FANIN_PROGRAM")


def numpy_dtype(name):
    """NumPy's dtype of that name; skips the test if it needs ml_dtypes and there is none."""
    if name.startswith(("bfloat16", "float8")):
        return np.dtype(getattr(pytest.importorskip("ml_dtypes"), name))
    return np.dtype(name)


def same_bits(a, b):
    """Whether two arrays have the same shape, element size and bytes."""
    return a.shape == b.shape and a.itemsize == b.itemsize and a.tobytes() == b.tobytes()


@pytest.fixture(params=DTYPES)
def dtype(request):
    """Each element type's name."""
    return request.param


@pytest.fixture(scope="session")
def program(request):
    """Runs the program fanin with the given arguments."""
    path = request.config.getoption("--program") or os.environ.get("FANIN_PROGRAM")
    if not path:
        pytest.skip("no program to compare with: give --program or FANIN_PROGRAM")

    def run(*arguments):
        subprocess.run([path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    return run
