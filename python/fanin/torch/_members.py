# SPDX-License-Identifier: Apache-2.0
"""The parameters and buffers of a model by their memory: which of them a tensor shows, and which part of it."""
from __future__ import annotations

import sys
import typing

import torch
from torch import Tensor
from torch.nn import Module

from . import _sharding
from ._fill import DTYPES, LocalBlock, has_memory, local_block_of
from ._model import Slot, _is_wrapper, _slots, check_module
from ._parts import real_block


class Member:
    """A parameter or buffer of the model, and what has been done to it."""

    def __init__(self, slot: Slot):
        self.name = slot.name
        self.draws = 0
        self._written = 0.0  # the part of the whole tensor, which all processes count alike
        self.is_kept = False
        self.hold(slot)

    def hold(self, slot: Slot) -> None:
        """Takes the tensor that the model has under this name now."""
        self.slot = slot
        self.storage = storage_of(slot.tensor)
        self.refusal: str | None = None
        self.block = LocalBlock(slot.tensor, ())
        if not has_memory(slot.tensor):
            kind = "on the meta device" if slot.tensor.is_meta else "a FakeTensor"
            self.refusal = f"it is {kind} and has no memory. Give it memory first, or use fanin.torch.materialize_"
        else:
            try:
                local, shape, offset = local_block_of(slot.tensor)
                self.block = real_block(LocalBlock(local.detach(), shape, offset))
            except (ValueError, TypeError) as error:
                self.refusal = str(error)
        self.bytes = _bytes_of(local_of(slot.tensor))
        self._can_be_filled = self.refusal is None and self.block.local.dtype in DTYPES

    @property
    def is_simple(self) -> bool:
        """Whether a fill of the whole tensor needs nothing but a call of fill()."""
        return self._can_be_filled and not self.is_kept

    def next_draw(self) -> str:
        """The name whose subsequence the next draw has: the member's own, then name#1, name#2 and so on."""
        if self.refusal:
            raise ValueError(f"{self.name!r} cannot be filled: {self.refusal}")
        self.draws += 1
        return self.name if self.draws == 1 else f"{self.name}#{self.draws - 1}"

    def was_written(self, part: Tensor) -> None:
        """Counts a change of a part: a DTensor that is a part of the whole, or a part of this process's tensor."""
        whole = self.slot.tensor if _sharding.is_dtensor(part) else local_of(self.slot.tensor)
        self._written += part.numel() / max(1, whole.numel())

    def was_filled(self) -> None:
        """Counts a change of the whole tensor."""
        self._written += 1

    @property
    def is_filled(self) -> bool:
        """Whether as many elements were written as the tensor has."""
        return self._written > 1 - 1e-9 or self.slot.tensor.numel() == 0

    @property
    def is_partly_filled(self) -> bool:
        return self._written > 0 and not self.is_filled


class Members:
    """All parameters and buffers of a module, found by their names, or by the memory that a tensor shows."""

    def __init__(self, module: Module, prefix: str):
        check_module(module, prefix)
        self._module, self._prefix = module, prefix
        self.by_name: dict[str, Member] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks at the module again: it may have other tensors, and other modules, than before."""
        self.by_storage: dict[int, list[Member]] = {}
        self._by_id: dict[int, Member] = {}
        self.paths = dict(_paths(self._module, self._prefix.rstrip(".")))
        for kind in ("_parameters", "_buffers"):
            for slot in _slots(self._module, kind, self._prefix):
                if torch.nn.parameter.is_lazy(slot.tensor):
                    continue
                member = self.by_name.get(slot.name)
                if member is None:
                    member = self.by_name[slot.name] = Member(slot)
                elif member.slot.tensor is not slot.tensor or storage_of(slot.tensor) != member.storage:
                    has_other_data = member.slot.tensor is slot.tensor and member.storage != 0
                    member.hold(slot)
                    if has_other_data:  # code has set w.data, which no operator shows
                        member.was_filled()
                self.by_storage.setdefault(member.storage, []).append(member)
                self._by_id[id(slot.tensor)] = member

    def own(self, tensor: Tensor) -> Member | None:
        """The member that the tensor is, not a part of it."""
        member = self._by_id.get(id(tensor))
        is_same = member is not None and member.slot.tensor is tensor and member.storage == storage_of(tensor)
        return member if is_same else None

    def whole(self, tensor: Tensor) -> Member | None:
        """The member that the tensor is, or whose elements on this process it shows all in their order, as w.data does."""
        if own := self.own(tensor):
            return own
        members = self.by_storage.get(storage_of(tensor), ())
        if len(members) != 1 or not members[0].is_simple or _sharding.is_dtensor(tensor):
            return None
        local = members[0].block.local
        is_same = (tensor.data_ptr() == local.data_ptr() and tensor.shape == local.shape and tensor.stride() == local.stride()
                   and tensor.dtype == local.dtype and not tensor.is_neg())
        return members[0] if is_same else None

    def find(self, tensor: Tensor) -> Member | None:
        """The member whose memory the tensor shows, or a part of it. Raises ValueError for several members at once."""
        if own := self.own(tensor):
            return own
        members = self.by_storage.get(storage_of(tensor))
        if members is None:
            return None
        first, last = _bytes_of(local_of(tensor))
        touched = []
        for member in members:
            begin, end = member.bytes
            if begin <= first and last <= end:
                return member
            if first < end and begin < last:
                touched.append(member.name)
        if touched:
            raise ValueError("A fill of memory that belongs to more than one parameter has no name. Fill them one by one: "
                             + ", ".join(map(repr, touched)))
        return None

    def path_of(self, module: object) -> str | None:
        """The module's name in the model; None for other modules."""
        path, found = self.paths.get(id(module), (None, None))
        return path if found is module else None


def local_of(tensor: typing.Any) -> Tensor:
    """The tensor whose memory this process has: a DTensor's local one. Unlike to_local, it leaves no trace for autograd."""
    return tensor._local_tensor if _sharding.is_dtensor(tensor) else tensor


def storage_of(tensor: Tensor) -> int:
    """A number that identifies the memory as long as a tensor shows it; 0 for tensors without one memory."""
    try:
        return local_of(tensor).untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse tensors, and those that consist of others
        return 0


def _bytes_of(tensor: Tensor) -> tuple[int, int]:
    """The first byte in the storage that the tensor shows, and the one after the last; all where there are no strides."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return 0, sys.maxsize
    first = tensor.storage_offset()
    last = first + (1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride())) if tensor.numel() else 0)
    return first * tensor.element_size(), last * tensor.element_size()


def _paths(module: Module, path: str) -> typing.Iterator[tuple[int, tuple[str, Module]]]:
    """Each module's id, with its name without the parts of wrappers. A module that is held twice has its first name."""
    seen: set[int] = set()

    def walk(module: Module, path: str) -> typing.Iterator[tuple[int, tuple[str, Module]]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        yield id(module), (path, module)
        for key, child in module._modules.items():
            if child is not None:
                yield from walk(child, path if _is_wrapper(module, key) else f"{path}.{key}".lstrip("."))

    return walk(module, path)
