# SPDX-License-Identifier: Apache-2.0
"""Which block of a DTensor this process holds. Nothing is communicated: it follows from the mesh and the placements."""
from __future__ import annotations

import sys

import torch


def is_dtensor(tensor: torch.Tensor) -> bool:
    # Who has a DTensor has imported the module; importing it for others would take a second.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_block(tensor) -> tuple[torch.Tensor, tuple[int, ...], tuple[int, ...] | None]:
    """The local tensor, the whole tensor's shape, and where in it the local one begins; None if it is the whole.

    Shards are those of torch.chunk: ceil(n / parts) each, the last ones smaller or empty. Raises ValueError for
    placements whose local tensor is no block of values: Partial and what is not known here.
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


def _order_of_splits(tensor) -> list[int]:
    """The mesh's dimensions that split the tensor, in the order in which they do.

    That is the mesh's order, but for _StridedShard(dim, split_factor=n): FSDP's over tensor parallelism, which splits the
    n parts that later dimensions of the mesh make.
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
            parts = 1
            for other in later:
                parts *= mesh.size(other)
            if parts != placement.split_factor or any(type(placements[j]).__name__ != "Shard" for j in later):
                raise ValueError(f"The local tensor is no block of the whole. Received: a DTensor with the placements "
                                 f"{tuple(placements)} on a mesh of shape {tuple(mesh.shape)}")
            strided.append(axis)
        elif kind != "Replicate":
            raise ValueError("A DTensor that is filled is sharded or replicated. Received: one with the placements "
                             f"{tuple(placements)}. Redistribute it first")
    return plain + strided
