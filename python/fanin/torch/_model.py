# SPDX-License-Identifier: Apache-2.0
"""Whole models: each parameter by its name."""
from __future__ import annotations

import math
import re
import typing
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from .. import _core
from . import _sharding
from ._buffers import Given, give_values
from ._fill import DTYPES, LocalBlock, local_block_of, refuse_nested, staging_for
from ._rules import Drawn, choose, named
from ._rules import Slot as Slot

M = typing.TypeVar("M", bound=Module)
Device: typing.TypeAlias = torch.device | str | int | None
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def init_model_(module: M, seed: int | _core.Seed | None, rules: typing.Any, *, prefix: str = "", device: Device = None,
                buffers: Given = None) -> M:
    """Fills the parameters of a module in place and returns the module.

    seed     an integer in [0, 2**64), or a fixed fanin.Seed: the seed of all parameters whose initializer has none. None if
             rules are a fanin.ModelSpec, which has one.
    rules    what each parameter gets:
             - a dictionary from patterns to initializers, or a list of such pairs, or of a specification's rules
               ({"match": ..., "class": ..., "initializer": ..., "layout": ...}), whose first match decides;
             - a function of (name, parameter, module that holds it) that returns an initializer, or a specification's rule
               without "match", or None to leave the parameter alone;
             - a specification: its dictionary, the path of its file, or what fanin.parse_model_spec returns.
             A pattern is that of a specification, with * ? {name} {name*}, or a compiled regular expression; it must match the
             whole name. An initializer is a fanin.Initializer, a name such as "he_normal", a configuration of Keras's, an
             initializer of keras.initializers, a function of torch.nn.init or a functools.partial of one, "torch_bias" for
             the bias of PyTorch's Linear and Conv, or "keep" to leave the parameter alone.
    prefix   is put before the names. Give a module that is part of a larger one its name in that and a dot.
    device   the device for parameters and buffers that are on the meta device. Default: the device of the DTensor's mesh, or
             PyTorch's default device. Others stay on their device.
    buffers  the values of buffers that are on the meta device and that the module's own code does not compute: a dictionary
             from names to tensors, or a function of (name, buffer, module that holds it) that returns one or None.

    A parameter's subsequence is the hash of its name, as in `fanin model`. Its values do not depend on the order of the
    parameters, on the other parameters, on its dtype and device, or on how a DTensor is sharded. The name is that of
    state_dict without the parts that wrappers add: DataParallel, DistributedDataParallel, torch.compile, FSDP, activation
    checkpoints. Fans are those of the whole tensor in PyTorch's layout, (out, in, ...), unless the rule has others. Tied
    parameters are filled once, under the first name. The row padding_idx of an embedding is 0 afterwards, unless its values
    are loaded. Integer and boolean parameters are left alone, with a warning.

    Parameters on the meta device are replaced by new ones, with their ties, so make optimizers afterwards; those that the
    rules leave alone stay there. Buffers keep their values. Those on the meta device get them from buffers=, from their
    module's reset_running_stats(), reset_buffers(), init_buffers() or reset_parameters(), or from the _init_weights of a
    transformers model; that code does not see or change the parameters.

    The parameters of each device are one fanin.Plan. On a CUDA device that is one asynchronous launch on its current stream.
    Parameters that are not dense and row-major are filled densely and copied. Raises ValueError or TypeError, with the name of
    the parameter and before the module or its tensors change, if no rule matches, a parameter cannot be filled, or a buffer
    gets no value. Warns of rules that no parameter takes.
    """
    model_seed = None if seed is None and isinstance(rules, _core.ModelSpec) else _seed_of(seed)
    slots = _floats(list(_slots(module, "_parameters", prefix)))
    names = _ties(module, prefix)
    entries = choose(slots, {slot.name: names[id(slot.tensor)][1:] for slot in slots}, rules, model_seed)
    for drawn in entries:
        _check(drawn)
    _warn_of_frozen(entries)
    missing = [slot for slot in _slots(module, "_buffers", prefix) if slot.tensor.is_meta]
    made = {id(slot.tensor): _empty_like(slot.tensor, device)
            for slot in (*(drawn.slot for drawn in entries), *missing) if slot.tensor.is_meta}
    fill = _Fill(entries, made)
    give_values(module, missing, made, buffers)
    if made:
        for owner in module.modules():
            for held in (owner._parameters, owner._buffers):
                for key, tensor in held.items():
                    held[key] = made.get(id(tensor), tensor)
    fill.run()
    _restore_guarantees(module, {id(made.get(id(d.slot.tensor), d.slot.tensor)) for d in entries if not d.values._is_loaded})
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


