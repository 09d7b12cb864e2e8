# SPDX-License-Identifier: Apache-2.0
"""fanin.torch.keyed: code that fills a model with PyTorch's functions gets fanin's values, by the parameters' names."""
from __future__ import annotations

import contextlib
import functools
import threading
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import Module
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import TorchDispatchMode

from .. import _core
from . import _functions
from ._blocks import drawing, is_drawing, open_blocks
from ._fill import DTYPES, LocalBlock, fill, has_memory, local_block_of
from ._members import Member, Members, local_of, storage_of
from ._model import M, _seed_of
from ._parts import GatheredSlice, Slice, copy_into_block, fill_part, is_dtensor, real_block
from ._samplers import IN_PLACE, NEW, Sampler, normal


@contextlib.contextmanager
def keyed(module: M, seed: int | _core.Seed, *, prefix: str = "") -> Iterator[M]:
    """Within the block, PyTorch's random functions fill the parameters and buffers of a module with fanin's values.

        with fanin.torch.keyed(model, seed=42):
            model.apply(init_fn)

    seed    an integer in [0, 2**64), or a fixed fanin.Seed.
    prefix  is put before the names. Give a module that is part of a larger one its name in that and a dot.

    The distributions are those that the code asks for, with PyTorch's meaning of every argument; generators are not used. The
    first draw of a parameter is fanin.draw(..., seed=seed, name=NAME), with the names of init_model_; the next ones have the
    names NAME#1, NAME#2 and so on. An element's value follows from its index in the whole parameter, so views, slices, DTensors
    and their local tensors get their part of it, however the parameter is sharded, on every device and in every dtype.

    Random tensors that are not part of the module, such as torch.rand(n), are keyed by the name of the module that
    Module.apply or materialize_ is at, and their number there. Elsewhere they raise ValueError.

    ValueError with the parameter's name: fills that PyTorch would lose, of a weight that a parametrization computes, or of
    memory that several parameters have; parameters on the meta device; draws for which fanin has no sampler. Parameters of
    integers are left alone by distributions of real numbers, with a warning.

    The block is the thread's: other threads see PyTorch's functions unchanged. Blocks may be nested if their modules have no
    parameter in common. On a CUDA device, fills are asynchronous on the current stream.
    """
    with open_block(module, seed, prefix):
        yield module


@contextlib.contextmanager
def open_block(module: Module, seed: int | _core.Seed, prefix: str) -> Iterator[Block]:
    """The block itself, which materialize_ asks what was filled."""
    block = Block(module, _seed_of(seed), prefix)
    blocks = open_blocks()
    for outer in blocks:
        for storage, members in block.members.by_storage.items():
            if storage and storage in outer.members.by_storage:
                raise ValueError(f"{members[0].name!r} belongs to the module of an outer keyed block too, so its draws would have "
                                 "two keys")
    with _wrappers, block.watch_computed_weights(module), block:
        blocks.append(block)
        try:
            yield block
        finally:
            blocks.remove(block)


class _Copy(typing.NamedTuple):
    """A tensor with memory of its own that code may take for a part of a member."""

    storage: StorageWeakRef
    member: str
    reason: str  # why a change of it is lost
    slice: GatheredSlice | None = None  # if the change can be written back
    only_random: bool = False  # whether other changes are ordinary computation
    sources: tuple[Member, ...] = ()  # the members that it is computed from, where code may mean those

    @property
    def is_kept(self) -> bool:
        return bool(self.sources) and all(member.is_kept for member in self.sources)


