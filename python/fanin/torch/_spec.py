# SPDX-License-Identifier: Apache-2.0
"""The outline of a specification for a module that is there already."""
from __future__ import annotations

from torch.nn import Module

from .. import _core
from ._fill import DTYPES
from ._model import _slots


def spec_of(module: Module, *, name: str | None = None) -> str:
    """Returns the outline of a specification, JSON text, for `fanin model` and fanin.parse_model_spec: the module's parameters
    and floating-point buffers, which may be on the meta device, by their names, shapes and dtypes.

    Names that differ only in numbers are folded into captures, tied parameters are ties, and there is a rule to fill in for
    each kind of name. Buffers that state_dict leaves out are left out. The layout is PyTorch's.
    """
    tensors: list[tuple[str, list[int], str]] = []
    ties: list[tuple[str, str]] = []
    first_names: dict[int, str] = {}
    slots = [slot for kind in ("_parameters", "_buffers") for slot in _slots(module, kind, "", ties=True)]
    for own, owner, key, tensor in slots:
        if tensor.dtype not in DTYPES or key in owner._non_persistent_buffers_set:
            continue
        first = first_names.setdefault(id(tensor), own)
        if first != own:
            ties.append((own, first))
        else:
            tensors.append((own, list(tensor.shape), DTYPES[tensor.dtype]))
    return _core._outline(tensors, ties, name or type(module).__name__, f"fanin.torch.spec_of({type(module).__name__})")
