# SPDX-License-Identifier: Apache-2.0
"""Whole models: each parameter by its name."""
from __future__ import annotations

import re
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from .. import _core
from . import _sharding
from ._fill import DTYPES, local_block_of, staging_for

Device = torch.device | str | int | None
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Slot(typing.NamedTuple):
    """A parameter or buffer, the module and key that hold it, and its name without the names of wrappers."""

    name: str
    owner: Module
    key: str
    tensor: Tensor


def init_model_(module: Module, seed: int | _core.Seed, rules: typing.Any, *, prefix: str = "",
                device: Device = None) -> Module:
    """Fills all parameters of a module in place and returns the module.

    seed    an integer in [0, 2**64), or a fixed fanin.Seed: the seed of all parameters whose initializer has none.
    rules   the initializer of each parameter. A dictionary from patterns to initializers, or a list of such pairs or of
            {"match": pattern, "initializer": initializer}, whose first match decides; or a function of (name, parameter,
            module that holds it) that returns an initializer. A pattern is a glob, in which * stands for any characters,
            dots included, and ? for one, or a compiled regular expression; it must match the whole name. An initializer is
            a fanin.Initializer, a name such as "he_normal", or a configuration of Keras's as a dictionary.
    prefix  is put before the names. Give a module that is part of a larger one its name in that and a dot.
    device  the device for parameters and buffers that are on the meta device. Default: the device of the DTensor's mesh, or
            PyTorch's default device. Others stay on their device.

    A parameter's subsequence is the hash of its name, as in `fanin model`. Its values do not depend on the order of the
    parameters, on the other parameters, on its dtype and device, or on how a DTensor is sharded. The name is that of
    state_dict without the parts that wrappers add: DataParallel, DistributedDataParallel, torch.compile, FSDP, activation
    checkpoints. Fans are those of the whole tensor in PyTorch's layout, (out, in, ...). Tied parameters are filled once, under
    the first name.

    Parameters on the meta device are replaced by new ones, with their ties, so make optimizers afterwards. Buffers keep their
    values. For those on the meta device, their module's reset_running_stats() or reset_parameters() is called; ValueError if
    it has neither.

    The parameters of each device are one fanin.Plan. On a CUDA device that is one asynchronous launch on its current stream.
    Parameters that are not dense and row-major are filled densely and copied. Raises ValueError or TypeError, with the name of
    the parameter and before anything is filled, if no rule matches or a parameter cannot be filled. Warns of rules that no
    parameter takes.
    """
    seed = _seed_of(seed)
    slots = list(_slots(module, "_parameters", prefix))
    entries = _match(slots, rules, seed)
    for slot, initializer in entries:
        _check(slot, initializer)
    _materialise(module, slots, prefix, device)
    _fill(entries)
    return module


def _seed_of(seed: int | _core.Seed | None) -> _core.Seed:
    if seed is None:
        raise TypeError("A model's seed must be given: an integer from 0 to 2**64 - 1")
    made = _core.Seed(seed)
    if made.kind == "sequence":
        raise ValueError("A model's seed must be fixed: with a sequence the values would depend on the order of the "
                         f"parameters. Received: seed={made!r}")
    return made


# ------------------------------------------------------------------ names


def _is_wrapper(module: Module, key: str) -> bool:
    """Whether the child is what the module wraps. The key "module" means that only if the module holds nothing else."""
    return key in WRAPPERS or key == "module" and len(module._modules) == 1 and not module._parameters


def _slots(module: Module, kind: str, prefix: str, *, ties: bool = False) -> Iterator[Slot]:
    """The parameters (kind "_parameters") or buffers ("_buffers"), in the order of named_parameters: each once, or with ties
    under all its names."""
    seen: set[int] = set()
    names: dict[str, int] = {}

    def walk(module: Module, prefix: str) -> Iterator[Slot]:
        if id(module) in seen and not ties:
            return
        seen.add(id(module))
        _refuse_flattened(module)
        for key, tensor in getattr(module, kind).items():
            if tensor is None or id(tensor) in seen and not ties:
                continue
            seen.add(id(tensor))
            name = prefix + key
            if names.setdefault(name, id(tensor)) != id(tensor):
                raise ValueError(f"Two {kind[1:]} are called {name!r} without the names of wrappers around them")
            yield Slot(name, module, key, tensor)
        for key, child in module._modules.items():
            if child is not None:
                yield from walk(child, prefix if _is_wrapper(module, key) else f"{prefix}{key}.")

    yield from walk(module, prefix)


