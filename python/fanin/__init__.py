# SPDX-License-Identifier: Apache-2.0
"""Fills weight buffers with the Keras initializers: one seed gives one set of weights, on every device.

    w = fanin.draw("he_normal", (512, 2048), seed=42, name="mlp.weight")   # a new NumPy array
    fanin.fill(tensor, fanin.HeNormal(42), name="mlp.weight")              # in place: NumPy, PyTorch, CuPy and others

The seed, the name (or subsequence), the shape and the distribution determine a tensor's values, and nothing else does.
"""

from . import _core
from ._core import *  # noqa: F403
from ._core import __version__ as __version__
from ._signatures import add_signatures

__all__ = [name for name in dir(_core) if not name.startswith("_")] + ["__version__"]

for _class in vars(_core).values():  # pickles have the public names of the classes
    if isinstance(_class, type):
        _class.__module__ = "fanin"
del _class
add_signatures(globals())
del add_signatures
