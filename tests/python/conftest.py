# SPDX-License-Identifier: Apache-2.0
import os
import subprocess

import pytest
from support import DTYPES


def pytest_addoption(parser):
    parser.addoption("--program", help="path of the program fanin; default: the environment variable FANIN_PROGRAM")
    parser.addoption("--all-models", action="store_true", help="test all models of keyed_models.py, with four processes too")


@pytest.fixture(params=DTYPES)
def dtype(request):
    """The name of each element type."""
    return request.param


@pytest.fixture(scope="session")
def program(request):
    """A function that runs the program fanin with the given arguments."""
    path = request.config.getoption("--program") or os.environ.get("FANIN_PROGRAM")
    if not path:
        pytest.skip("no program to compare with: give --program or FANIN_PROGRAM")

    def run(*arguments):
        subprocess.run([path, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    return run
