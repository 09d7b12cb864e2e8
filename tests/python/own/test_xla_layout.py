# SPDX-License-Identifier: Apache-2.0
"""The declarations of XLA's foreign function interface in python/src/xla_ffi.h, against the header that jaxlib contains."""
import importlib.util
import pathlib
import shutil
import subprocess

import pytest
from support import PROJECT


def test_layout():
    jaxlib = importlib.util.find_spec("jaxlib")
    if jaxlib is None:
        pytest.skip("jaxlib is not installed, which contains XLA's header")
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler to compare the headers with")
    theirs = pathlib.Path(jaxlib.origin).parent / "include"
    assert (theirs / "xla" / "ffi" / "api" / "c_api.h").exists()
    done = subprocess.run([compiler, "-std=c++17", "-fsyntax-only", "-I", PROJECT / "python" / "src", "-I", theirs,
                           pathlib.Path(__file__).with_name("xla_layout.cpp")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
