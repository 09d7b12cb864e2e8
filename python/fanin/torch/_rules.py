# SPDX-License-Identifier: Apache-2.0
"""Which rule each parameter of a module takes. The reader of specifications decides, so that it is the rule of `fanin model`."""
from __future__ import annotations

import functools
import inspect
import json
import math
import os
import re
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch.nn import Module

from .. import _core
from .._patterns import pattern_of
from . import _functions
from ._fill import DTYPES

KEEP = "keep"
SOURCE = "the rules"


class Slot(typing.NamedTuple):
    """A parameter or buffer, the module and key that hold it, and its name without the names of wrappers."""

    name: str
    owner: Module
    key: str
    tensor: torch.Tensor


class Rule(typing.NamedTuple):
    pattern: object  # as it was given
    keys: dict[str, typing.Any]  # of the specification's rule, but for the initializer
    given: typing.Any  # the initializer, or a function of torch.nn.init, or KEEP


class Drawn(typing.NamedTuple):
    """A parameter and its values."""

    slot: Slot
    values: _core.ModelTensor


Values = dict[str, _core.ModelTensor]  # by the parameter's name; parameters that the rules leave alone are not in it


def named(error: Exception, slot: Slot) -> Exception:
    return type(error)(f"Parameter {slot.name!r}: {error}")


def choose(slots: list[Slot], ties: Mapping[str, Sequence[str]], rules: typing.Any, seed: _core.Seed | None) -> list[Drawn]:
    """The parameters that the rules do not leave alone, with their values.

    ties    the other names of each parameter, by its name
    seed    None for a specification that has been read with one

    Raises ValueError and TypeError. Warns of rules that no parameter takes.
    """
    if isinstance(rules, _core.ModelSpec) or _is_specification(rules):
        values = _by_specification(slots, ties, rules, seed)
    elif callable(rules):
        values = _by_function(slots, rules, typing.cast(_core.Seed, seed))
    else:
        values = _by_rules(slots, [_rule(pattern, given) for pattern, given in _pairs(rules)], typing.cast(_core.Seed, seed))
    return [Drawn(slot, values[slot.name]) for slot in slots if slot.name in values]


# ------------------------------------------------------------------ specifications


def _is_specification(rules: typing.Any) -> bool:
    if isinstance(rules, os.PathLike) or isinstance(rules, str) and rules.endswith(".json"):
        return True
    return isinstance(rules, Mapping) and isinstance(rules.get("tensors"), Mapping) and "rules" in rules


def _by_specification(slots: list[Slot], ties: Mapping[str, Sequence[str]], spec: typing.Any, seed: _core.Seed | None) -> Values:
    if not isinstance(spec, _core.ModelSpec):
        source = SOURCE
        if not isinstance(spec, Mapping):
            source = os.fspath(spec)
            with open(source, encoding="utf-8") as file:
                spec = file.read()
        spec = _core.parse_model_spec(spec, seed, source=source, classes={slot.name: _classes(slot.owner) for slot in slots})
    elif seed is not None and _core.Seed(spec.seed) != seed:
        raise ValueError(f"The specification was read with the seed {spec.seed}. Give init_model_ this seed or None. Received: "
                         f"seed={seed!r}")
    by_name = {name: tensor for tensor in spec.tensors for name in (tensor.name, *tensor.ties)}
    chosen = {}
    for slot in slots:
        values = next((by_name[name] for name in (slot.name, *ties.get(slot.name, ())) if name in by_name), None)
        if values is None:
            raise ValueError(f"The specification {spec.name} has no tensor {slot.name!r}, which the module has as a parameter of "
                             f"shape {tuple(slot.tensor.shape)}")
        if not torch.nn.parameter.is_lazy(slot.tensor) and values.shape != tuple(slot.tensor.shape):
            raise ValueError(f"Parameter {slot.name!r} has the shape {tuple(slot.tensor.shape)}, but {values.shape} in the "
                             f"specification {spec.name}")
        if values._is_loaded and values.dtype != DTYPES.get(slot.tensor.dtype):
            raise ValueError(f"Parameter {slot.name!r} is of {slot.tensor.dtype}, but its values are loaded and are of "
                             f"{values.dtype}; loaded values are not converted")
        chosen[slot.name] = values
    return chosen


# ------------------------------------------------------------------ rules


