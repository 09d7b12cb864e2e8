# SPDX-License-Identifier: Apache-2.0
"""Seeds of whole models and of other libraries' initializers."""
from __future__ import annotations

import operator

from . import _core


def number_of(seed: int | _core.Seed) -> int:
    """The number of a seed that gives every call the same values: an integer in [0, 2**64), or a fanin.Seed.

    Raises ValueError for a sequence and for other integers, and TypeError.
    """
    if not isinstance(seed, _core.Seed):
        return _core.Seed(operator.index(seed)).value
    if seed.kind == "sequence":
        raise ValueError("The seed must be fixed: with a sequence the values would depend on the order of calls. "
                         f"Received: {seed!r}")
    return seed.value
