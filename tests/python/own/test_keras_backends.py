# SPDX-License-Identifier: Apache-2.0
"""fanin.keras on each of Keras's back ends. A process has one back end, so each case is a process of its own."""
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
if importlib.util.find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)


def run(program, backend, home):
    needed = "jax" if backend == "numpy" else backend  # Keras's NumPy back end takes functions from JAX
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed, which Keras's back end {backend} needs")
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3",
                   "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    program = pathlib.Path(__file__).with_name(program)
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", program],
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_backend(backend, tmp_path):
    run("keras_initializers.py", backend, tmp_path)


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_training(backend, tmp_path):
    run("keras_training.py", backend, tmp_path)
