# SPDX-License-Identifier: Apache-2.0
"""Fills weight buffers with the Keras initializers: one seed gives one set of weights, on every device.

    w = fanin.draw("he_normal", (512, 2048), seed=42, name="mlp.weight")   # a NumPy array
    fanin.fill(tensor, fanin.HeNormal(42), name="mlp.weight")              # in place: NumPy, PyTorch, CuPy, ...

A tensor's values follow from the seed, its name (or subsequence), its shape and the distribution, and from nothing else.
"""

from ._core import (
    Availability,
    Constant,
    Description,
    DeviceError,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Plan,
    RandomNormal,
    RandomUniform,
    Seed,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    __version__,
    available,
    constant,
    contract_version,
    describe,
    deserialize,
    draw,
    fill,
    get,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    identity,
    lecun_normal,
    lecun_uniform,
    ones,
    preload,
    random_normal,
    random_uniform,
    serialize,
    subsequence_of,
    truncated_normal,
    variance_scaling,
    zeros,
)

__all__ = [
    "Availability", "Constant", "Description", "DeviceError", "GlorotNormal", "GlorotUniform", "HeNormal",
    "HeUniform", "Identity", "Initializer", "LecunNormal", "LecunUniform", "Ones", "Plan", "RandomNormal",
    "RandomUniform", "Seed", "TruncatedNormal", "VarianceScaling", "Zeros", "__version__", "available", "constant",
    "contract_version", "describe", "deserialize", "draw", "fill", "get", "glorot_normal", "glorot_uniform",
    "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform", "ones", "preload", "random_normal",
    "random_uniform", "serialize", "subsequence_of", "truncated_normal", "variance_scaling", "zeros",
]

# The names under which people, and pickles, know the classes.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = "fanin"
del _name
