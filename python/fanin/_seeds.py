# SPDX-License-Identifier: Apache-2.0
"""Seeds of whole models and of other libraries' initializers."""
from __future__ import annotations

from . import _core


def number_of(seed: int | _core.Seed) -> int:
    """The number of a seed that gives every call the same values: an integer in [0, 2**64), or a fanin.Seed.

    Raises ValueError for a sequence and for other integers, and TypeError.
    """
    if seed is None:
        raise TypeError("The seed must be given: an integer from 0 to 2^64 - 1, or a fanin.Seed")
    made = _core.Seed(seed)
    if made.kind == "sequence":
        raise ValueError("The seed must be fixed: with a sequence the values would depend on the order of calls. "
                         f"Received: {seed!r}")
    return made.value
