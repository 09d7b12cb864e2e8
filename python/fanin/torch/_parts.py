# SPDX-License-Identifier: Apache-2.0
"""Fills of parts of a tensor: every element gets what it would get if the whole tensor were filled."""
from __future__ import annotations

import math
import typing

import torch
from torch import Tensor

from .. import _core
from . import _sharding
from ._fill import LocalBlock, fill, local_block_of
from ._samplers import Sampler


def real_block(block: LocalBlock) -> LocalBlock:
    """The block itself, or for complex tensors the block of pairs of real numbers, which fanin writes."""
    local, shape, offset = block
    if not local.is_complex():
        return block
    return LocalBlock(torch.view_as_real(local), (*shape, 2), None if offset is None else (*offset, 0))


def fill_part(block: LocalBlock, part: Tensor, sampler: Sampler, seed: _core.Seed, name: str) -> None:
    """Fills `part`, any view of block.local. If it is not a run of whole rows, the rows that hold it are drawn and copied."""
    if part.numel() == 0:
        return
    rows = _rows_that_hold(block, part)
    if sampler.transform is None and _same_elements(part, rows.local):
        return fill(rows, sampler.of_seed(seed), name=name)
    drawn = _draw(rows, sampler, seed, name)
    values = drawn.as_strided(part.shape, part.stride(), part.storage_offset() - rows.local.storage_offset())
    part.copy_(values if sampler.transform is None else sampler.transform(values))


def _draw(block: LocalBlock, sampler: Sampler, seed: _core.Seed, name: str) -> Tensor:
    """A new tensor with the strides of block.local, before the sampler's transform."""
    local = block.local
    options = {"dtype": local.dtype, "device": local.device}
    if sampler.transform is not None:  # on the host, so that all devices have the same values
        options = {"dtype": torch.float64, "device": torch.device("cpu")}
    drawn = torch.empty_strided(local.shape, local.stride(), **options)
    fill(LocalBlock(drawn, block.shape, block.offset), sampler.of_seed(seed), name=name)
    return drawn


def _rows_that_hold(block: LocalBlock, part: Tensor) -> LocalBlock:
    """The smallest block of whole rows in which the part lies, where rows are contiguous; else the block."""
    local, shape, offset = block
    row = local.stride(0) if local.dim() else 0
    if not local.is_contiguous() or row == 0 or local.shape[0] == 1:
        return block
    begin = part.storage_offset() - local.storage_offset()
    last = begin + sum((n - 1) * stride for n, stride in zip(part.shape, part.stride()))
    first, count = begin // row, last // row - begin // row + 1
    if count == local.shape[0]:
        return block
    offset = offset or (0,) * len(shape)
    return LocalBlock(local.narrow(0, first, count), shape, (offset[0] + first, *offset[1:]))


def _same_elements(part: Tensor, rows: Tensor) -> bool:
    return part.numel() == rows.numel() and (part.stride() == rows.stride() and part.shape == rows.shape
                                             or _is_permuted_dense(part) and _is_permuted_dense(rows))


def _is_permuted_dense(tensor: Tensor) -> bool:
    """Whether the elements are a run of memory, each once, in any order of the dimensions."""
    expected = 1
    for stride, n in sorted(zip(tensor.stride(), tensor.shape)):
        if n > 1:
            if stride != expected:
                return False
            expected *= n
    return True


# ------------------------------------------------------------------ slices that PyTorch copies