def _by_rules(slots: list[Slot], rules: list[Rule], seed: _core.Seed) -> Values:
    classes = {slot.name: _classes(slot.owner) for slot in slots}
    entries = []
    for number, rule in enumerate(rules):
        entry = dict(rule.keys)
        if isinstance(rule.pattern, re.Pattern):  # the reader has none: a class of its own says which names match
            of_class = pattern_of(entry.pop("class", "*"))
            entry["class"] = f"#{number}"
            for slot in slots:
                if rule.pattern.fullmatch(slot.name) and any(of_class.fullmatch(name) for name in [*classes[slot.name], ""]):
                    classes[slot.name].append(entry["class"])
        if "load" not in entry:
            entry["initializer"] = "zeros" if rule.given == KEEP or callable(rule.given) else rule.given
        entries.append(entry)
    tensors = _read(slots, classes, [*entries, {"match": "*", "initializer": "zeros"}], seed)
    numbers = [tensor._rules[0] for tensor in tensors]
    for slot, number in zip(slots, numbers):
        if number == len(rules):
            raise ValueError(f"No rule matches the parameter {slot.name!r} of shape {tuple(_shape_of(slot))}")
    for number, rule in enumerate(rules):
        if number not in numbers:
            warnings.warn(f"No parameter takes the rule for {rule.pattern!r}", stacklevel=4)
    _warn_of_fans((slot, rules[number]) for slot, number in zip(slots, numbers) if not callable(rules[number].given))
    given = {slot.name: rules[number].given for slot, number in zip(slots, numbers)}
    chosen = {slot.name: tensor for slot, tensor in zip(slots, tensors) if given[slot.name] != KEEP}
    functions = {name: function for name, function in given.items() if callable(function)}
    if functions:
        chosen.update(_by_function(slots, lambda name, tensor, owner: functions.get(name), seed))
    return chosen


def _by_function(slots: list[Slot], function: Callable, seed: _core.Seed) -> Values:
    """Rules that are a function of each parameter. Equal rules are one for the reader, and a class says who takes it."""
    classes: dict[str, list[str]] = {}
    numbers: dict[str, int] = {}  # of the rules, by their text
    chosen = []
    for slot in slots:
        given = function(slot.name, slot.tensor, slot.owner)
        try:
            rule = _rule("*", KEEP if given is None else given)
            if rule.given == KEEP:
                continue
            initializer = _of_parameter(rule.given, slot) if callable(rule.given) else rule.given
            entry = rule.keys if "load" in rule.keys else {**rule.keys, "initializer": initializer}
            text = json.dumps(entry, sort_keys=True, default=_plain)
        except (ValueError, TypeError) as error:
            raise named(error, slot) from error
        chosen.append((slot, rule))
        classes[slot.name] = [*_classes(slot.owner), f"#{numbers.setdefault(text, len(numbers))}"]
    _warn_of_fans(chosen)
    entries = []
    for text, number in numbers.items():
        entry = json.loads(text)
        del entry["match"]
        if "class" in entry:
            raise ValueError("What a function returns is for one parameter and has no class. Received: " + text)
        entries.append({**entry, "class": f"#{number}"})
    tensors = _read(slots, classes, [*entries, {"match": "*", "initializer": "zeros"}], seed)
    return {slot.name: tensor for slot, tensor in zip(slots, tensors) if slot.name in classes}


def _plain(value: typing.Any) -> typing.Any:
    """A number or array of NumPy, PyTorch or another library as Python's numbers."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"A configuration has numbers, texts, lists and dictionaries. Received: {value!r}")


def _read(slots: list[Slot], classes: dict[str, list[str]], rules: list[dict], seed: _core.Seed) -> list[_core.ModelTensor]:
    # Parameters that cannot be filled may be left alone.
    tensors = {slot.name: {"shape": _shape_of(slot), "dtype": DTYPES.get(slot.tensor.dtype, "float32")} for slot in slots}
    spec: dict[str, object] = {"layout": "OI", "tensors": tensors, "rules": rules}
    return _core.parse_model_spec(spec, seed, source=SOURCE, classes=classes).tensors


def _shape_of(slot: Slot) -> list[int]:
    has_shape = not torch.nn.parameter.is_lazy(slot.tensor) and not slot.tensor.is_nested
    return list(slot.tensor.shape) if has_shape else []


# A rule with one of these says which axes are inputs and outputs.
FANS = {"layout", "input_axes", "output_axes", "batch_axes", "groups", "transposed", "fan_in", "fan_out", "fan_of"}


def _warn_of_fans(chosen: Iterable[tuple[Slot, Rule]]) -> None:
    """Names the parameters whose scale follows from fans that PyTorch's layout gives, and whose layout may be another."""
    doubtful = [f"{slot.name!r} of shape {tuple(slot.tensor.shape)}, in a {type(slot.owner).__name__}" for slot, rule in chosen
                if _shape_of(slot) and _has_own_layout(slot) and not FANS & set(rule.keys) and _follows_from_fans(rule.given)]
    if doubtful:
        warnings.warn("The scale of these parameters follows from fans that are read as (out, in, ...), PyTorch's layout for "
                      f"Linear and Conv, which may not be theirs: {'; '.join(doubtful[:5])}{'; ...' if len(doubtful) > 5 else ''}. "
                      'Say in the rule what it is: "layout": "OI" or "IO", or "input_axes" and "output_axes"', stacklevel=5)


