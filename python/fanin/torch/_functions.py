# SPDX-License-Identifier: Apache-2.0
"""The functions of torch.nn.init: scales by PyTorch's formulas in binary64, values by fanin."""
from __future__ import annotations

import contextlib
import functools
import inspect
import math
import typing
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.init import calculate_gain
from torch.overrides import handle_torch_function, has_torch_function_variadic

from .. import _core
from . import _samplers
from ._blocks import open_blocks
from ._fill import DTYPES, address_of, draw_seed, fill, fill_at, has_memory, local_block_of, refuse_nested
from ._operators import define
from ._samplers import Sampler

P = typing.ParamSpec("P")


def _public(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Hands calls with tensors that define __torch_function__, or under a torch function mode, to them, as PyTorch does.

    torch.compile and torch.export see one operator.
    """
    signature = inspect.signature(function)
    operator = define(function, signature)

    @functools.wraps(function)
    def call(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        if torch.compiler.is_compiling():
            with torch.no_grad():
                operator(*args, **kwargs)
            return args[0] if args else kwargs["tensor"]
        if args and not has_torch_function_variadic(args[0]):
            try:
                return function(*args, **kwargs)
            except AttributeError:
                if not isinstance(args[0], Tensor):
                    raise TypeError(f"{function.__name__} fills a torch.Tensor. Received: {args[0]!r}, of type "
                                    f"{type(args[0]).__name__}. fanin.fill fills arrays of other libraries") from None
                raise
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        tensor = bound.arguments["tensor"]
        if has_torch_function_variadic(tensor):
            return handle_torch_function(call, (tensor,), **bound.arguments)
        return function(*args, **kwargs)

    return typing.cast(Callable[P, Tensor], call)


def _sample(tensor: Tensor, sampler: Sampler, generator: torch.Generator | None,
            same_in_torch: Callable[[Tensor], object]) -> Tensor:
    """Fills with sampler.of_seed(seed). same_in_torch(sample) does what PyTorch would do, and so raises PyTorch's own errors.

    Within fanin.torch.keyed the seed is the block's, not the generator's.
    """
    if blocks := open_blocks():
        blocks[-1].draw(tensor, sampler)
        return tensor
    of_seed = sampler.of_seed
    initializer = getattr(of_seed, "initializer", None)
    if initializer is not None and (generator is None or generator.device.type == "cpu"):
        address = address_of(tensor)
        if address is not None:
            fill_at(address, tensor, initializer, generator)
            return tensor
    if not has_memory(tensor):
        return tensor
    block = local_block_of(tensor)
    try:
        if tensor.dtype not in DTYPES:
            raise TypeError(f"fanin fills tensors of {', '.join(DTYPES.values())}. Received: a tensor of {tensor.dtype}")
        of_seed(0)  # raises for wrong parameters before the generator advances
        if tensor.numel() == 0:
            return tensor
        seed, device_seed = draw_seed(tensor, generator)
        if sampler.is_matrix and device_seed is not None:  # the host computes the values
            seed, device_seed = int(device_seed) % 2**64, None
        fill(block, of_seed(seed), device_seed)
    except (TypeError, ValueError):
        # PyTorch cannot draw float8.
        drawn_as = torch.float32 if DTYPES.get(tensor.dtype, "").startswith("float8") else tensor.dtype
        sample = torch.empty(1, dtype=drawn_as, device="cpu")
        if 0 in block.local.stride() and not block.local.is_contiguous():
            sample = sample.expand(2)
        same_in_torch(sample)
        raise
    return tensor


def _of_seed(kind: Callable[..., _core.Initializer], a: float, b: float) -> Callable[[int], _core.Initializer]:
    if type(a) in (int, float) and type(b) in (int, float):
        return _allowed(kind, a, b)
    return functools.partial(kind, a, b)


@functools.lru_cache(maxsize=1024)
def _allowed(kind: Callable[..., _core.Initializer], *numbers: float) -> Callable[[int], _core.Initializer]:
    """The arguments of kind but for the seed. If they are not refused, `initializer` is that of seed 0."""
    of_seed = functools.partial(kind, *numbers)
    with contextlib.suppress(TypeError, ValueError):
        of_seed.initializer = of_seed(0)  # type: ignore[attr-defined]
    return of_seed


def _uniform(tensor: Tensor, a: float, b: float, generator: torch.Generator | None) -> Tensor:
    if tensor.is_complex():  # both parts, as in PyTorch
        _uniform(torch.view_as_real(tensor.detach()), a, b, generator)
        return tensor
    return _sample(tensor, Sampler(_of_seed(_core.RandomUniform, a, b)), generator, lambda sample: sample.uniform_(a, b))


def _normal(tensor: Tensor, mean: float, std: float, generator: torch.Generator | None) -> Tensor:
    if tensor.is_complex():  # each part has half of the variance, as in PyTorch
        _normal(torch.view_as_real(tensor.detach()), mean, std / math.sqrt(2), generator)
        return tensor
    return _sample(tensor, Sampler(_of_seed(_core.RandomNormal, mean, std)), generator,
                   lambda sample: sample.normal_(mean, std))


def _truncated_normal(mean: float, std: float, a: float, b: float, seed: int) -> _core.Initializer:
    return _truncated(mean, std, a, b).with_seed(seed)


@functools.lru_cache(maxsize=256)
def _truncated(mean: float, std: float, a: float, b: float) -> _core.Initializer:
    return _core.get({"class_name": "torch:trunc_normal", "config": {"mean": mean, "std": std, "a": a, "b": b}})


def _fans(tensor: Tensor) -> tuple[int, int]:
    refuse_nested(tensor)
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _xavier_std(tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = _fans(tensor)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _is_empty(tensor: Tensor) -> bool:
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
    return True


@_public
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills with values of a uniform distribution on [a, b). No value is b, even after rounding to the tensor's dtype."""
    return _uniform(tensor, a, b, generator)


@_public
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills with values of a normal distribution, which is not truncated."""
    return _normal(tensor, mean, std, generator)


@_public
def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: torch.Generator | None = None) -> Tensor:
    """Fills with values of a normal distribution that is truncated to [a, b] by rejection.

    a and b are values, not standard deviations, with a <= b. No value is outside [a, b], even after rounding to the tensor's
    dtype. If the mean is so far outside that the truncated distribution is narrower than the distance of two numbers of the
    dtype, every value is the bound that is nearer to the mean. Raises ValueError if [a, b] contains no number of the dtype.
    """
    if not has_memory(tensor):
        return tensor
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
                      "The distribution of values may be incorrect.", stacklevel=3)
    mean, std, a, b = float(mean), float(std), float(a), float(b)
    (b - mean) / std  # ZeroDivisionError, as in PyTorch

    def same_in_torch(sample: Tensor) -> None:
        sample.normal_(mean, std)
        sample.uniform_(a, b)
        torch.where(sample < a, sample, sample)

    possible = math.isfinite(mean) and 0 < std < math.inf and a <= b and a < math.inf and b > -math.inf
    if tensor.dtype not in DTYPES or not possible:
        same_in_torch(torch.empty(1, dtype=tensor.dtype, device="cpu"))
        raise ValueError("trunc_normal_ needs a finite mean, a finite std > 0, a <= b with a number between them, and a "
                         f"tensor of {', '.join(DTYPES.values())}. Received: mean={mean}, std={std}, a={a}, b={b}, "
                         f"{tensor.dtype}")
    return _sample(tensor, Sampler(_allowed(_truncated_normal, mean, std, a, b)), generator, same_in_torch)


@_public
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills uniformly on [-l, l) with l = gain * sqrt(6 / (fan_in + fan_out)). The shape is (out, in, ...).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return _uniform(tensor, -bound, bound, generator)


@_public
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fills with a normal, not truncated, of std = gain * sqrt(2 / (fan_in + fan_out)). The shape is (out, in, ...)."""
    return _normal(tensor, 0.0, _xavier_std(tensor, gain), generator)


@_public
def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: torch.Generator | None = None) -> Tensor:
    """Fills uniformly on [-l, l) with l = calculate_gain(nonlinearity, a) * sqrt(3 / fan). The shape is (out, in, ...).

    He et al., "Delving deep into rectifiers", 2015.
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return _uniform(tensor, -bound, bound, generator)


@_public
def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: torch.Generator | None = None) -> Tensor:
    """Fills with a normal, not truncated, of std = calculate_gain(nonlinearity, a) / sqrt(fan). The shape is (out, in, ...)."""
    if _is_empty(tensor):
        return tensor
    return _normal(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@_public
def orthogonal_(tensor: Tensor, gain: float = 1, generator: torch.Generator | None = None) -> Tensor:
    """Fills with a uniformly distributed (Haar) matrix with orthonormal columns, or rows if there are fewer, times gain.

    The first axis is the rows, the others the columns. The host computes the whole matrix, also for a tensor on a device, whose
    stream it waits for, and for each part of a DTensor. Saxe et al., "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", 2014.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    return _sample(tensor, _samplers.orthogonal(float(gain)), generator, lambda sample: sample.normal_())


