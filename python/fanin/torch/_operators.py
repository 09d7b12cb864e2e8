# SPDX-License-Identifier: Apache-2.0
"""fanin.torch's functions as operators of PyTorch, which torch.compile and torch.export put into their graphs as they are."""
from __future__ import annotations

import inspect
import typing
from collections.abc import Callable

import torch

# The names of the parameters' types in the language of operators' schemas. A generator is not among them: torch.compile
# does not take one as an argument.
_TYPES = {"Tensor": "Tensor(a!)", "float": "float", "int": "int", "str": "str"}

# torch.compile hands an operator's arguments on by name, to a function with a parameter of this name.
_RENAMED = {"mode": "fan_mode"}


def define(function: Callable[..., typing.Any], signature: inspect.Signature) -> Callable[..., None]:
    """Defines the operator torch.ops.fanin.NAME for a function that fills its first argument. Returns what calls it.

    It takes the function's arguments but for the generator, and returns nothing.
    """
    parameters = []
    for name, parameter in signature.parameters.items():
        if name == "generator":
            continue
        default = "" if parameter.default is parameter.empty else f"={_literal(parameter)}"
        parameters.append(f"{_TYPES[parameter.annotation]} {_RENAMED.get(name, name)}{default}")
    name = f"fanin::{function.__name__}"
    torch.library.define(name, f"({', '.join(parameters)}) -> ()")

    original = {renamed: given for given, renamed in _RENAMED.items()}

    def run(*args: typing.Any, **kwargs: typing.Any) -> None:
        function(*args, **{original.get(key, key): value for key, value in kwargs.items()})

    torch.library.impl(name, "CompositeExplicitAutograd", run)
    torch.library.register_fake(name, lambda *args, **kwargs: None)
    operator = getattr(torch.ops.fanin, function.__name__).default

    def call(*args: typing.Any, **kwargs: typing.Any) -> None:
        operator(*args, **{_RENAMED.get(key, key): value for key, value in kwargs.items()})

    return call


def _literal(parameter: inspect.Parameter) -> str:
    if parameter.annotation == "str":
        return f'"{parameter.default}"'
    return str(int(parameter.default) if parameter.annotation == "int" else float(parameter.default))