def check_module(module: object, prefix: object) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"The module must be a torch.nn.Module. Received: {module!r}, of type {type(module).__name__}")
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string. Received: prefix={prefix!r}")


def _slots(module: Module, kind: str, prefix: str, *, ties: bool = False) -> Iterator[Slot]:
    """The parameters (kind "_parameters") or buffers ("_buffers"), in the order of named_parameters: each once, or with ties
    under all its names."""
    check_module(module, prefix)
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


def _ties(module: Module, prefix: str) -> dict[int, list[str]]:
    """All names of each parameter, by id."""
    names: dict[int, list[str]] = {}
    for slot in _slots(module, "_parameters", prefix, ties=True):
        names.setdefault(id(slot.tensor), []).append(slot.name)
    return names


def _floats(slots: list[Slot]) -> list[Slot]:
    """Without the integer and boolean parameters, which no initializer is for."""
    left = [slot for slot in slots if not (slot.tensor.is_floating_point() or slot.tensor.is_complex())]
    if left:
        shown = ", ".join(f"{slot.name!r} ({slot.tensor.dtype})" for slot in left[:5]) + (", ..." if len(left) > 5 else "")
        warnings.warn(f"{len(left)} parameters are not of floating-point numbers and are left alone: {shown}", stacklevel=3)
    return [slot for slot in slots if slot.tensor.is_floating_point() or slot.tensor.is_complex()]


# ------------------------------------------------------------------ filling


def _check(drawn: Drawn) -> None:
    """Raises what the fill of this parameter would raise, before any parameter is filled."""
    slot, values = drawn
    tensor = slot.tensor
    try:
        refuse_nested(tensor)
        if tensor.dtype not in DTYPES:
            raise TypeError(f"fanin fills {', '.join(DTYPES.values())}. Received: {tensor.dtype}")
        if torch.nn.parameter.is_lazy(tensor):
            raise ValueError("it is not initialised and has no shape yet. Call the model once before")
        if not tensor.is_meta or _sharding.is_dtensor(tensor):
            local = local_block_of(tensor).local
            if local.numel() and _overlaps(local):
                raise ValueError("its elements share memory or its axes interleave, as in an expanded or overlapping view")
        values._check(DTYPES[tensor.dtype])
    except (ValueError, TypeError) as error:
        raise named(error, slot) from error


def _overlaps(tensor: Tensor) -> bool:
    span = 0  # from the first element to the last, along the dimensions with smaller strides
    for stride, n in sorted(zip(tensor.stride(), tensor.shape)):
        if n > 1:
            if stride <= span:
                return True
            span += (n - 1) * stride
    return False


def _empty_like(tensor: Tensor, device: Device) -> Tensor:
    if device is None:
        device = tensor.device_mesh.device_type if _sharding.is_dtensor(tensor) else torch.get_default_device()
    if torch.device(device).type == "meta":
        raise ValueError("What is on the meta device would stay there, because that is PyTorch's default device here. Give "
                         'device=, or call this outside of torch.device("meta")')
    with torch.no_grad():
        made = torch.empty_like(tensor, device=device)
    if isinstance(tensor, Parameter):
        made = Parameter(made, requires_grad=tensor.requires_grad)
        for key, value in vars(tensor).items():  # attributes that users have set
            vars(made).setdefault(key, value)
        if type(tensor) is not type(made):
            made.__class__ = type(tensor)
    return made


