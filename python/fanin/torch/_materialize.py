# SPDX-License-Identifier: Apache-2.0
"""fanin.torch.materialize_: memory for a model on the meta device, and its weights by the model's own code."""
from __future__ import annotations

import contextlib
import inspect
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import Module

from .. import _core
from .._patterns import pattern_of
from . import _sharding
from ._fill import DTYPES
from ._keyed import Block, Entered, open_block
from ._members import Member
from ._model import Device, M, Slot, _empty_like, _slots

# Methods that initialise the module itself, and of which the first that a module has is called.
RESETS = ("reset_parameters", "_reset_parameters", "reset_running_stats")
# Methods within which random temporaries belong to the module, or to the module that is their first argument.
INITIALISING = (*RESETS, "init_weights", "init_states", "_init_weights", "_initialize_weights", "reset_lora_parameters")

Keep: typing.TypeAlias = str | Iterable[str] | Callable[[str, Tensor], bool]


def materialize_(module: M, seed: int | _core.Seed, *, device: Device = None, keep: Keep = (),
                 init: Callable[[M], object] | None = None, prefix: str = "") -> M:
    """Gives memory to what is on the meta device, runs the model's own initialisation within keyed(), and returns the module.

        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        fully_shard(model)
        fanin.torch.materialize_(model, seed=42)

    seed    an integer in [0, 2**64), or a fixed fanin.Seed.
    device  the device for parameters and buffers that are on the meta device. Default: the device of the DTensors' mesh, or
            PyTorch's default device. Others stay on their device.
    keep    names of parameters and buffers that keep their values: a glob or several, in which * stands for any characters, or
            a function of (name, tensor). Tensors that transformers has loaded and marked with _is_hf_initialized are kept too.
            Fills of a weight that is computed from kept parameters alone, as by weight_norm, are skipped.
    init    a function of the module that is called instead of the model's own code, for models whose initialisation is in
            their constructors and cannot be called again.
    prefix  is put before the names, as in keyed().

    The model's own code is, for each module from the outside inwards: initialize_weights() of transformers, else
    init_weights() or init_states(), if they need no argument; else its children's code and then its reset_parameters(),
    _reset_parameters() or reset_running_stats(). Adapters of peft's LoRA get reset_lora_parameters(). What that leaves without
    a value on a module with one of those methods gets its value from it. All values are those that keyed() documents.

    Parameters on the meta device are replaced by new ones, with their ties, so make optimizers afterwards. Parameters of
    integers or of other quantised types that were on the meta device are zeros until they are loaded, with a warning.

    Raises ValueError with the names of parameters and buffers that were on the meta device and that nothing filled, and what
    keyed() raises. The module's values are not defined then.
    """
    slots = [slot for kind in ("_parameters", "_buffers") for slot in _slots(module, kind, prefix)]
    for slot in slots:
        if torch.nn.parameter.is_lazy(slot.tensor):
            raise ValueError(f"{slot.name!r} is not initialised and has no shape yet. Call the model once before")
    kept = _kept(slots, keep)
    missing = [slot for slot in slots if slot.tensor.is_meta and slot.name not in kept]
    quantised = {slot.name for slot in missing if isinstance(slot.tensor, torch.nn.Parameter) and _is_quantised(slot.tensor)}
    given = _give_memory(module, missing, device)
    wanted = {slot.name: given[id(slot.tensor)] for slot in missing if slot.name not in quantised}
    with open_block(module, seed, prefix) as block, torch.no_grad(), _mixing_plain_tensors(slots), _entered_methods(module), \
            _keeping(block, kept | quantised):
        block.without_values = wanted.keys()
        if init is not None:
            Entered(init)(module)
        else:
            with _keeping(block, _adapter_names(module, block)):
                _run_own_code(module, block, set())
            _reset_adapters(module)
        rest = _unfilled(block, wanted)
        if partly := [member.name for member in rest if member.is_partly_filled]:
            raise ValueError(f"The model's own code sets a part of {_listed(partly)}, of which the rest has no value without the "
                             "constructor's. Give init=, which sets the whole first")
        _fill_rest(block, rest)
        unfilled = [member.name for member in _unfilled(block, wanted)]
    if unfilled:
        raise ValueError(f"The model's own code gave no value to {_listed(unfilled)}. Give those a value in a "
                         "reset_parameters() of their module, give init=, or name them in keep= and load them")
    if quantised:
        warnings.warn(f"Parameters of quantised types are zeros until they are loaded: {_listed(sorted(quantised))}", stacklevel=2)
    return module


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _is_quantised(tensor: Tensor) -> bool:
    return tensor.dtype not in DTYPES and not tensor.is_complex()


def _kept(slots: list[Slot], keep: Keep) -> set[str]:
    loaded = {slot.name for slot in slots if getattr(slot.tensor, "_is_hf_initialized", False) and not slot.tensor.is_meta}
    if callable(keep):
        return loaded | {slot.name for slot in slots if keep(slot.name, slot.tensor)}
    for pattern in [keep] if isinstance(keep, str) else keep:
        named = {slot.name for slot in slots if pattern_of(pattern).fullmatch(slot.name)}
        if not named:
            warnings.warn(f"No parameter or buffer is called {pattern!r}, which is to be kept", stacklevel=3)
        loaded |= named
    return loaded


