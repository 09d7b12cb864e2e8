# SPDX-License-Identifier: Apache-2.0
"""Truncated normals by the values they are cut at: the core's window in standard deviations, and inversion where the
window is too narrow for the core."""
from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch

from .. import _core
from ._fill import CPU, DTYPES, Place, fill

PIECE = 1 << 16  # elements that are inverted together: some 4 MiB of temporaries
FAR = 1e4        # standard deviations, from where on the tail is exponential to binary64's precision


@functools.lru_cache(maxsize=256)  # exact arithmetic in Python takes longer than filling a small tensor
def window(mean: float, std: float, a: float, b: float, dtype: torch.dtype) -> tuple[float, float] | None:
    """The bounds in standard deviations, of which the core makes no value outside [a, b]; None if it does not sample
    this window."""
    if not (math.isfinite(mean) and 0 < std < math.inf and a < b):
        return None
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    if not 0 < _rounded(std, compute) < math.inf or not math.isfinite(_rounded(mean, compute)):
        return None
    lower, upper = -_bound(-mean, std, -a, compute), _bound(mean, std, b, compute)
    mass = (math.erf(upper / math.sqrt(2)) - math.erf(lower / math.sqrt(2))) / 2
    return (lower, upper) if mass >= 0.5 else None


def fill_by_inversion(place: Place, mean: float, std: float, a: float, b: float, seed: int) -> None:
    """Fills with the quantiles of float64 uniforms, so that every dtype and sharding has the same draws.

    Temporaries are a few MiB. Raises ValueError if the tensor's dtype has no number in [a, b].
    """
    local = place.local
    least, most = inside(a, local.dtype, up=True), inside(b, local.dtype, up=False)
    if least > most:
        raise ValueError(f"No number of {DTYPES[local.dtype]} is in [a, b]. Received: a={a}, b={b}")
    fractions = _core.RandomUniform(0.0, 1.0, seed)
    begin = place.offset or (0,) * local.dim()
    for offset, extent in _pieces((0,) * local.dim(), tuple(local.shape)):
        uniform = torch.empty(extent, dtype=torch.float64, device=CPU)
        fill(Place(uniform, place.shape, tuple(map(sum, zip(begin, offset)))), fractions)
        values = quantile(uniform, (a - mean) / std, (b - mean) / std).mul_(std).add_(mean).clamp_(least, most)
        with torch.no_grad():
            local[tuple(slice(first, first + n) for first, n in zip(offset, extent))].copy_(values)


def quantile(u: torch.Tensor, lower: float, upper: float) -> torch.Tensor:
    """What a standard normal that is cut at these bounds is below of with probability u; u is binary64 in [0, 1)."""
    if upper <= 0:
        return quantile(u, -upper, -lower).neg_()
    if lower < 0:
        below, above = 0.5 * math.erfc(-lower / math.sqrt(2)), 0.5 * math.erfc(-upper / math.sqrt(2))
        return torch.special.ndtri(below + u * (above - below))
    # On one side, with log Q, the logarithm of the upper tail: log Q(z) = log Q(lower) + w. Newton's method from a start
    # on the right of the solution, log Q being concave: it comes down to it, and stays precise however far the tail.
    log_tail = _log_tail(lower)
    w = torch.log1p(u * torch.expm1(_log_tail(upper) - log_tail))
    rise = -2 * w / (torch.sqrt(lower * lower - 2 * w) + lower) if lower > 0 else torch.sqrt(-2 * w)
    for _ in range(6 if lower < FAR else 0):
        z = lower + rise
        log_q = torch.special.log_ndtr(-z)
        slope = torch.exp(-0.5 * z * z - 0.5 * math.log(2 * math.pi) - log_q)
        rise = rise + (log_q - log_tail - w) / slope
    return lower + rise


def inside(bound: float, dtype: torch.dtype, up: bool) -> float:
    """The smallest number of the dtype that is not below the bound, or the largest that is not above; finite."""
    if not up:
        return -inside(-bound, dtype, up=True)
    largest = torch.finfo(dtype).max
    if bound < -largest:
        return -largest
    if bound > largest:
        return math.inf
    number = torch.tensor(bound, dtype=torch.float64, device=CPU).to(dtype)
    if number.double() < bound:
        integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[number.element_size()]
        bits = number.view(integers)
        number = (bits - 1 if number.double() < 0 else bits + 1).view(dtype)
    return number.item()


def _log_tail(z: float) -> torch.Tensor:
    return torch.special.log_ndtr(torch.tensor(-z, dtype=torch.float64, device=CPU))


def _rounded(value: float, compute: torch.dtype) -> float:
    with np.errstate(over="ignore"):
        return float(np.float64(value) if compute == torch.float64 else np.float32(value))


def _bound(mean: float, std: float, b: float, compute: torch.dtype) -> float:
    """(b - mean) / std, made smaller by as few steps of the compute type as it takes that the core's value at this
    bound, mean + std * bound in the compute type, is not above b."""
    largest = torch.finfo(compute).max
    if abs(b) > largest:
        return math.copysign(math.inf, b)
    most, std_c, mean_c = inside(b, compute, up=False), _rounded(std, compute), _rounded(mean, compute)
    kind = np.float64 if compute == torch.float64 else np.float32

    def holds(z: float) -> bool:
        return Fraction(z) * Fraction(std_c) + Fraction(mean_c) <= Fraction(most)

    z = _rounded((b - mean) / std, compute)
    if math.isinf(z) or holds(z):
        return z
    z = kind((most - mean_c) / std_c)
    while not holds(float(z)):
        z = np.nextafter(z, kind(-math.inf))
    return float(z)


def _pieces(offset: tuple[int, ...], extent: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Blocks of at most PIECE elements that make up the block; none if it is empty."""
    if 0 in extent:
        return
    if math.prod(extent) <= PIECE:
        yield offset, extent
        return
    axis = next(j for j, n in enumerate(extent) if n > 1)
    half = extent[axis] // 2
    yield from _pieces(offset, (*extent[:axis], half, *extent[axis + 1:]))
    yield from _pieces((*offset[:axis], offset[axis] + half, *offset[axis + 1:]),
                       (*extent[:axis], extent[axis] - half, *extent[axis + 1:]))
