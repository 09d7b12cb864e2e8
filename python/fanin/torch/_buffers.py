# SPDX-License-Identifier: Apache-2.0
"""The values of buffers that were on the meta device: those that the caller gives, or those of the module's own code."""
from __future__ import annotations

import copy
import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import Module
from torch.overrides import TorchFunctionMode

from ._rules import Slot

# The last ones are timm's and torchtitan's.
RESETS = ("reset_running_stats", "reset_buffers", "init_buffers", "reset_parameters", "init_non_persistent_buffers",
          "_init_self_buffers")
Given: typing.TypeAlias = Mapping[str, typing.Any] | Callable[[str, Tensor, Module], typing.Any] | None


def give_values(module: Module, slots: list[Slot], made: dict[int, Tensor], given: Given) -> None:
    """Writes the values of the buffers in slots, which are on the meta device, to their new memory in made, by id.

    The module's code runs on a shallow copy of the module with that memory, whose parameters are on the meta device, so that
    neither the module nor its parameters change. Raises ValueError with the name of the buffer that gets no value.
    """
    if given is not None and not isinstance(given, Mapping) and not callable(given):
        raise TypeError("buffers= is a dictionary from names to tensors, or a function of (name, buffer, module). Received: "
                        f"{given!r}")
    by_owner: dict[int, list[Slot]] = {}
    names = {slot.name for slot in slots}
    unknown = sorted(set(given) - names) if isinstance(given, Mapping) else []
    if unknown:
        raise ValueError(f"buffers= gives {unknown[0]!r}, which is no buffer on the meta device. Those are: {sorted(names)}")
    for slot in slots:
        value = given(slot.name, slot.tensor, slot.owner) if callable(given) else (given or {}).get(slot.name)
        if value is None:
            by_owner.setdefault(id(slot.owner), []).append(slot)
        else:
            try:
                value = torch.as_tensor(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(f"The value of the buffer {slot.name!r} must be a tensor. Received: {value!r}") from error
            _copy(slot, made, value)
    for missing in by_owner.values():
        _run_own_code(module, missing, made)


def _copy(slot: Slot, made: dict[int, Tensor], value: Tensor) -> None:
    if value.is_meta or value.shape != slot.tensor.shape:
        raise ValueError(f"The buffer {slot.name!r} has the shape {tuple(slot.tensor.shape)}. Received: a value of shape "
                         f"{tuple(value.shape)} on {value.device}")
    with torch.no_grad():
        made[id(slot.tensor)].copy_(value)


class _WithMemory(TorchFunctionMode):
    """Makes tensors on the CPU that code would make on the meta device, because that is where its parameters are."""

    def __torch_function__(self, func: typing.Any, types: typing.Any, args: tuple = (), kwargs: dict | None = None) -> typing.Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "meta":
            kwargs["device"] = torch.device("cpu")
        return func(*args, **kwargs)


def _run_own_code(module: Module, missing: list[Slot], made: dict[int, Tensor]) -> None:
    owner = missing[0].owner
    twin = copy.copy(owner)
    twin._buffers = {key: tensor if tensor is None else made.get(id(tensor), tensor) for key, tensor in owner._buffers.items()}
    twin._parameters = {key: tensor if tensor is None else torch.nn.Parameter(torch.empty_like(tensor, device="meta"), False)
                        for key, tensor in owner._parameters.items()}
    before = {slot.key: (twin._buffers[slot.key], twin._buffers[slot.key]._version) for slot in missing}

    def without_value() -> list[Slot]:
        left = []
        for slot in missing:
            new, (old, version) = twin._buffers.get(slot.key), before[slot.key]
            if new is None or new.is_meta or new is old and new._version == version:
                left.append(slot)
        return left

    tried = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _WithMemory():
        for name, code in _codes(module, owner, twin):
            if not without_value():
                break
            tried.append(name)
            try:
                code()
            except Exception as error:
                raise ValueError(f"The buffer {missing[0].name!r} is on the meta device, and {name} of a {type(owner).__name__}, "
                                 f"which may give it a value, raises {type(error).__name__}: {error}. Give it with "
                                 f"buffers={{{missing[0].name!r}: ...}}") from error
    left = without_value()
    if left:
        what = f"its module, a {type(owner).__name__}, has no reset_parameters() or similar method that could give it a value"
        if tried:
            what = f"what its module, a {type(owner).__name__}, has for that, {', '.join(tried)}, gives it no value"
        raise ValueError(f"The buffer {left[0].name!r} is on the meta device, and {what}. Give it with "
                         f"buffers={{{left[0].name!r}: ...}}")
    for slot in missing:
        if twin._buffers[slot.key] is not made[id(slot.tensor)]:
            _copy(slot, made, typing.cast(Tensor, twin._buffers[slot.key]))


def _codes(module: Module, owner: Module, twin: Module) -> Iterator[tuple[str, Callable[[], object]]]:
    """The names and calls of the code that may give an owner's buffers their values, on its twin."""
    for name in RESETS:
        if callable(getattr(twin, name, None)) and _takes(getattr(twin, name)):
            yield f"{name}()", getattr(twin, name)
    for base in _holders(module, owner):  # transformers' PreTrainedModel initialises its modules one by one
        if callable(getattr(type(base), "_init_weights", None)) and _takes(base._init_weights, twin):
            yield f"{type(base).__name__}._init_weights", functools.partial(base._init_weights, twin)


def _takes(function: Callable, *arguments: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _holders(module: Module, owner: Module) -> Iterable[Module]:
    """The modules that hold another one, the innermost first, and itself."""
    def path(holder: Module) -> list[Module] | None:
        if holder is owner:
            return [holder]
        for child in holder._modules.values():
            inner = None if child is None else path(child)
            if inner is not None:
                return [*inner, holder]
        return None

    return path(module) or []