def _refuse_flattened(module: Module) -> None:
    """FullyShardedDataParallel flattens parameters, and the pieces do not say where they belong until it gathers them."""
    if any(base.__name__ == "FullyShardedDataParallel" for base in type(module).__mro__):
        if module.training_state.name != "SUMMON_FULL_PARAMS":
            raise ValueError("FullyShardedDataParallel keeps flattened pieces of parameters. Fill the model within "
                             "FullyShardedDataParallel.summon_full_params(model), before it is wrapped, or use "
                             "fully_shard, whose DTensors are filled where they are")


# ------------------------------------------------------------------ rules


def _match(slots: list[Slot], rules: typing.Any, seed: _core.Seed) -> list[tuple[Slot, _core.Initializer]]:
    """The initializer of each parameter, with its seed."""
    if callable(rules):
        given = [(slot, rules(slot.name, slot.tensor, slot.owner)) for slot in slots]
        for slot, initializer in given:
            if initializer is None:
                raise ValueError(f"The rules have no initializer for the parameter {slot.name!r} of shape "
                                 f"{tuple(slot.tensor.shape)}")
        return [(slot, _initializer(initializer, seed)) for slot, initializer in given]
    parsed = [(_pattern(pattern), _initializer(given, seed), pattern) for pattern, given in _pairs(rules)]
    used = set()
    matched = []
    for slot in slots:
        rule = next((rule for rule in parsed if rule[0].fullmatch(slot.name)), None)
        if rule is None:
            raise ValueError(f"No rule matches the parameter {slot.name!r} of shape {tuple(slot.tensor.shape)}")
        used.add(rule)
        matched.append((slot, rule[1]))
    for rule in parsed:
        if rule not in used:
            warnings.warn(f"No parameter takes the rule for {rule[2]!r}", stacklevel=3)
    return matched


def _initializer(given: typing.Any, seed: _core.Seed) -> _core.Initializer:
    initializer = None if given is None else _core.get(given)
    if initializer is None:
        raise TypeError("A rule gives an initializer: a fanin.Initializer, a name or a configuration. Received: None")
    if initializer.seed_kind == "sequence":
        raise ValueError(f"With a sequence of seeds the values would depend on the order of the parameters. Received: "
                         f"{initializer!r}")
    draws = initializer.seed is not None
    return initializer.with_seed(seed) if draws and initializer.seed_kind == "none" else initializer


def _pairs(rules: typing.Any) -> Iterable[tuple]:
    if isinstance(rules, Mapping):
        return rules.items()
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise TypeError("The rules are a dictionary from patterns to initializers, a list of pairs, or a function. "
                        f"Received: {rules!r}")
    pairs = []
    for rule in rules:
        if isinstance(rule, Mapping):
            if set(rule) != {"match", "initializer"}:
                raise ValueError(f"A rule has the keys \"match\" and \"initializer\". Received: {dict(rule)!r}")
            rule = (rule["match"], rule["initializer"])
        if not isinstance(rule, (tuple, list)) or len(rule) != 2:
            raise TypeError(f"A rule is a pattern and an initializer. Received: {rule!r}")
        pairs.append(tuple(rule))
    return pairs


def _pattern(pattern: object) -> re.Pattern:
    if isinstance(pattern, re.Pattern):
        return pattern
    if not isinstance(pattern, str):
        raise TypeError(f"A pattern is a glob or a compiled regular expression. Received: {pattern!r}")
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


# ------------------------------------------------------------------ filling


