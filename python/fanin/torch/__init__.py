# SPDX-License-Identifier: Apache-2.0
"""The functions of torch.nn.init with fanin's values, and whole models filled from one seed.

    fanin.torch.kaiming_normal_(layer.weight, nonlinearity="relu")  # as torch.nn.init's, from PyTorch's generators
    fanin.torch.init_model_(model, 42, {"*.bias": "zeros", "*": "he_normal"})  # every parameter keyed by its name

The functions have the names, arguments, defaults, return values, warnings and errors of torch.nn.init. What is drawn
follows from one 64-bit seed, which is taken from `generator`, or without one from the default generator of the tensor's
device, so that torch.manual_seed is obeyed and every call differs from the one before. docs/pytorch.md has examples.
"""

from ._functions import (
    calculate_gain,
    constant,
    constant_,
    dirac,
    dirac_,
    eye,
    eye_,
    kaiming_normal,
    kaiming_normal_,
    kaiming_uniform,
    kaiming_uniform_,
    normal,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform,
    uniform_,
    xavier_normal,
    xavier_normal_,
    xavier_uniform,
    xavier_uniform_,
    zeros_,
)
from ._model import init_model_

__all__ = [
    "calculate_gain", "constant", "constant_", "dirac", "dirac_", "eye", "eye_", "init_model_",
    "kaiming_normal", "kaiming_normal_", "kaiming_uniform", "kaiming_uniform_", "normal", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform", "uniform_", "xavier_normal", "xavier_normal_",
    "xavier_uniform", "xavier_uniform_", "zeros_",
]
