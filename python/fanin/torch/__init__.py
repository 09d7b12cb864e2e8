# SPDX-License-Identifier: Apache-2.0
"""The functions of torch.nn.init with fanin's values, and whole models filled from one seed, by rules or by their own code.

    fanin.torch.kaiming_normal_(layer.weight, nonlinearity="relu")  # the seed comes from PyTorch's generator
    fanin.torch.materialize_(model, 42)  # the model's own initialisation, equal for any sharding
    fanin.torch.init_model_(model, 42, {"*.bias": "zeros", "*": "he_normal"})  # each parameter's values follow from its name

The functions have the names, arguments, defaults, return values, warnings and errors of torch.nn.init. Each call takes a
64-bit seed from `generator`, by default from the default generator of the tensor's device. So torch.manual_seed makes the
values reproducible, and every call draws other values. docs/pytorch.md and docs/keyed.md have examples.
"""

from torch.nn.init import calculate_gain, constant, constant_, ones_, zeros_

from . import _functions
from ._functions import *  # noqa: F403
from ._keyed import keyed
from ._materialize import materialize_
from ._model import init_model_
from ._spec import spec_of

__all__ = ["calculate_gain", "constant", "constant_", "init_model_", "keyed", "materialize_", "ones_", "spec_of", "zeros_"]
__all__ += _functions.__all__