class Block(TorchDispatchMode):
    """Sees every operator of PyTorch's that this thread calls, and runs those itself that fill members at random."""

    def __init__(self, module: Module, seed: _core.Seed, prefix: str):
        super().__init__()
        self.members = Members(module, prefix)
        self._seed = seed
        self._path: str | None = None  # the module that is being initialised
        self.without_values: typing.AbstractSet[str] = frozenset()  # members whose memory is new, until they are filled
        self._numbers: dict[str, int] = {}
        self._copies: dict[int, _Copy] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the default wraps __torch_dispatch__ in a call that imports torch._dynamo, which takes seconds

    def __torch_dispatch__(self, func: typing.Any, types: typing.Any, args: tuple = (), kwargs: dict | None = None) -> typing.Any:
        kwargs = kwargs or {}
        role = None if is_drawing() else _role_of(func)
        return func(*args, **kwargs) if role is None else role(self, func, args, kwargs)

    # -------------------------------------------------------------- random operators

    def draw(self, tensor: Tensor, sampler: Sampler) -> None:
        """Fills a tensor: a part of a member of one of the open blocks, or a temporary."""
        member = self.members.whole(tensor)
        if member is not None and member.is_simple and sampler.transform is None:  # most calls: no part, no copy, no other block
            initializer = sampler.of_seed(self._seed)  # raises for wrong parameters before the draw counts
            fill(member.block, initializer, name=member.next_draw())
            member.was_filled()
            return
        if sampler.is_matrix:
            return self._draw_matrix(tensor, sampler)
        with drawing():
            blocks = open_blocks()[::-1]
            if any(block._draw_member(tensor, sampler) for block in blocks) or not has_memory(tensor):
                return
            for block in blocks:  # the module may have got new tensors since
                block.members.refresh()
            if not any(block._draw_member(tensor, sampler) for block in blocks):
                self._draw_temporary(tensor, sampler)

    def _draw_member(self, tensor: Tensor, sampler: Sampler) -> bool:
        copy = self._copy_of(tensor)
        if copy is not None:
            if copy.is_kept:
                return True
            if copy.slice is None or not copy.slice.is_all_of(tensor):
                raise ValueError(f"{copy.member!r}: {copy.reason}")
            origin = self.members.by_name[copy.member]
            if not origin.is_kept:
                copy.slice.draw(tensor, sampler, self._seed, origin.next_draw())
                self._write_back(copy, tensor)
            return True
        member = self.members.find(tensor)
        if member is None:
            return False
        if member.is_kept:
            return True
        local = member.block.local
        if member.refusal is None and local.dtype not in DTYPES and sampler.transform is None:
            warnings.warn(f"{member.name!r} is left as it is: it has {local.dtype} numbers, and fanin draws "
                          f"{', '.join(DTYPES.values())}", stacklevel=2)
            return True
        part = local_of(tensor).detach()
        part = torch.view_as_real(part) if part.is_complex() else part
        if member.refusal is None and part.dtype != local.dtype:
            raise TypeError(f"{member.name!r} has {local.dtype} numbers, and cannot be filled through a view as {part.dtype}")
        sampler.of_seed(self._seed)  # raises for wrong parameters before the draw counts
        fill_part(member.block, part, sampler, self._seed, member.next_draw())
        member.was_written(tensor)
        return True

    def _draw_matrix(self, tensor: Tensor, sampler: Sampler) -> None:
        """Makes the whole of the tensor, which may be a view of a member, or a DTensor, and copies it."""
        if tensor.dtype not in DTYPES:
            raise TypeError(f"fanin draws matrices of {', '.join(DTYPES.values())}. Received: a tensor of {tensor.dtype}")
        for block in open_blocks()[::-1]:
            copy = block._copy_of(tensor)
            if copy is not None and copy.is_kept:
                return
            if copy is not None and copy.slice is None:
                raise ValueError(f"{copy.member!r}: {copy.reason}")
            member = block.members.find(tensor) if copy is None else block.members.by_name[copy.member]
            if member is None:
                continue
            if member.is_kept:
                return
            initializer = sampler.of_seed(block._seed)  # raises for wrong parameters before the draw counts
            name = member.next_draw()
            break
        else:
            if not has_memory(tensor):
                return
            keeper = self._keeper_of(tensor)
            initializer = sampler.of_seed(keeper._seed)
            name = keeper._next_temporary()
        with drawing(), torch.device("cpu"):
            drawn = torch.empty(tensor.shape, dtype=tensor.dtype)
            fill(LocalBlock(drawn, tuple(drawn.shape)), initializer, name=name)
        with torch.no_grad():
            tensor.copy_(drawn)  # a write like any other, of parts of DTensors too

    def _draw_temporary(self, tensor: Tensor, sampler: Sampler) -> None:
        keeper = self._keeper_of(tensor)
        block = real_block(local_block_of(tensor))
        sampler.of_seed(keeper._seed)
        fill_part(block, block.local, sampler, keeper._seed, keeper._next_temporary())

    def _keeper_of(self, tensor: Tensor) -> Block:
        """The innermost block that knows a module which is being initialised."""
        keeper = next((block for block in open_blocks()[::-1] if block._path is not None), None)
        if keeper is None:
            raise ValueError(f"A random tensor of shape {tuple(tensor.shape)} is not part of the keyed module, and nothing says "
                             "which parameter it is for. Fill the parameter itself, or make the tensor in a function that "
                             "Module.apply calls with the parameter's module, or in code that materialize_ runs")
        return keeper

    def _next_temporary(self) -> str:
        assert self._path is not None
        number = self._numbers.get(self._path, 0)
        self._numbers[self._path] = number + 1
        return f"{self._path}#{number}" if number else self._path

    def _fill_in_place(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        try:
            self.draw(args[0], IN_PLACE[func.__name__](*args))
        except (ValueError, TypeError):
            # PyTorch's own error, if it has one.
            func(torch.empty(1, dtype=args[0].dtype, device="cpu"), *args[1:], generator=torch.Generator())
            raise
        return args[0]

    def _make_new(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
        with drawing():
            tensor, sampler = NEW[func._opname](*args, **kwargs)
            if has_memory(tensor):
                self._draw_temporary(tensor, sampler)
        return tensor

    def _refuse_random(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        arguments = func._schema.arguments
        given = {argument.name: argument.default_value for argument in arguments}
        given.update(zip((argument.name for argument in arguments), args), **kwargs)
        if any(given.get(name, 1) == 0 for name in ("dropout_p", "p", "train")):
            return func(*args, **kwargs)
        raise ValueError(f"fanin cannot draw what {func} draws. Use torch.nn.init's functions within keyed, or draw outside of it")

    # -------------------------------------------------------------- writes

    def _write(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        targets = [target for key in _written_arguments(func)
                   for target in _tensors_in(kwargs.get(key) if isinstance(key, str) else args[key] if key < len(args) else None)]
        known = [(target, self._copy_of(target), self.member_of(target)) for target in targets]
        for _, copy, _ in known:
            if copy is not None and copy.slice is None and not copy.only_random and not copy.is_kept:
                raise ValueError(f"{copy.member!r}: {copy.reason}")
        kept = [member.name for _, _, member in known if member is not None and member.is_kept]
        if kept:
            if len(targets) == 1:
                return targets[0]
            raise ValueError(f"{func} changes {', '.join(map(repr, kept))}, which must be kept, together with others")
        if _reads_what_it_writes(func):
            for _, _, member in known:
                if member is not None and member.name in self.without_values and not member.is_filled:
                    raise ValueError(f"{member.name!r}: {func} changes values that the code has not set before. On the meta device "
                                     "they do not come from the constructor: set them first, or give init=")
        if func is torch.ops.aten.copy_.default and is_dtensor(args[0]) and not is_dtensor(args[1]):
            with drawing():  # PyTorch refuses this, and every process has the whole of what is copied
                copy_into_block(local_block_of(args[0]), args[1])
            result = args[0]
        else:
            result = func(*args, **kwargs)
        for target, copy, member in known:
            if copy is not None and copy.slice is not None:
                with drawing():
                    self._write_back(copy, target)
            if member is not None:
                member.was_written(target)
        return result

    def member_of(self, tensor: Tensor) -> Member | None:
        try:
            return self.members.find(tensor)
        except ValueError:  # memory of several members
            return None

    # -------------------------------------------------------------- tensors that look like parts

    def _copy_of(self, tensor: Tensor) -> _Copy | None:
        if not self._copies:
            return None
        storage = storage_of(tensor)
        copy = self._copies.get(storage)
        if copy is not None and copy.storage.expired():
            copy = self._copies.pop(storage) and None
        return copy

    def _remember_copy(self, tensor: Tensor, *copy: typing.Any) -> None:
        self._copies[storage_of(tensor)] = _Copy(StorageWeakRef(local_of(tensor).untyped_storage()), *copy)

    def _write_back(self, copy: _Copy, tensor: Tensor) -> None:
        if copy.slice is None or self.members.by_name[copy.member].is_kept:
            return
        member = self.members.by_name[copy.member]
        copy.slice.write_back(tensor)
        member.was_written(tensor)

    def _view(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        """Views of DTensors, of which some are copies."""
        result = func(*args, **kwargs)
        if not is_dtensor(args[0]):
            return result
        member = self.member_of(args[0])
        if member is None or member.refusal:
            return result
        for part in _tensors_in(result):
            if is_dtensor(part) and storage_of(part) != storage_of(args[0]) and storage_of(part):
                reason = (f"PyTorch gives {func} of this DTensor new memory, so a change of it is lost. Change the whole "
                          "parameter, or one slice w[i] or w[a:b] of it")
                self._remember_copy(part, member.name, reason, self._gathered(func, args, member, part))
        return result

    def _gathered(self, func: typing.Any, args: tuple, member: Member, part: Tensor) -> GatheredSlice | None:
        if not args[0].shape == member.slot.tensor.shape or not is_dtensor(member.slot.tensor):
            return None
        whole = Slice.whole(member.block)
        with drawing(), contextlib.suppress(ValueError):
            if func is torch.ops.aten.select.int:
                return GatheredSlice(whole.select(*args[1:]), part)
            if func is torch.ops.aten.slice.Tensor:
                return GatheredSlice(whole.narrow(*args[1:]), part)
        return None

    def _gather(self, func: typing.Any, args: tuple, kwargs: dict) -> typing.Any:
        """w[[1, 2]] is a copy for plain tensors too."""
        result = func(*args, **kwargs)
        member = self.member_of(args[0])
        if member is not None:
            reason = "a list of indices or a mask makes a copy, so a fill of it is lost"
            self._remember_copy(result, member.name, reason, None, True)
        return result

    @contextlib.contextmanager
    def watch_computed_weights(self, module: Module) -> Iterator[None]:
        """Remembers the weights that parametrizations, and hooks such as weight_norm's, compute."""
        reason = ("this weight is computed from other parameters, so a change of it is lost. Fill those, or name those "
                  "in keep= of materialize_")

        def remember(name: str, keys: Iterable[str], holder: Module, inputs: object, output: object) -> None:
            found = (self.members.own(holder._parameters[key]) for key in keys)
            sources = tuple(member for member in found if member is not None)
            for tensor in _tensors_in(output):
                if self.member_of(tensor) is None:
                    self._remember_copy(tensor, name, reason, None, False, sources)

        handles = []
        for path, part in list(self.members.paths.values()):
            if isinstance(part, ParametrizationList):
                name = path.replace("parametrizations.", "")
                handles.append(part.register_forward_hook(functools.partial(remember, name, list(part._parameters))))
            for key, tensor in vars(part).items():
                sources = {f"{key}_g", f"{key}_v", f"{key}_orig"} & part._parameters.keys()
                if isinstance(tensor, Tensor) and sources:
                    remember(f"{path}.{key}".lstrip("."), sources, part, None, tensor)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Entered:
    """A function that initialises a module, its first argument or `module`: random temporaries in it are the module's."""

    def __init__(self, function: Callable, module: Module | None = None):
        self._function, self._module = function, module

    def __call__(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        known = ((block, block.members.path_of(module)) for module in (*args[:1], self._module) for block in open_blocks()[::-1])
        block, path = next(((block, path) for block, path in known if path is not None), (None, None))
        if block is None:
            return self._function(*args, **kwargs)
        outer, block._path = block._path, path
        try:
            return self._function(*args, **kwargs)
        finally:
            block._path = outer


# ------------------------------------------------------------------ which operators matter


@functools.cache
def _role_of(func: typing.Any) -> Callable | None:
    """The method of Block that handles an operator; None for those that pass."""
    if not isinstance(func, torch._ops.OpOverload):
        return None
    if torch.Tag.nondeterministic_seeded in func.tags:
        if func.__name__ in IN_PLACE:
            return Block._fill_in_place
        is_new = func._opname in NEW and not _written_arguments(func)
        return Block._make_new if is_new else Block._refuse_random
    if _written_arguments(func):
        return Block._write
    if func is torch.ops.aten.index.Tensor:
        return Block._gather
    return Block._view if func.is_view else None


@functools.cache
def _reads_what_it_writes(func: typing.Any) -> bool:
    """Whether it is arithmetic in place, such as mul_ and clamp_."""
    return torch.Tag.pointwise in func.tags and func._opname.endswith("_") and func._opname not in ("copy_", "fill_", "zero_")


@functools.cache
def _written_arguments(func: typing.Any) -> tuple[int | str, ...]:
    """The positions, or the names of keyword arguments, that the operator writes to."""
    return tuple(argument.name if argument.kwarg_only else position for position, argument in enumerate(func._schema.arguments)
                 if argument.alias_info is not None and argument.alias_info.is_write)


def _tensors_in(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [tensor for tensor in value if isinstance(tensor, Tensor)] if isinstance(value, (list, tuple)) else []


# ------------------------------------------------------------------ functions that operators do not show


def _orthogonal_code(tensor, gain=1, generator=None):
    """The body that torch.nn.init.orthogonal_ has while blocks are open. It finds no names of this module."""
    from fanin.torch._keyed import _wrappers

    return _wrappers.orthogonal_(tensor, gain, generator)


class _Wrappers:
    """Replaces three functions of PyTorch's as long as a block is open in any thread; in other threads they do nothing else.

    torch.nn.init.trunc_normal_ is a loop of normal draws, and orthogonal_ is a decomposition of them whose bits depend on the
    device, of which the operators do not show the distribution. trunc_normal_ calls _no_grad_trunc_normal_, which is replaced,
    and of orthogonal_ the code is replaced, so references to both that other modules hold work too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._truncated, self._apply = torch.nn.init._no_grad_trunc_normal_, Module.apply
                orthogonal_ = torch.nn.init.orthogonal_
                self._orthogonal = types.FunctionType(orthogonal_.__code__, orthogonal_.__globals__, "orthogonal_",
                                                      orthogonal_.__defaults__)
                orthogonal_.__code__ = _orthogonal_code.__code__
                torch.nn.init._no_grad_trunc_normal_ = self._truncated_wrapper(self._truncated)
                Module.apply = self._apply_wrapper(self._apply)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                torch.nn.init._no_grad_trunc_normal_, Module.apply = self._truncated, self._apply
                torch.nn.init.orthogonal_.__code__ = self._orthogonal.__code__

    def orthogonal_(self, tensor: Tensor, gain: float, generator: object) -> Tensor:
        if not open_blocks() or tensor.ndim < 2 or tensor.numel() == 0:
            return self._orthogonal(tensor, gain, generator)
        return _functions.orthogonal_(tensor, gain)

    @staticmethod
    def _truncated_wrapper(original: Callable) -> Callable:
        @functools.wraps(original)
        def trunc_normal_(tensor: Tensor, mean: float, std: float, a: float, b: float, generator: object = None) -> Tensor:
            blocks = open_blocks()
            if not blocks:
                return original(tensor, mean, std, a, b, generator=generator)
            with torch.no_grad():
                if has_memory(tensor) and tensor.dtype in DTYPES:
                    return _functions.trunc_normal_(tensor, mean, std, a, b)
                blocks[-1].draw(tensor, normal(mean, std))  # which says why not
            return tensor

        return trunc_normal_

    @staticmethod
    def _apply_wrapper(original: Callable) -> Callable:
        @functools.wraps(original)
        def apply(self: Module, fn: Callable) -> Module:
            blocks = open_blocks()
            return original(self, fn if isinstance(fn, Entered) or not blocks else Entered(fn))

        return apply


_wrappers = _Wrappers()
