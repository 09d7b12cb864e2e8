# SPDX-License-Identifier: Apache-2.0
"""Runs JAX's own tests of jax.nn.initializers with fanin's functions in its place:

    run_jax_tests.py .../jax/tests/nn_test.py [TEST ...]

The file is not part of JAX's packages. Without names the tests are NNInitializersTest; of other files, those that use
initializers are ShardingInTypesTest.test_he_normal and test_nn_uniform in pjit_test.py. They need absl-py and SciPy.
"jax" before the path runs them on JAX's own functions, for comparison.
"""
import os
import runpy
import sys

os.environ.setdefault("JAX_NUM_GENERATED_CASES", "1000")  # all cases of a test, not a sample of ten

import jax

import fanin.jax

REPLACED = [name for name in fanin.jax.__all__ if name != "Initializer" and hasattr(jax.nn.initializers, name)]

if __name__ == "__main__":
    path, *tests = [argument for argument in sys.argv[1:] if argument != "jax"]
    if "jax" not in sys.argv:
        for name in REPLACED:
            setattr(jax.nn.initializers, name, getattr(fanin.jax, name))
        print("replaced:", *REPLACED)
    sys.argv = [path, *(tests or ["NNInitializersTest"])]
    runpy.run_path(path, run_name="__main__")
