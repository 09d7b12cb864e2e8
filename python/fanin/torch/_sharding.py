# SPDX-License-Identifier: Apache-2.0
"""Which block of a DTensor this process holds. It follows from the mesh and the placements, without communication."""
from __future__ import annotations

import math
import sys
import typing

import torch


def is_dtensor(tensor: torch.Tensor) -> bool:
    # A program with a DTensor has imported the module, and importing it takes a second.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_block(tensor: typing.Any) -> tuple[torch.Tensor, tuple[int, ...], tuple[int, ...] | None]:
    """The local tensor, the shape of the whole tensor, and the offset of the local one in it, None if it is the whole.

    Shards are as torch.chunk makes them: ceil(n / parts) rows each, the last shards smaller or empty. Raises ValueError for
    placements whose local tensor is not a block of the values: Partial, and placements that are not known here.
    """
    mesh, placements = tensor.device_mesh, tensor.placements
    with torch.no_grad():
        local = tensor.to_local()
    shape = tuple(tensor.shape)
    coordinate = mesh.get_coordinate()
    if coordinate is None:  # this process is not part of the mesh
        return local, shape, (0,) * len(shape)
    offset, extent = [0] * len(shape), list(shape)
    for axis in _order_of_splits(tensor):
        dim = placements[axis].dim
        chunk = -(-extent[dim] // mesh.size(axis))
        start = min(coordinate[axis] * chunk, extent[dim])
        offset[dim] += start
        extent[dim] = min(chunk, extent[dim] - start)
    if tuple(local.shape) != tuple(extent):
        raise ValueError(f"The DTensor's placements {tuple(placements)} say that this process holds a block of shape "
                         f"{tuple(extent)}. Received: a local tensor of shape {tuple(local.shape)}")
    return local, shape, None if extent == list(shape) else tuple(offset)


def _order_of_splits(tensor: typing.Any) -> list[int]:
    """The dimensions of the mesh that split the tensor, in the order of the splits.

    It is the mesh's order, except for _StridedShard(dim, split_factor=n), which FSDP uses over tensor parallelism: it splits
    the n parts that later dimensions of the mesh make.
    """
    mesh, placements = tensor.device_mesh, tensor.placements
    plain, strided = [], []
    for axis, placement in enumerate(placements):
        kind = type(placement).__name__
        if kind == "Shard":
            plain.append(axis)
        elif kind == "_StridedShard":
            later = [other for other in range(axis + 1, mesh.ndim)
                     if getattr(placements[other], "dim", None) == placement.dim]
            parts = math.prod(mesh.size(other) for other in later)
            if parts != placement.split_factor or any(type(placements[j]).__name__ != "Shard" for j in later):
                raise ValueError(f"The local tensor is no block of the whole. Received: a DTensor with the placements "
                                 f"{tuple(placements)} on a mesh of shape {tuple(mesh.shape)}")
            strided.append(axis)
        elif kind != "Replicate":
            raise ValueError("fanin fills sharded and replicated DTensors. Received: one with the placements "
                             f"{tuple(placements)}. Redistribute it first")
    return plain + strided
