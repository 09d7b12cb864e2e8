# SPDX-License-Identifier: Apache-2.0
"""PyTorch's random operators: which distribution each asks for, and how fanin draws it."""
from __future__ import annotations

import math
import typing
from collections.abc import Callable

import torch
from torch import Tensor

from .. import _core


class Sampler(typing.NamedTuple):
    """A distribution that fanin has, or a function of one that it has."""

    of_seed: Callable[[typing.Any], _core.Initializer]  # of an integer or a fanin.Seed
    transform: Callable[[Tensor], Tensor] | None = None  # from float64 values on the host to those asked for
    is_matrix: bool = False  # values that depend on the whole tensor's shape, also if it is a view of another


def normal(mean: float, std: float, is_complex: bool = False) -> Sampler:
    if is_complex:  # each of the two parts has half of the variance, as in PyTorch
        std /= math.sqrt(2)
    return Sampler(lambda seed: _core.RandomNormal(mean, std, seed))


def uniform(low: float, high: float) -> Sampler:
    return Sampler(lambda seed: _core.RandomUniform(low, high, seed))


def orthogonal(gain: float) -> Sampler:
    return Sampler(lambda seed: _core.Orthogonal(gain, seed), is_matrix=True)


def sparse(sparsity: float, std: float) -> Sampler:
    return Sampler(lambda seed: _core.Sparse(sparsity, std, seed), is_matrix=True)


def _of_unit(transform: Callable[[Tensor], Tensor]) -> Sampler:
    """transform(u) with u uniform on [0, 1), a multiple of 2**-53."""
    return Sampler(lambda seed: _core.RandomUniform(0.0, 1.0, seed), transform)


def _positive(u: Tensor) -> Tensor:
    return u.clamp(min=2.0**-54)  # the logarithm of 0 is not finite


def _integers(low: int, high: int) -> Sampler:
    if not 0 < high - low <= 2**53:
        raise ValueError(f"fanin draws integers from ranges of 1 to 2**53 numbers. Received: [{low}, {high})")
    return _of_unit(lambda u: (u * (high - low)).floor_() + low)


def _default_integers(tensor: Tensor) -> Sampler:
    """random_() without bounds: all integers from 0 on that the dtype represents."""
    if tensor.dtype.is_floating_point:
        return _integers(0, round(2 / torch.finfo(tensor.dtype).eps) + 1)
    return _integers(0, 2 if tensor.dtype == torch.bool else torch.iinfo(tensor.dtype).max + 1)


def _exponential(tensor: Tensor, lambd: float = 1.0) -> Sampler:
    return _of_unit(lambda u: -torch.log(_positive(u)) / lambd)


def _geometric(tensor: Tensor, p: float) -> Sampler:
    if not 0 < p < 1:
        raise ValueError(f"geometric_ needs 0 < p < 1. Received: p={p}")
    return _of_unit(lambda u: torch.ceil(torch.log(_positive(u)) / math.log1p(-p)).clamp_(min=1))


def _log_normal(tensor: Tensor, mean: float = 1.0, std: float = 2.0) -> Sampler:
    return Sampler(lambda seed: _core.RandomNormal(mean, std, seed), torch.exp)


def _bernoulli(tensor: Tensor, p: float = 0.5) -> Sampler:
    if not 0 <= p <= 1:
        raise ValueError(f"A probability is in [0, 1]. Received: p={p}")
    return _of_unit(lambda u: (u < p).double())


# The operators that fill a tensor in place: a function of the operator's arguments, the tensor first.
IN_PLACE: dict[str, Callable[..., Sampler]] = {
    "normal_.default": lambda tensor, mean=0.0, std=1.0: normal(mean, std, tensor.is_complex()),
    "uniform_.default": lambda tensor, low=0.0, high=1.0: uniform(low, high),
    "exponential_.default": _exponential,
    "geometric_.default": _geometric,
    "log_normal_.default": _log_normal,
    "cauchy_.default": lambda tensor, median=0.0, sigma=1.0: _of_unit(lambda u: median + sigma * torch.tan(math.pi * (u - 0.5))),
    "bernoulli_.float": _bernoulli,
    "random_.default": _default_integers,
    "random_.to": lambda tensor, high: _integers(0, high),
    "random_.from": lambda tensor, low, high: _default_integers(tensor) if high is None else _integers(low, high),
}


def _filled_by(operator: str, tensor: Tensor, *arguments: typing.Any) -> tuple[Tensor, Sampler]:
    return tensor, IN_PLACE[operator](tensor, *arguments)


def _integer_tensor(size: typing.Any, dtype: torch.dtype | None = None, **options: typing.Any) -> Tensor:
    return torch.empty(size, dtype=dtype or torch.int64, **options)


def _about(mean: typing.Any, std: typing.Any) -> tuple[Tensor, Sampler]:
    """torch.normal with a tensor of means or of standard deviations."""
    either = torch.as_tensor(mean) + torch.as_tensor(std)
    return torch.empty_like(either), Sampler(lambda seed: _core.RandomNormal(0.0, 1.0, seed),
                                             lambda z: z * torch.as_tensor(std).cpu() + torch.as_tensor(mean).cpu())


# The operators that make a new random tensor: a function of the operator's arguments, without the generator, that gives the
# tensor to fill and how.
NEW: dict[str, Callable[..., tuple[Tensor, Sampler]]] = {
    "rand": lambda size, **options: _filled_by("uniform_.default", torch.empty(size, **options)),
    "randn": lambda size, **options: _filled_by("normal_.default", torch.empty(size, **options)),
    "rand_like": lambda like, **options: _filled_by("uniform_.default", torch.empty_like(like, **options)),
    "randn_like": lambda like, **options: _filled_by("normal_.default", torch.empty_like(like, **options)),
    "randint": lambda *bounds_and_size, **options: (_integer_tensor(bounds_and_size[-1], **options),
                                                    _integers(*((0, *bounds_and_size[:-1])[-2:]))),
    "randint_like": lambda like, *bounds, **options: (torch.empty_like(like, **options), _integers(*((0, *bounds)[-2:]))),
    "randperm": lambda n, **options: (_integer_tensor(n, **options), _of_unit(lambda u: torch.argsort(u, stable=True))),
    "normal": lambda mean, std=1.0, *size, **options: (
        _filled_by("normal_.default", torch.empty(size[0], **options), mean, std) if size else _about(mean, std)),
    "bernoulli": lambda like, *p, **options: (torch.empty_like(like, **options),
                                             _of_unit(lambda u: (u < (p[0] if p else like.cpu())).double())),
}
