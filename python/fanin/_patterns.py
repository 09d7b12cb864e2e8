# SPDX-License-Identifier: Apache-2.0
"""Patterns of parameters' names in rules: globs and regular expressions."""
from __future__ import annotations

import re


def pattern_of(given: object) -> re.Pattern:
    """A compiled regular expression, which must match a whole name. In a glob * stands for any characters and ? for one."""
    if isinstance(given, re.Pattern):
        return given
    if not isinstance(given, str):
        raise TypeError(f"A pattern is a glob or a compiled regular expression. Received: {given!r}")
    return re.compile(re.escape(given).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
