# SPDX-License-Identifier: Apache-2.0
"""Every Python block of the pages is a program that runs."""
import importlib.util
import os
import re
import subprocess
import sys

import pytest
from support import PROJECT

PAGES = ["README.md", "python/README.md", *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").rglob("*.md"))]
BLOCKS = [(page, number, text) for page in PAGES
          for number, text in enumerate(re.findall(r"^```python\n(.*?)^```", (PROJECT / page).read_text(), re.M | re.S))]
# The fewest blocks of these pages, so that a page or its blocks cannot get lost.
FEWEST = {"README.md": 2, "python/README.md": 1, "docs/python.md": 8, "docs/low-precision.md": 3, "docs/pytorch.md": 4,
          "docs/keyed.md": 4, "docs/keras.md": 4, "docs/jax.md": 3, "docs/tutorials/fsdp2.md": 1,
          "docs/tutorials/jax.md": 1, "docs/tutorials/keras.md": 1, "docs/how-to/verify.md": 1}
# Blocks of other languages: where each page's are compiled or run. Only shell commands are indented instead of fenced.
ELSEWHERE = {"README.md": "quickstart.cpp", "docs/how-to/thrust.md": "thrust_example.cu", "docs/how-to/c.md": "plan.c",
             "docs/model-spec.md": "schema_test.py", "docs/low-precision.md": "docs_code.py",
             "docs/trainers.md": "docs_code.py", "docs/many-processes.md": "docs_code.py",
             "docs/tutorials/trainer.md": "docs_code.py", "docs/how-to/graphs.md": "docs_code.py"}


def test_there_are_blocks():
    for page, fewest in FEWEST.items():
        assert sum(block[0] == page for block in BLOCKS) >= fewest, page


@pytest.mark.parametrize("page", PAGES)
def test_every_language_is_tested(page):
    languages = set(re.findall(r"^```(\w+)$", (PROJECT / page).read_text(), re.M)) - {"python"}
    assert not languages or page in ELSEWHERE, f"no test runs the {' and '.join(languages)} of {page}"
    assert not languages or ELSEWHERE[page] in (PROJECT / "tests" / "CMakeLists.txt").read_text()


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
