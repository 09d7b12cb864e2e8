# SPDX-License-Identifier: Apache-2.0
"""Runs Keras's own tests of the random initializers, which its package holds, with fanin's classes in place of its own:

    KERAS_BACKEND=jax keras_tests.py

"keras" as an argument runs them on Keras's own classes, for comparison.
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

TESTS = pathlib.Path(initializers.__file__).with_name("random_initializers_test.py")
REPLACED = [name for name in fanin.keras.__all__ if name[0].isupper() and hasattr(initializers, name)]


def skip_if_backend(name, reason):
    """What the tests need of the conftest.py in Keras's repository, which is not part of the package."""
    return unittest.skipIf(keras.backend.backend() == name, reason)


def run(on_fanin=True):
    """The result, as unittest has it, or None if this Keras comes without its tests."""
    if not TESTS.exists():
        return None
    spec = importlib.util.spec_from_file_location("keras_random_initializers_test", TESTS)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"conftest": types.SimpleNamespace(skip_if_backend=skip_if_backend)}):
        spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if not on_fanin:
        return unittest.TextTestRunner().run(suite)
    ours = {name: getattr(fanin.keras, name) for name in REPLACED}
    with fanin.keras.installed(), mock.patch.multiple(initializers, **ours):  # names, and what the tests call
        return unittest.TextTestRunner().run(suite)


if __name__ == "__main__":
    result = run(on_fanin=sys.argv[1:] != ["keras"])
    print("this Keras comes without its tests" if result is None else f"{result.testsRun} tests; replaced: {REPLACED}")
    sys.exit(result is not None and not result.wasSuccessful())
