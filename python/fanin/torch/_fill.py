# SPDX-License-Identifier: Apache-2.0
"""Fills of PyTorch tensors: which memory a tensor has, which seed a generator gives, and what the core cannot write to."""
from __future__ import annotations

import threading
import typing

import torch

from .. import _core
from . import _sharding

# float8_e8m0fnu holds scales, not weights. PyTorch has float4_e2m1fn only as pairs, which fanin.fill writes.
DTYPES = {getattr(torch, name): name for name in _core._dtypes if hasattr(torch, name) and name != "float8_e8m0fnu"}
CPU = torch.device("cpu")
_NUMBERS = {dtype: _core._dtypes.index(name) for dtype, name in DTYPES.items()}


class _Thread(threading.local):
    def __init__(self) -> None:
        with torch.inference_mode(False):  # a tensor that every mode may change
            self.seed = torch.empty((), dtype=torch.int64, device=CPU)
        self.seed_address = self.seed.data_ptr()


_thread = _Thread()


def draw_seed(tensor: torch.Tensor, generator: torch.Generator | None) -> tuple[int, torch.Tensor | None]:
    """Takes a 64-bit seed from the generator, or from the default generator of the tensor's device.

    Returns the seed and None. If the generator is on a CUDA device, returns 0 and a tensor on that device that holds the
    seed, so that the host does not wait for the device.
    """
    device = CPU if tensor.is_cpu or getattr(generator, "device", None) == CPU else tensor.device
    seed = torch.randint(-2**63, 2**63 - 1, (), dtype=torch.int64, device=device, generator=generator)
    return (0, seed) if seed.is_cuda else (int(seed) % 2**64, None)


def address_of(tensor: torch.Tensor) -> int | None:
    """The address of a plain tensor that is dense in host memory, of which nothing else must be known. None for others."""
    if (type(tensor) is torch.Tensor or type(tensor) is torch.nn.Parameter) and tensor.is_cpu and tensor.dtype in _NUMBERS:
        if tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_neg() and tensor.is_contiguous():
            try:
                address = tensor.data_ptr()
            except RuntimeError:  # a wrapper of torch.func
                return None
            return address if address and address % tensor.element_size() == 0 else None
    return None


def fill_at(address: int, tensor: torch.Tensor, initializer: _core.Initializer,
            generator: torch.Generator | None) -> None:
    """Takes a seed from a generator of the CPU, as draw_seed does, and fills the tensor at its address_of with it."""
    _thread.seed.random_(-2**63, 2**63 - 1, generator=generator)  # torch.randint makes a tensor and calls random_
    try:
        _core._fill_memory(address, _NUMBERS[tensor.dtype], tensor.shape, initializer, _thread.seed_address, None,
                           torch.get_num_threads())
    finally:  # also if a signal ends it
        _tell_of_change(tensor)


def _tell_of_change(tensor: torch.Tensor) -> None:
    if not tensor.is_inference():  # which has no version
        torch.autograd.graph.increment_version(tensor)


def has_memory(tensor: torch.Tensor) -> bool:
    """False for meta tensors and the tensors of a FakeTensorMode."""
    return not tensor.is_meta and not hasattr(tensor, "fake_mode")


class LocalBlock(typing.NamedTuple):
    """The elements of a tensor that this process holds: all of them, or a block of a DTensor."""

    local: torch.Tensor
    shape: tuple[int, ...]  # of the whole tensor
    offset: tuple[int, ...] | None = None  # of the local tensor in the whole; None: the local tensor is the whole


def refuse_nested(tensor: torch.Tensor) -> None:
    if tensor.is_nested:
        raise TypeError("fanin fills tensors that have a shape. Received: a nested tensor. Fill its values(), or the tensors of "
                        "unbind()")


def local_block_of(tensor: torch.Tensor) -> LocalBlock:
    """Raises ValueError for a DTensor whose local tensor is no block, TypeError for a tensor without strides."""
    refuse_nested(tensor)
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise TypeError("fanin fills tensors that have an address. Received: a tensor of code that torch.func transforms (vmap, "
                        "grad). Fill tensors outside of that code")
    if _sharding.is_dtensor(tensor):
        return LocalBlock(*_sharding.local_block(tensor))
    if hasattr(tensor, "__tensor_flatten__"):
        raise TypeError(f"fanin fills plain tensors and DTensors. Received: a {type(tensor).__qualname__}, which consists "
                        "of other tensors. Fill those")
    if tensor.layout is not torch.strided:
        raise TypeError(f"fanin fills strided tensors. Received: a tensor of layout {tensor.layout}")
    return LocalBlock(tensor, tuple(tensor.shape))


def staging_for(local: torch.Tensor, dense: bool = False) -> torch.Tensor:
    """The tensor itself if the core can write to it, or a new dense tensor that must be copied to it.

    The core cannot write to tensors on a CUDA device that are not dense, to views that show the negative of their memory,
    and to other devices, for which the new tensor is on the host. dense: nor to a host tensor that is not dense.
    """
    if (local.is_cpu or local.is_cuda) and not local.is_neg():
        if local.is_cpu and not dense or local.is_contiguous() and local.data_ptr() % local.element_size() == 0:
            return local
    return torch.empty(local.shape, dtype=local.dtype, device=local.device if local.is_cuda else CPU)


def fill(block: LocalBlock, initializer: _core.Initializer, device_seed: torch.Tensor | None = None,
         name: str | None = None) -> None:
    """Fills in place, asynchronously on the current stream of a CUDA device. The layout is oihw, PyTorch's.

    device_seed   a tensor that holds the seed on the tensor's device
    name          its hash is the subsequence; None: subsequence 0

    Raises ValueError and fanin.DeviceError.
    """
    local, shape, offset = block
    if local.numel() == 0:
        return
    if offset is None and device_seed is None and (address := address_of(local)) is not None:
        try:
            _core._fill_memory(address, _NUMBERS[local.dtype], shape, initializer, 0, name, torch.get_num_threads())
        finally:
            _tell_of_change(local)
        return
    target = staging_for(local)
    _core.fill(target, initializer, shape=shape, offset=offset, layout="oihw", threads=torch.get_num_threads(),
               device_seed=device_seed, name=name)
    if target is not local:
        with torch.no_grad():
            local.copy_(target)
