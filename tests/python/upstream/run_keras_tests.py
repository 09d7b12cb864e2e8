# SPDX-License-Identifier: Apache-2.0
"""Runs Keras's own tests of its initializers, which its package contains, on fanin's classes:

    KERAS_BACKEND=jax run_keras_tests.py

With the argument "keras" they run on Keras's own classes, for comparison. The exit status is 77 if Keras comes without tests.
"""
import importlib.util
import pathlib
import sys
import types
import unittest
from unittest import mock

import keras
from keras.src import initializers

import fanin.keras

TESTS = [pathlib.Path(initializers.__file__).with_name(f"{kind}_initializers_test.py") for kind in ("random", "constant")]
REPLACED = [name for name in fanin.keras.__all__ if name[0].isupper() and hasattr(initializers, name)]


def skip_if_backend(name, reason):
    """Stands for the function in conftest.py of Keras's repository, which is not part of the package."""
    return unittest.skipIf(keras.backend.backend() == name, reason)


def suite():
    tests = unittest.TestSuite()
    for path in TESTS:
        spec = importlib.util.spec_from_file_location(f"keras_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        with mock.patch.dict(sys.modules, {"conftest": types.SimpleNamespace(skip_if_backend=skip_if_backend)}):
            spec.loader.exec_module(module)
        tests.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    return tests


if __name__ == "__main__":
    if not all(path.exists() for path in TESTS):
        print("this Keras comes without its tests")
        sys.exit(77)
    if sys.argv[1:] == ["keras"]:
        result = unittest.TextTestRunner().run(suite())
    else:
        ours = {name: getattr(fanin.keras, name) for name in REPLACED}
        tests = suite()
        with fanin.keras.installed(), mock.patch.multiple(initializers, **ours):  # identifiers, and the classes the tests call
            result = unittest.TextTestRunner().run(tests)
        print("replaced:", *REPLACED)
    sys.exit(result.testsRun < 10 or not result.wasSuccessful())
