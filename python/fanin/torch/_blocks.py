# SPDX-License-Identifier: Apache-2.0
"""What a thread knows about the blocks of fanin.torch.keyed that it is in."""
from __future__ import annotations

import contextlib
import threading
import typing


class _Thread(threading.local):
    def __init__(self) -> None:
        self.blocks: list[typing.Any] = []
        self.is_drawing = False


_thread = _Thread()


def open_blocks() -> list[typing.Any]:
    """The open blocks of this thread, the innermost last. The list is the thread's own: keyed() changes it."""
    return _thread.blocks


def is_drawing() -> bool:
    """Whether the operators that run now are fanin's own, which blocks let pass."""
    return _thread.is_drawing


@contextlib.contextmanager
def drawing() -> typing.Iterator[None]:
    """While fanin's own operators run."""
    outer, _thread.is_drawing = _thread.is_drawing, True
    try:
        yield
    finally:
        _thread.is_drawing = outer