@_public
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: torch.Generator | None = None) -> Tensor:
    """Fills a matrix with normals of mean 0, of which ceil(sparsity * rows) in each column, drawn at random, are 0.

    sparsity is from 0 to 1. Each process that holds a part of a DTensor knows its zeros. The host computes the values, also for a
    tensor on a device, whose stream it waits for. Martens, "Deep learning via Hessian-free optimization", 2010.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _sample(tensor, _samplers.sparse(float(sparsity), float(std)), generator, lambda sample: sample.normal_(0, std))


def _fixed(tensor: Tensor, initializer: _core.Initializer, in_torch: Callable[[Tensor], Tensor]) -> Tensor:
    """Fills with an initializer that draws nothing, or by PyTorch's function if the dtype is not one of fanin's."""
    if tensor.dtype not in DTYPES:
        return in_torch(tensor)
    if has_memory(tensor) and tensor.numel() > 0:
        # No operator shows this fill to the block whose member it changes.
        member = next((found for block in open_blocks()[::-1] if (found := block.member_of(tensor)) is not None), None)
        if member is not None and member.is_kept:
            return tensor
        fill(local_block_of(tensor), initializer)
        if member is not None:
            member.was_written(tensor)
    return tensor


@_public
def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with 1 on the diagonal and 0 elsewhere. Of a DTensor, each process fills its part."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _fixed(tensor, _core.Identity(), torch.nn.init.eye_)


@_public
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fills a kernel of a convolution, (out, in, ...), with 1 at its centre from each channel to the same channel of its group.

    1 to 3 dimensions in space. Of a DTensor, each process fills its part. The host computes the values, also for a tensor on a
    device, whose stream it waits for.
    """
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    return _fixed(tensor, _core.Dirac(groups), lambda tensor: torch.nn.init.dirac_(tensor, groups))


def _deprecated(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    name = function.__name__[:-1]

    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        warnings.warn(f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Deprecated, as in PyTorch: use {name}_."
    return call


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)

__all__ = ["dirac", "dirac_", "eye", "eye_", "kaiming_normal", "kaiming_normal_", "kaiming_uniform", "kaiming_uniform_", "normal",
           "normal_", "orthogonal", "orthogonal_", "sparse", "sparse_", "trunc_normal_", "uniform", "uniform_", "xavier_normal",
           "xavier_normal_", "xavier_uniform", "xavier_uniform_"]
