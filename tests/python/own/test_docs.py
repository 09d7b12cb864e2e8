# SPDX-License-Identifier: Apache-2.0
"""Every Python block of the pages is a program that runs."""
import importlib.util
import os
import re
import subprocess
import sys

import pytest
from support import PROJECT

PAGES = ("docs/python.md", "docs/pytorch.md", "docs/keyed.md", "docs/keras.md", "docs/jax.md", "README.md")
BLOCKS = [(page, number, text) for page in PAGES
          for number, text in enumerate(re.findall(r"^```python\n(.*?)^```", (PROJECT / page).read_text(), re.M | re.S))]


def test_there_are_blocks():
    assert sum(page == "docs/python.md" for page, _, _ in BLOCKS) >= 8
    assert sum(page == "docs/pytorch.md" for page, _, _ in BLOCKS) >= 4
    assert sum(page == "docs/keyed.md" for page, _, _ in BLOCKS) >= 4
    assert sum(page == "docs/keras.md" for page, _, _ in BLOCKS) >= 4
    assert sum(page == "docs/jax.md" for page, _, _ in BLOCKS) >= 3
    assert any(page == "README.md" for page, _, _ in BLOCKS)


@pytest.mark.parametrize("page, number, text", BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS])
def test_block(page, number, text, tmp_path):
    modules = re.findall(r"^(?:import|from) (\w+)", text, re.M)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if "keras" in modules:  # an example that names no back end runs on PyTorch, which is the one that CI has
        modules += re.findall(r"""KERAS_BACKEND"] = "(\w+)""", text) or ["torch"]
        environment["KERAS_BACKEND"] = "torch"
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    file = tmp_path / "example.py"
    file.write_text(text)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
