# SPDX-License-Identifier: Apache-2.0
"""The frameworks' own tests of their initializers, run on fanin's.

Keras's package contains its tests. The other frameworks' packages do not, so environment variables name the files:

    FANIN_PYTORCH_TESTS     pytorch/test/nn/test_init.py
    FANIN_JAX_TESTS         jax/tests/nn_test.py
    FANIN_TF_KERAS_TESTS    tf-keras/tf_keras/initializers/initializers_test.py
"""
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
NO_TESTS = 77  # exit status of run_keras_tests.py


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def file_of(variable):
    if variable not in os.environ:
        pytest.skip(f"{variable} does not name the file of tests")
    return os.environ[variable]


def run(program, *arguments, **environment):
    done = subprocess.run([sys.executable, HERE / program, *arguments], env={**os.environ, **environment},
                          capture_output=True, text=True)
    if done.returncode == NO_TESTS:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_pytorch(seed):
    tests = file_of("FANIN_PYTORCH_TESTS")
    needs("torch", "expecttest")
    run("run_pytorch_tests.py", tests, seed)


@pytest.mark.parametrize("bits", ["0", "1"])
def test_jax(bits):
    tests = file_of("FANIN_JAX_TESTS")
    needs("jax", "absl")
    run("run_jax_tests.py", tests, JAX_PLATFORMS="cpu", JAX_ENABLE_X64=bits)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_keras(backend, tmp_path):
    needs("keras", "ml_dtypes", "jax" if backend == "numpy" else backend)  # the NumPy back end uses functions of JAX
    run("run_keras_tests.py", KERAS_BACKEND=backend, KERAS_HOME=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="3")


def test_tf_keras():
    tests = file_of("FANIN_TF_KERAS_TESTS")
    needs("tf_keras", "keras", "ml_dtypes")
    run("run_tf_keras_tests.py", tests, KERAS_BACKEND="tensorflow")