def _has_own_layout(slot: Slot) -> bool:
    if _is_conv1d(slot.owner):
        return True
    if "/" in slot.key and "kernel" in slot.key:  # Keras's on PyTorch, (..., in, out)
        return slot.tensor.dim() >= 2
    return slot.tensor.dim() >= 3 and not isinstance(slot.owner, (torch.nn.modules.conv._ConvNd, torch.nn.Bilinear))


def _is_conv1d(owner: Module) -> bool:
    """Whether it is transformers' Conv1D, whose weight is (in, out)."""
    return any(base.__name__ == "Conv1D" and base.__module__.startswith("transformers.") for base in type(owner).__mro__)


def _follows_from_fans(given: typing.Any) -> bool:
    if callable(given):
        return (_function_name(given) or "").startswith(("kaiming", "xavier"))
    try:
        small, large = (_core.describe(given, shape, "oihw") for shape in ((2, 3), (4, 6)))
    except (ValueError, TypeError):  # with formulas, or for other ranks
        return False
    return small.distribution in ("uniform", "normal", "truncated_normal") and small.stddev != large.stddev


def _classes(owner: Module) -> list[str]:
    """The names of a module's classes, alone and with their modules."""
    own = [base for base in type(owner).__mro__ if issubclass(base, Module) and base is not Module]
    return [name for base in own for name in (base.__name__, f"{base.__module__}.{base.__qualname__}")]


def _pairs(rules: typing.Any) -> Iterable[tuple]:
    if isinstance(rules, Mapping):
        return rules.items()
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise TypeError("The rules are a dictionary from patterns to initializers, a list of pairs or of rules, a function, a "
                        f"specification or the path of its file. Received: {rules!r}")
    pairs = []
    for rule in rules:
        if isinstance(rule, Mapping):
            if not {"match", "class"} & set(rule) or ("initializer" in rule) == ("load" in rule):
                raise ValueError('A rule has the keys "match" or "class", and "initializer" or "load". Received: '
                                 f"{dict(rule)!r}")
            rule = (rule.get("match", "*"), rule)
        if not isinstance(rule, (tuple, list)) or len(rule) != 2:
            raise TypeError(f"A rule is a pattern and an initializer. Received: {rule!r}")
        pairs.append(tuple(rule))
    return pairs


def _rule(pattern: object, given: typing.Any) -> Rule:
    pattern_of(pattern)
    keys: dict[str, typing.Any] = {} if isinstance(pattern, re.Pattern) else {"match": pattern}
    if isinstance(given, Mapping) and ("initializer" in given or "load" in given):
        if "dtype" in given:
            raise ValueError("A parameter has a dtype already, which a rule cannot change: leave out its \"dtype\". Received: "
                             f"{dict(given)!r}")
        keys = {**{key: value for key, value in given.items() if key not in ("match", "initializer")}, **keys}
        if "load" in given:
            return Rule(pattern, keys, None)
        given = given["initializer"]
    made = _initializer(given)
    if callable(made) and set(keys) - {"match", "class", "shape", "rank"}:
        raise ValueError("The fans of torch.nn.init's functions are PyTorch's. With fans or a layout of its own a rule takes an "
                         f"initializer, such as fanin.VarianceScaling. Received: {keys!r}")
    return Rule(pattern, keys, made)


def _initializer(given: typing.Any) -> typing.Any:
    """A specification's initializer, KEEP, or a function of a parameter."""
    if given is _of_bias or isinstance(given, str) and given == "torch_bias":
        return _of_bias
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return dict(given)
    if _function_name(given):
        return given
    if given is None:
        raise TypeError("A rule gives an initializer: a fanin.Initializer, a name or a configuration. Received: None, which only a "
                        "function returns, to leave a parameter alone. In other rules that is \"keep\"")
    if callable(given) and not hasattr(given, "get_config") and not isinstance(given, type):
        raise TypeError("A rule's function is one of torch.nn.init or fanin.torch, or a functools.partial of one. Received: "
                        f"{given!r}")
    initializer = typing.cast(_core.Initializer, _core.get(given))
    if initializer.seed_kind == "sequence":
        raise ValueError(f"With a sequence of seeds the values would depend on the order of the parameters. Received: "
                         f"{initializer!r}")
    return _core.serialize(initializer)