def _named(error: Exception, slot: Slot) -> Exception:
    return type(error)(f"Parameter {slot.name!r}: {error}")


def _check(slot: Slot, initializer: _core.Initializer) -> None:
    """Raises what the fill of this parameter would raise, before any parameter is filled."""
    tensor = slot.tensor
    try:
        if torch.nn.parameter.is_lazy(tensor):
            raise ValueError("it is not initialised and has no shape yet. Call the model once before")
        if tensor.dtype not in DTYPES:
            raise TypeError(f"fanin fills {', '.join(DTYPES.values())}. Received: {tensor.dtype}")
        if not tensor.is_meta or _sharding.is_dtensor(tensor):
            local = local_block_of(tensor).local
            if any(stride == 0 and n > 1 for stride, n in zip(local.stride(), local.shape)):
                raise ValueError("its elements share memory, as an expanded tensor's do")
        initializer.describe(tensor.shape, "oihw")
    except (ValueError, TypeError) as error:
        raise _named(error, slot) from error


def _materialise(module: Module, parameters: list[Slot], prefix: str, device: Device) -> None:
    """Replaces parameters and buffers on the meta device by ones with memory, and resets those buffers."""
    buffers = [slot for slot in _slots(module, "_buffers", prefix) if slot.tensor.is_meta]
    resets = {}
    for name, owner, _, _ in buffers:
        reset = getattr(owner, "reset_running_stats", None) or getattr(owner, "reset_parameters", None)
        if reset is None:
            raise ValueError(f"The buffer {name!r} is on the meta device, and its module, a {type(owner).__name__}, has no "
                             "reset_parameters() that could give it a value. Give it one first")
        resets[id(owner)] = reset
    made = {id(slot.tensor): _empty_like(slot.tensor, device) for slot in (*parameters, *buffers) if slot.tensor.is_meta}
    if not made:
        return
    for owner in module.modules():
        for held in (owner._parameters, owner._buffers):
            for key, tensor in held.items():
                held[key] = made.get(id(tensor), tensor)
    versions = {name: made[id(tensor)]._version for name, _, _, tensor in buffers}
    for reset in resets.values():
        reset()
    for name, owner, key, tensor in buffers:
        new = made[id(tensor)]
        if owner._buffers.get(key) is new and new._version == versions[name]:
            raise ValueError(f"The buffer {name!r} was on the meta device, and what its module, a {type(owner).__name__}, resets "
                             "gives it no value. Give it one first. Parameters have memory now, and no values yet")


def _empty_like(tensor: Tensor, device: Device) -> Tensor:
    if device is None:
        device = tensor.device_mesh.device_type if _sharding.is_dtensor(tensor) else torch.get_default_device()
    with torch.no_grad():
        made = torch.empty_like(tensor, device=device)
    if isinstance(tensor, Parameter):
        made = Parameter(made, requires_grad=tensor.requires_grad)
        for key, value in vars(tensor).items():  # attributes that users have set
            vars(made).setdefault(key, value)
        if type(tensor) is not type(made):
            made.__class__ = type(tensor)
    return made


def _fill(entries: list[tuple[Slot, _core.Initializer]]) -> None:
    plans: dict[torch.device, _core.Plan] = {}
    copies = []
    for slot, initializer in entries:
        tensor = slot.owner._parameters[slot.key]  # a new one, if it was on the meta device
        local, shape, offset = local_block_of(tensor)
        if local.numel() == 0:
            continue
        detached = local.detach()
        target = staging_for(detached, dense=True)
        if target is not detached:
            copies.append((local, target))
        try:
            plans.setdefault(target.device, _core.Plan()).add(target, initializer, name=slot.name, shape=shape,
                                                               offset=offset, layout="oihw")
        except (ValueError, TypeError, _core.DeviceError) as error:
            raise _named(error, slot) from error
    for device, plan in plans.items():
        stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        plan.fill(stream=stream, threads=torch.get_num_threads())
    with torch.no_grad():
        for local, target in copies:
            local.copy_(target)
