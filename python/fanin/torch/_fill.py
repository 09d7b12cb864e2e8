# SPDX-License-Identifier: Apache-2.0
"""Where a tensor's elements are, the seed that a generator gives, and fills of the one from the other."""
from __future__ import annotations

import typing

import torch

from .. import _core
from . import _sharding

DTYPES = {getattr(torch, name): name
          for name in ("float32", "bfloat16", "float16", "float64", "float8_e4m3fn", "float8_e5m2")
          if hasattr(torch, name)}
CPU = torch.device("cpu")


def draw_seed(tensor: torch.Tensor, generator: torch.Generator | None) -> tuple[int, torch.Tensor | None]:
    """64 bits of the generator, or of the default one of the tensor's device, which a generator of the CPU may replace.

    A number; or for a generator on a CUDA device 0 and a tensor there that holds the number, so that nobody waits.
    """
    device = CPU if tensor.is_cpu or getattr(generator, "device", None) == CPU else tensor.device
    seed = torch.randint(-2**63, 2**63 - 1, (), dtype=torch.int64, device=device, generator=generator)
    return (0, seed) if seed.is_cuda else (int(seed) % 2**64, None)


def has_memory(tensor: torch.Tensor) -> bool:
    """Whether it is neither a meta tensor nor one of a FakeTensorMode."""
    return not tensor.is_meta and not hasattr(tensor, "fake_mode")


class Place(typing.NamedTuple):
    """The elements that this process holds of a tensor: all of it, or the block at `offset` of a DTensor."""

    local: torch.Tensor
    shape: tuple[int, ...]  # of the whole tensor
    offset: tuple[int, ...] | None = None


def place_of(tensor: torch.Tensor) -> Place:
    """Raises ValueError for a DTensor that is no block of the whole, TypeError for a tensor that has no strides."""
    if _sharding.is_dtensor(tensor):
        return Place(*_sharding.local_block(tensor))
    if hasattr(tensor, "__tensor_flatten__"):
        raise TypeError(f"fanin fills plain tensors and DTensors. Received: a {type(tensor).__qualname__}, which is made "
                        "of other tensors. Fill those")
    if tensor.layout is not torch.strided:
        raise TypeError(f"fanin fills strided tensors. Received: a tensor of layout {tensor.layout}")
    return Place(tensor, tensor.shape)


def fill(place: Place, initializer: _core.Initializer, device_seed: torch.Tensor | None = None,
         limits: tuple[float, float] | None = None) -> None:
    """Fills in place, on the current stream of a CUDA device. Layout is oihw, PyTorch's. limits as in _core.fill_address.

    What the core cannot write to is filled densely first and then copied: tensors on a CUDA device that are not dense,
    views that show the negative of their memory, and tensors on other devices, which are filled on the host. Raises
    ValueError and fanin.DeviceError.
    """
    local, shape, offset = place
    on_cuda = local.is_cuda
    dense = local.is_contiguous()
    target = local
    if local.is_neg() or not (local.is_cpu or on_cuda and dense):
        target = torch.empty(local.shape, dtype=local.dtype, device=local.device if on_cuda else CPU)
        dense = True
    if local.numel():
        _core.fill_address(
            target.data_ptr(), DTYPES[target.dtype], target.get_device(), shape, initializer,
            offset=offset, extent=None if offset is None else target.shape,
            strides=None if dense else [stride * target.element_size() for stride in target.stride()],
            layout="oihw", stream=torch.cuda.current_stream(target.device).cuda_stream if on_cuda else None,
            threads=torch.get_num_threads(), device_seed=None if device_seed is None else device_seed.data_ptr(),
            limits=limits)
    if target is local:
        tell_of_change(local)
    else:
        with torch.no_grad():
            local.copy_(target)


def tell_of_change(tensor: torch.Tensor) -> None:
    """Autograd must know that a tensor that it may have saved has changed."""
    if not tensor.is_inference():  # has no counter
        torch.autograd.graph.increment_version(tensor)
