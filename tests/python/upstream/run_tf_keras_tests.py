# SPDX-License-Identifier: Apache-2.0
"""Runs tf-keras's own tests of its initializers with fanin.keras's classes in their place:

    KERAS_BACKEND=tensorflow run_tf_keras_tests.py .../tf-keras/tf_keras/initializers/initializers_test.py

The file is not part of tf-keras's package. "tf_keras" before the path runs the tests on tf-keras's own classes, for comparison.
"""
import pathlib
import sys

import tf_keras

import fanin.keras

RANDOM = [name for name in fanin.keras.__all__
          if name[0].isupper() and getattr(fanin.keras, name).__module__ == "fanin.keras"]

if __name__ == "__main__":
    path, = (argument for argument in sys.argv[1:] if argument != "tf_keras")
    if "tf_keras" not in sys.argv:
        theirs = tf_keras.src.initializers
        theirs.populate_deserializable_objects()
        for name in RANDOM:
            ours = getattr(fanin.keras, name)
            for key, value in theirs.LOCAL.ALL_OBJECTS.items():  # what names and configurations mean
                if value is getattr(theirs, name + "V2"):
                    theirs.LOCAL.ALL_OBJECTS[key] = ours
            setattr(theirs, name + "V2", ours)
        print("replaced:", *RANDOM)
    sys.argv = [path]
    # The package holds the repository's modules one further down.
    exec(compile(pathlib.Path(path).read_text().replace("from tf_keras", "from tf_keras.src"), path, "exec"))
