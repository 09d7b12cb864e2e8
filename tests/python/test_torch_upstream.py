# SPDX-License-Identifier: Apache-2.0
"""PyTorch's own tests of torch.nn.init, from the file that FANIN_PYTORCH_TESTS names: pytorch/test/nn/test_init.py."""
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = os.environ.get("FANIN_PYTORCH_TESTS")
if not TESTS:
    pytest.skip("FANIN_PYTORCH_TESTS does not name PyTorch's test/nn/test_init.py", allow_module_level=True)
pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("expecttest", reason="PyTorch's tests need expecttest")
PROGRAM = pathlib.Path(__file__).with_name("pytorch_tests.py")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pytorchs_own(seed):
    run = subprocess.run([sys.executable, PROGRAM, TESTS, str(seed)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