class Slice(typing.NamedTuple):
    """A slice of a DTensor that PyTorch gathered into new memory, so that a change of it does not reach the DTensor."""

    block: LocalBlock  # of the DTensor
    ranges: tuple[range, ...]  # the indices in each dimension of the whole DTensor
    dims: tuple[int, ...]  # the dimensions that the slice still has

    @classmethod
    def whole(cls, block: LocalBlock) -> Slice:
        return cls(block, tuple(map(range, block.shape)), tuple(range(len(block.shape))))

    def select(self, dim: int, index: int) -> Slice:
        """aten.select.int"""
        index %= len(self.ranges[self.dims[dim]])
        kept = list(self.dims)
        del kept[dim]
        return self._replace(ranges=self._ranges_with(dim, slice(index, index + 1)), dims=tuple(kept))

    def narrow(self, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Slice:
        """aten.slice.Tensor"""
        return self._replace(ranges=self._ranges_with(dim, slice(start, end, step)))

    def _ranges_with(self, dim: int, part: slice) -> tuple[range, ...]:
        ranges = list(self.ranges)
        ranges[self.dims[dim]] = ranges[self.dims[dim]][part]
        return tuple(ranges)


class GatheredSlice:
    """The memory of one such slice, of which this process may again have a block only."""

    def __init__(self, place: Slice, tensor: typing.Any):
        self._place = place
        local, _, offset = local_block_of(tensor)
        starts = dict(zip(place.dims, offset or (0,) * len(place.dims)))
        counts = dict(zip(place.dims, local.shape))
        # What this process has: indices of the whole DTensor.
        self._ranges = tuple(r[starts.get(dim, 0):starts.get(dim, 0) + counts.get(dim, 1)] for dim, r in enumerate(place.ranges))
        self._geometry = local.shape, local.stride(), local.storage_offset()
        self._layout = tensor.device_mesh, tensor.placements, tensor.shape, tensor.stride()

    def is_all_of(self, tensor: typing.Any) -> bool:
        local = tensor._local_tensor
        return (local.shape, local.stride(), local.storage_offset()) == self._geometry

    def _values(self, tensor: typing.Any) -> Tensor:
        return tensor._local_tensor.as_strided(*self._geometry).reshape([len(r) for r in self._ranges])

    def draw(self, tensor: typing.Any, sampler: Sampler, seed: _core.Seed, name: str) -> None:
        """Fills the slice's memory with the values that its elements have in the whole DTensor."""
        values = self._values(tensor)
        if values.numel() == 0:
            return
        starts = tuple(r.start for r in self._ranges)
        box = torch.empty([r[-1] - r.start + 1 for r in self._ranges], dtype=values.dtype, device=values.device)
        drawn = _draw(LocalBlock(box, self._place.block.shape, starts), sampler, seed, name)
        drawn = drawn[tuple(slice(None, None, r.step) for r in self._ranges)]
        values = drawn if sampler.transform is None else sampler.transform(drawn)
        tensor._local_tensor.as_strided(*self._geometry).copy_(values.reshape(self._geometry[0]))

    def write_back(self, tensor: typing.Any) -> None:
        """Copies what this process holds of the DTensor from the slice's memory. All processes call it."""
        local, shape, offset = self._place.block
        values, ranges = self._values(tensor), self._ranges
        mesh, placements, slice_shape, stride = self._layout
        if any(not placement.is_replicate() for placement in placements):  # a process may have another part than it needs
            part = tensor._local_tensor.as_strided(*self._geometry)
            gathered = type(tensor).from_local(part, mesh, placements, shape=slice_shape, stride=stride).full_tensor()
            ranges = self._place.ranges
            values = gathered.reshape([len(r) for r in ranges])
        here, there = [], []
        for dim, (all_indices, had) in enumerate(zip(self._place.ranges, ranges)):
            begin = 0 if offset is None else offset[dim]
            wanted = [_first_at_least(all_indices, bound) for bound in (begin, begin + local.shape[dim])]
            indices = all_indices[wanted[0]:wanted[1]]
            if not indices:
                return
            here.append(slice(indices[0] - begin, indices[-1] - begin + 1, indices.step))
            there.append(slice(had.index(indices[0]), had.index(indices[-1]) + 1))
        local[tuple(here)].copy_(values[tuple(there)])


def _first_at_least(indices: range, bound: int) -> int:
    return min(max(0, math.ceil((bound - indices.start) / indices.step)), len(indices))


def copy_into_block(block: LocalBlock, source: Tensor) -> None:
    """Copies this process's part of a tensor that every process has, and that has or is broadcast to the whole shape."""
    local, shape, offset = block
    part = source.expand(shape)
    for dim, n in enumerate(local.shape):
        part = part.narrow(dim, 0 if offset is None else offset[dim], n)
    local.copy_(part)


def is_dtensor(tensor: object) -> bool:
    return isinstance(tensor, Tensor) and _sharding.is_dtensor(tensor)
