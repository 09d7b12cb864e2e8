# SPDX-License-Identifier: Apache-2.0
"""Runs Keras's own tests of the random initializers, which its package holds, with fanin's classes in place of its own:

    KERAS_BACKEND=jax keras_tests.py [arguments of pytest]

"keras" as the first argument runs them on Keras's own classes, for comparison.
"""
import pathlib
import sys
import types

import keras
import pytest
from keras.src import initializers

import fanin.keras


def skip_if_backend(name, reason):
    """What the tests need of the conftest.py in Keras's repository, which is not part of the package."""
    return pytest.mark.skipif(keras.backend.backend() == name, reason=reason)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["keras"]:
        del arguments[0]
    else:
        fanin.keras.install()  # for names
        replaced = [name for name in fanin.keras.__all__ if name[0].isupper() and hasattr(initializers, name)]
        for name in replaced:
            setattr(initializers, name, getattr(fanin.keras, name))
        print("replaced:", *replaced)
    sys.modules["conftest"] = types.SimpleNamespace(skip_if_backend=skip_if_backend)
    tests = pathlib.Path(initializers.__file__).with_name("random_initializers_test.py")
    sys.exit(pytest.main(["-p", "no:cacheprovider", "--import-mode=importlib", "--noconftest", "-q", str(tests), *arguments]))