class _Fill:
    """What writes the values of parameters, prepared so that what can be refused is refused before anything is written."""

    def __init__(self, entries: list[Drawn], made: Mapping[int, Tensor]) -> None:
        self.plans: dict[torch.device, _core.Plan] = {}
        names: dict[torch.device, list[str]] = {}  # of the plans' entries
        self.copies: list[tuple[Tensor, Tensor]] = []
        self.loads: list[tuple[LocalBlock, _core.ModelTensor]] = []
        for slot, values in entries:
            block = local_block_of(made.get(id(slot.tensor), slot.tensor))
            if block.local.numel() == 0:
                continue
            if values._is_loaded:
                self.loads.append((block, values))
                continue
            detached = block.local.detach()
            target = staging_for(detached, dense=True)
            if target is not detached:
                self.copies.append((block.local, target))
            plan, entries_of = self.plans.setdefault(target.device, _core.Plan()), names.setdefault(target.device, [])
            try:
                plan.add_tensor(target, values, offset=block.offset)
            except (ValueError, TypeError, _core.DeviceError) as error:
                if other := re.search(r"overlaps that of entry (\d+) of the plan", str(error)):
                    error = ValueError(f"its memory overlaps that of {entries_of[int(other[1])]!r}. Tie them as one parameter, or "
                                       'leave one alone with "keep"')
                raise named(error, slot) from error
            entries_of += [slot.name] * (len(plan) - len(entries_of))

    def run(self) -> None:
        for device, plan in self.plans.items():
            stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
            plan.fill(stream=stream, threads=torch.get_num_threads())
        with torch.no_grad():
            for local, target in self.copies:
                local.copy_(target)
            for block, values in self.loads:
                block.local.copy_(_loaded(block, values))


def _loaded(block: LocalBlock, values: _core.ModelTensor) -> Tensor:
    """The block's values, which are read from a file by rows of the whole tensor."""
    local, shape, offset = block
    if offset is None:
        offset = (0,) * len(shape)
    rows = torch.empty((*local.shape[:1], *shape[1:]), dtype=local.dtype, device="cpu")
    values._read(offset[0] * math.prod(shape[1:]) if shape else 0, rows)
    return rows[tuple(slice(begin if axis else 0, (begin if axis else 0) + extent)
                      for axis, (begin, extent) in enumerate(zip(offset, local.shape)))]


def _warn_of_frozen(entries: list[Drawn]) -> None:
    frozen = [slot.name for slot, values in entries if not slot.tensor.requires_grad and not values._is_loaded]
    if frozen and len(frozen) < len(entries):
        warnings.warn(f"{len(frozen)} parameters that need no gradient get their values by rules: "
                      f"{', '.join(map(repr, frozen[:5]))}{', ...' if len(frozen) > 5 else ''}. If the model computes them, as "
                      'tables of sines, leave them alone with "keep", or use fanin.torch.materialize_', stacklevel=3)


def _restore_guarantees(module: Module, filled: set[int]) -> None:
    """Sets the row padding_idx of embeddings to 0, as their own code does; it gets no gradient."""
    for owner in module.modules():
        row = getattr(owner, "padding_idx", None)
        parameters = dict(owner._parameters.items())  # TorchScript has a wrapper of a dictionary
        weight = parameters.get("weight", parameters.get("weight_orig"))  # the latter of pruned modules
        if torch.nn.utils.parametrize.is_parametrized(owner, "weight"):
            weight = typing.cast(typing.Any, owner).parametrizations.weight._parameters.get("original")
        if isinstance(row, int) and weight is not None and weight.dim() == 2 and id(weight) in filled:
            local, shape, offset = local_block_of(weight)
            first = offset[0] if offset else 0
            if local.numel() and 0 <= row % shape[0] - first < local.shape[0]:
                with torch.no_grad():
                    local[row % shape[0] - first].zero_()
