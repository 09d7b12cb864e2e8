# SPDX-License-Identifier: Apache-2.0
"""Signatures for inspect.signature, help and editors, which nanobind's functions and classes do not have."""
from __future__ import annotations

import re
import types
from typing import Any

from . import _core

FUNCTION: Any = type(_core.fill)
METHOD: Any = type(_core.Plan.add)
CLASS: Any = type(_core.Plan)


# ": dict[str, list[str]] | None", up to the default or the next parameter.
ANNOTATION = re.compile(r": (?:[^][,=)]|\[(?:[^][]|\[[^][]*\])*\])+")


def text_signature(function: Any) -> str:
    """ "(array, init, *, seed= None)": the signature of a function of nanobind in the form that builtins' texts have."""
    line, _, defaults = function.__nb_signature__[0]
    text = ANNOTATION.sub("", line[line.index("("):line.rindex(") ->") + 1])
    return re.sub(r"\\(\d+)", lambda number: repr(defaults[int(number[1])]), text)


def builtin(function: Any) -> Any:
    """The function as a builtin of Python, which has a signature."""
    name = function.__name__
    return _core._builtin(function, name, f"{name}{text_signature(function)}\n--\n\n{function.__doc__ or ''}")


class Method:
    """A method of a class: a builtin that an object binds."""

    def __init__(self, function: Any):
        self.function = builtin(function)

    def __get__(self, instance: object, owner: type) -> Any:
        return self.function if instance is None else types.MethodType(self.function, instance)


class Signature:
    """__signature__ of a class and of its objects, where their __init__ and __call__ are nanobind's."""

    def __get__(self, instance: object, owner: type) -> Any:
        called = getattr(owner, "__init__" if instance is None else "__call__", None)
        if not isinstance(called, METHOD):
            raise AttributeError("__signature__")
        import inspect

        whole = inspect.signature(builtin(called))
        return whole.replace(parameters=list(whole.parameters.values())[1:])


def add_signatures(members: dict[str, Any]) -> None:
    """Gives the public functions and classes of a module's namespace their signatures."""
    for name, value in list(members.items()):
        if isinstance(value, FUNCTION):
            members[name] = builtin(value)
        elif isinstance(value, CLASS) and "__signature__" not in vars(value):  # an alias has had its turn
            for key, member in list(vars(value).items()):
                if key.startswith("_"):
                    continue
                if isinstance(member, METHOD):
                    setattr(value, key, Method(member))
                elif isinstance(member, FUNCTION):
                    setattr(value, key, staticmethod(builtin(member)))
            value.__signature__ = Signature()