# ------------------------------------------------------------------ functions of torch.nn.init


def _function_name(given: typing.Any) -> str | None:
    """The name of a function of torch.nn.init or fanin.torch, which may have arguments by functools.partial."""
    function = given.func if isinstance(given, functools.partial) else given
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", None)
    return name if module in ("torch.nn.init", _functions.__name__) and isinstance(name, str) else None


def _of_parameter(function: typing.Any, slot: Slot) -> dict:
    """The configuration of the initializer that draws what the function would draw for the parameter."""
    if function is _of_bias:
        return _of_bias(slot)
    name = _function_name(function)
    if name not in _CONFIGS:
        raise ValueError(f"torch.nn.init.{name} is no rule. The functions that are: {', '.join(_CONFIGS)}")
    plain, arguments, options = function, (), {}
    if isinstance(function, functools.partial):
        plain, arguments, options = function.func, function.args, function.keywords
    bound = inspect.signature(plain).bind(slot.tensor, *arguments, **options)
    bound.apply_defaults()
    bound.arguments.pop("tensor")
    if bound.arguments.pop("generator", None) is not None:
        raise ValueError(f"The model's seed is that of each rule. Received: {name} with a generator")
    return _CONFIGS[name](slot.tensor, **bound.arguments)


def _config(class_name: str, **config: typing.Any) -> dict:
    return {"class_name": class_name, "config": config}


def _uniform(tensor: torch.Tensor, a: float, b: float) -> dict:
    return _config("RandomUniform", minval=float(a), maxval=float(b))


def _normal(tensor: torch.Tensor, mean: float, std: float) -> dict:
    return _config("RandomNormal", mean=float(mean), stddev=float(std))


def _truncated_normal(tensor: torch.Tensor, mean: float, std: float, a: float, b: float) -> dict:
    return _config("torch:trunc_normal", mean=float(mean), std=float(std), a=float(a), b=float(b))


def _xavier_uniform(tensor: torch.Tensor, gain: float) -> dict:
    bound = math.sqrt(3.0) * _functions._xavier_std(tensor, gain)
    return _uniform(tensor, -bound, bound)


def _kaiming_uniform(tensor: torch.Tensor, a: float, mode: str, nonlinearity: str) -> dict:
    bound = math.sqrt(3.0) * _functions._kaiming_std(tensor, a, mode, nonlinearity)
    return _uniform(tensor, -bound, bound)


_CONFIGS: dict[str, Callable[..., dict]] = {
    "uniform_": _uniform,
    "normal_": _normal,
    "trunc_normal_": _truncated_normal,
    "constant_": lambda tensor, val: _config("Constant", value=float(val)),
    "ones_": lambda tensor: _config("Ones"),
    "zeros_": lambda tensor: _config("Zeros"),
    "eye_": lambda tensor: _config("Identity"),
    "dirac_": lambda tensor, groups: _config("Dirac", groups=groups),
    "sparse_": lambda tensor, sparsity, std: _config("Sparse", sparsity=float(sparsity), stddev=float(std)),
    "xavier_uniform_": _xavier_uniform,
    "xavier_normal_": lambda tensor, gain: _normal(tensor, 0, _functions._xavier_std(tensor, gain)),
    "kaiming_uniform_": _kaiming_uniform,
    "kaiming_normal_": lambda tensor, **options: _normal(tensor, 0, _functions._kaiming_std(tensor, **options)),
}
if hasattr(_core, "Orthogonal"):
    _CONFIGS["orthogonal_"] = lambda tensor, gain: _config("Orthogonal", gain=float(gain))


def _of_bias(slot: Slot) -> dict:
    """PyTorch's bias of Linear, Conv and Bilinear: uniform on +-1 / sqrt(fan_in) of the weight beside it."""
    weight = slot.owner._parameters.get("weight")
    if _is_conv1d(slot.owner):
        raise ValueError('"torch_bias" reads the weight beside it as (out, in), but that of transformers\' Conv1D is (in, out), '
                         "and its own bias is zero")
    if weight is None or weight.dim() < 2:
        raise ValueError('"torch_bias" takes the fan of the parameter "weight" of the same module, a '
                         f"{type(slot.owner).__name__}, which has none of two or more dimensions")
    fan_in = weight.shape[1] if isinstance(slot.owner, torch.nn.Bilinear) else _functions._fans(weight)[0]  # (out, in1, in2)
    bound = 1 / math.sqrt(max(1, fan_in))
    return _uniform(slot.tensor, -bound, bound)
