# SPDX-License-Identifier: Apache-2.0
"""What nanobind's functions and classes do not have: signatures for inspect.signature, help and editors, and messages that say
which argument is wrong."""
from __future__ import annotations

import functools
import operator
import re
import types
from collections.abc import Callable
from typing import Any

from . import _core

FUNCTION: Any = type(_core.fill)
METHOD: Any = type(_core.Plan.add)
CLASS: Any = type(_core.Plan)


# ": dict[str, list[str]] | None", up to the default or the next parameter.
ANNOTATION = re.compile(r": ((?:[^][,=)]|\[(?:[^][]|\[[^][]*\])*\])+)")

Said = tuple[str, str, tuple]  # __nb_signature__[0] of a function of nanobind: the line of its stub, its text, and the defaults


def text_signature(said: Said) -> str:
    """ "(array, init, *, seed= None)": the signature of a function of nanobind in the form that builtins' texts have."""
    line, _, defaults = said
    text = ANNOTATION.sub("", line[line.index("("):line.rindex(") ->") + 1])
    return re.sub(r"\\(\d+)", lambda number: repr(defaults[int(number[1])]), text)


def builtin(function: Any) -> Any:
    """The function as a builtin of Python, which has a signature."""
    name, said = function.__name__, function.__nb_signature__[0]
    text = f"{name}{text_signature(said)}\n--\n\n{function.__doc__ or ''}"
    return _core._builtin(function, name, text, functools.partial(explanation, name, said))


def _number(value: Any) -> None:
    float(value + 0.0)  # not of text


def _text(value: str) -> None:
    value.encode()


# What the types in annotations are called, and a function that raises for values of other types.
KINDS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "int": ("an integer", operator.index), "float": ("a number", _number), "str": ("a string", _text),
    "bool": ("True or False", {True: 1, False: 0}.__getitem__), "dict": ("a dictionary", dict.keys),
    "ModelTensor": ("a fanin.ModelTensor", lambda value: value.__class__.ties),
    "Initializer": ("a fanin.Initializer", lambda value: value.__class__.get_config),
    "Sequence": ("a sequence of integers", id), "ArrayLike": ("an array", id), "InitializerLike": ("an initializer", id)}


def explanation(name: str, said: Said, /, *arguments: object, **keywords: object) -> str:
    """The message for arguments that a function of nanobind has refused, of which its own only gives the types."""
    import difflib
    import inspect
    import reprlib

    never_called: Any = _core._builtin(None, "f", f"f{text_signature(said)}\n--\n\n", None)
    signature = inspect.signature(never_called)
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    for keyword in keywords:
        if keyword not in known:
            near = difflib.get_close_matches(keyword, known, 1)
            return (f"{name}() has no argument {keyword!r}. " + (f"Did you mean {near[0]!r}? " if near else "")
                    + f"It has: {', '.join(known) or 'none'}")
    try:
        bound = signature.bind(*arguments, **keywords).arguments
    except TypeError as error:
        return f"{name}(): {error}. Its arguments are: {', '.join(known) or 'none'}"
    annotations = {argument: annotation.strip() for argument, annotation in re.findall(r"(\w+)" + ANNOTATION.pattern, said[0])}
    for argument in known:
        if argument not in bound:
            continue
        annotation, value = annotations.get(argument, "object"), bound[argument]
        kinds = [KINDS.get(one.split("[")[0], ("", id)) for one in annotation.split(" | ") if one != "None"]
        words = " or ".join(word for word, _ in kinds if word)
        received = f"Received: {argument}={reprlib.repr(value)}, of type {type(value).__name__}"
        if value is None and "None" not in annotation and signature.parameters[argument].default is not None:
            return f"{name}() needs {argument}{words and ', '}{words}. Received: {argument}=None"
        if value is not None and not any(_fits(value, check) for _, check in kinds):
            unicode = " that UTF-8 can encode" if isinstance(value, str) and "a string" in words else ""
            return f"{argument} must be {words}{unicode}. {received}"
    converted = ", ".join(f"{argument}={reprlib.repr(bound[argument])}" for argument in known if argument in bound
                          and re.match(r"(int|float|str|bool|dict)\b", annotations.get(argument, "object")))
    return f"{name}() has an argument that is out of range or of a wrong type. Received: {converted}"


def _fits(value: object, check: Callable[[Any], object]) -> bool:
    try:
        check(value)
    except Exception:
        return False
    return True


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
                if key in ("__init__", "__call__") and isinstance(member, METHOD):
                    said = member.__nb_signature__[0]
                    shown = value.__name__ + ("" if key == "__init__" else ".__call__")
                    _core._explain_method(value, key, functools.partial(explanation, shown, said))
                elif key.startswith("_"):
                    continue
                elif isinstance(member, METHOD):
                    setattr(value, key, Method(member))
                elif isinstance(member, FUNCTION):
                    setattr(value, key, staticmethod(builtin(member)))
            value.__signature__ = Signature()