def _give_memory(module: Module, missing: list[Slot], device: Device) -> dict[int, Tensor]:
    """Replaces tensors on the meta device by ones with memory, in all places that hold them. Returns the new ones by the ids of
    the old ones."""
    if device is None:
        meshes = (slot.tensor.device_mesh for slot in missing if _sharding.is_dtensor(slot.tensor))
        device = next((mesh.device_type for mesh in meshes), None)
    made: dict[int, Tensor] = {}
    for slot in missing:
        new = made[id(slot.tensor)] = _empty_like(slot.tensor, device)
        vars(new).pop("_is_hf_initialized", None)  # nothing is loaded yet
        if _is_quantised(slot.tensor) and isinstance(slot.tensor, torch.nn.Parameter):
            with torch.no_grad():
                new.zero_()
    for owner in module.modules():
        for held in (owner._parameters, owner._buffers):
            for key, tensor in held.items():
                held[key] = made.get(id(tensor), tensor)
    return made


def _unfilled(block: Block, wanted: dict[str, Tensor]) -> list[Member]:
    """The members that still have the memory that they were given, and not the values."""
    block.members.refresh()
    members = (block.members.by_name[name] for name in wanted if name in block.members.by_name)
    return [member for member in members if not member.is_filled and member.slot.tensor is wanted[member.name]]


@contextlib.contextmanager
def _keeping(block: Block, names: typing.AbstractSet[str]) -> Iterator[None]:
    members = [block.members.by_name[name] for name in names if name in block.members.by_name]
    members = [member for member in members if not member.is_kept]
    for member in members:
        member.is_kept = True
    try:
        yield
    finally:
        for member in members:
            member.is_kept = False


@contextlib.contextmanager
def _entered_methods(module: Module) -> Iterator[None]:
    """While the block is open, the modules' methods say to it which module they initialise."""
    replaced = []
    for part in module.modules():
        for name in INITIALISING:
            if inspect.isfunction(getattr(type(part), name, None)) and name not in vars(part):
                vars(part)[name] = Entered(getattr(part, name), part)
                replaced.append((part, name))
    try:
        yield
    finally:
        for part, name in replaced:
            vars(part).pop(name, None)


def _mixing_plain_tensors(slots: list[Slot]) -> contextlib.AbstractContextManager:
    """Lets operators take DTensors and plain tensors together, which every process has: dt_bias + torch.arange(n)."""
    if not any(_sharding.is_dtensor(slot.tensor) for slot in slots):
        return contextlib.nullcontext()
    from torch.distributed.tensor.experimental import implicit_replication

    return implicit_replication()


# ------------------------------------------------------------------ the model's own code


def _method(module: Module, names: Iterable[str]) -> Callable | None:
    """The first of these methods that the module's class has, and that can be called without arguments."""
    for name in names:
        function = getattr(type(module), name, None)  # not the module's: peft's and others pass on what they do not have
        if callable(function):
            try:
                inspect.signature(function).bind(module)
            except (TypeError, ValueError):
                continue
            return getattr(module, name)
    return None


def _run_own_code(module: Module, block: Block, seen: set[Module]) -> None:
    if module in seen:
        return
    seen.add(module)
    if callable(getattr(type(module), "_init_weights", None)) and _method(module, ["initialize_weights"]):
        for part in module.modules():  # constructors set this on the meta device too
            vars(part).pop("_is_hf_initialized", None)
        # fully_shard's classes are not transformers', which would take them for custom code and skip modules without parameters.
        vars(module)["is_custom_code"] = lambda: False
        try:
            module.initialize_weights()
        finally:
            del vars(module)["is_custom_code"]
    elif own := _method(module, ("init_weights", "init_states")):
        own()
    else:
        for child in module.children():
            _run_own_code(child, block, seen)
        if own := _method(module, RESETS):
            with _keeping(block, _filled_by_others(module, block)):
                own()


def _filled_by_others(module: Module, block: Block) -> set[str]:
    """The module's parameters that are tied to one of another module, which has given it its value."""
    members = (block.members.own(tensor) for tensor in module._parameters.values() if tensor is not None)
    return {member.name for member in members if member is not None and member.is_filled and member.slot.owner is not module}


def _fill_rest(block: Block, unfilled: list[Member]) -> None:
    """Resets the modules of tensors that have no value yet, without their tensors that have one."""
    rest = {member.name: member for member in unfilled}
    filled = block.members.by_name.keys() - rest
    with contextlib.ExitStack() as kept:
        for owner in dict.fromkeys(member.slot.owner for member in unfilled):
            kept.enter_context(_keeping(block, filled))
            if own := _method(owner, RESETS):
                own()
            filled = {name for name, member in rest.items() if member.is_filled}
            for name in filled:
                del rest[name]


# ------------------------------------------------------------------ adapters of peft


def _adapter_layers(module: Module) -> list[typing.Any]:
    return [part for part in module.modules() if callable(getattr(type(part), "reset_lora_parameters", None))]


def _adapter_names(module: Module, block: Block) -> set[str]:
    """The parameters of peft's LoRA layers, which hold the layer that they adapt as base_layer."""
    own: set[int] = set()
    for layer in _adapter_layers(module):
        base = set(map(id, layer.base_layer.parameters()))
        own |= {id(parameter) for parameter in layer.parameters() if id(parameter) not in base}
    return {name for name, member in block.members.by_name.items() if id(member.slot.tensor) in own}


def _reset_adapters(module: Module) -> None:
    configurations: dict = next((vars(part)["peft_config"] for part in module.modules() if "peft_config" in vars(part)), {})
    for layer in _adapter_layers(module):
        for adapter in dict.fromkeys((*layer.lora_A, *layer.lora_embedding_A)):
            layer.reset_lora_parameters(adapter, getattr(configurations.get(adapter), "init_lora_weights", True))
